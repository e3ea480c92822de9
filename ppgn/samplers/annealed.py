"""Langevin over falling noise levels, with a step of the probability flow between them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ppgn.objective import Objective
from ppgn.samplers.langevin import noise_for, update
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, Evaluation

FIRST_LEVEL = 6
"""The stream of the noise that brings codes to the first level; 0 to 5 are taken (`seeds`, `released`, `masks`, `starts`)."""


@dataclass(frozen=True)
class Annealed:
    """A predictor-corrector sampler (Song et al. 2021, "Score-based generative modeling", Algorithm 1), guided by a condition.

    objective_at(s) is the objective at noise level s; its prior's direction is D(h; s) - h, s^2 times the score of the codes'
    density smoothed by s (`priors.NoiseLevel`). At each level first come `corrections` steps of annealed Langevin (Song & Ermon
    2019, Algorithm 1),

        h' = h + e (D(h; s) - h) + e w (s u)^2 d log p(y | h) / dh + sqrt(2 e) s u n,   n ~ N(0, 1),

    then an Euler step of the probability flow to the next level t, with f = 1 - t / s, without noise:

        h' = h + f (D(h; s) - h) + f w (s u)^2 d log p(y | h) / dh.

    levels: standard deviations of the noise, falling, the last one above 0; the flow's last step goes to 0. step_size: e, in
    (0, 1]. guidance: w, 1 for p(h) p(y | h). unit: u, what a level of 1 is in code units, a number or one a unit. Chains begin
    at codes without noise, to which that of the first level is added (SDEdit, Meng et al. 2022): the higher, the less is kept.
    After `updates` updates a chain stays where it is.

    Raises ValueError unless levels fall and are positive, step_size is in (0, 1], and corrections is not negative.
    """

    objective_at: Callable[[float], Objective]
    levels: Sequence[float]
    corrections: int = 1
    step_size: float = 0.1
    guidance: float = 1.0
    unit: float | Tensor = 1.0

    def __post_init__(self) -> None:
        levels = list(self.levels)
        if not levels or levels[-1] <= 0 or any(a <= b for a, b in zip(levels, levels[1:], strict=False)):
            raise ValueError(f"an annealed sampler got the levels {levels}, expected falling ones above 0: sort them")
        if not 0 < self.step_size <= 1:
            raise ValueError(f"an annealed sampler got step_size {self.step_size}, expected it in (0, 1]: pass 0.1, say")
        if self.corrections < 0:
            raise ValueError(
                f"an annealed sampler got {self.corrections} corrections, expected at least 0: pass 0 for the flow alone"
            )

    @property
    def updates(self) -> int:
        """How many updates lead from the first level to a code without noise."""
        return len(self.levels) * (self.corrections + 1)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]` plus noise of the first level; ValueError unless one seed a
        chain is given."""
        noise = normal(seeds, 0, code.shape[1:], stream=FIRST_LEVEL, dtype=code.dtype, device=code.device)
        return ChainState(code.detach() + self.levels[0] * self.unit * noise, check_seeds(seeds))

    def step(self, state: ChainState) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        place, move = divmod(state.step, self.corrections + 1)
        ended = place >= len(self.levels)
        level = self.levels[-1 if ended else place]
        evaluation = self.objective_at(level).evaluate(state.code)
        if ended:
            return ChainState(state.code, state.seeds, state.step + 1), evaluation
        corrects = move < self.corrections
        following = self.levels[place + 1] if place + 1 < len(self.levels) else 0.0
        size = self.step_size if corrects else 1 - following / level
        noise_scale = math.sqrt(2 * size) * level if corrects else 0.0
        gradient = evaluation.gradient * (level * self.unit) ** 2
        noise = noise_for(state, noise_scale) * self.unit
        code = update(state.code, evaluation.direction, gradient, noise, size, size * self.guidance, noise_scale)
        return ChainState(code, state.seeds, state.step + 1), evaluation


def spaced_levels(highest: float, lowest: float, count: int, rho: float = 7.0) -> list[float]:
    """`count` levels from highest to lowest, spaced evenly in level^(1 / rho) (Karras et al. 2022, Eq. 5)."""
    if not 0 < lowest < highest or count < 1:
        raise ValueError(
            f"got {count} levels from {highest} to {lowest}, expected at least 1 and 0 < lowest < highest: swap the two"
        )
    top, bottom = highest ** (1 / rho), lowest ** (1 / rho)
    return [(top + place / max(1, count - 1) * (bottom - top)) ** rho for place in range(count)]
