"""Langevin over falling noise levels, with a step of the probability flow between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ppgn.samplers.langevin import noise_for, update
from ppgn.samplers.schedules import Spaced, check_scales
from ppgn.seeds import Stream, check_seeds, normal
from ppgn.types import ChainState, Code, CodeSpace, Evaluation, Evaluator, real, shown


@dataclass(frozen=True)
class Annealed:
    """A predictor-corrector sampler (Song et al. 2021, "Score-based generative modeling", Algorithm 1), guided by a condition.

    objective.at_level(s) is the objective at noise level s. Its prior's direction is D(h; s) - h, s^2 times the score of the
    codes' density smoothed by s (`priors.NoiseLevel`). Its conditions see the denoised code, so p(y | h) below stands for
    p(y | G(D(h; s))). At each level first come `corrections` steps of annealed Langevin (Song & Ermon 2019, Algorithm 1),

        h' = h + e (D(h; s) - h) + e w (s u)^2 d log p(y | h) / dh + sqrt(2 e) s u n,   n ~ N(0, 1),

    then an Euler step of the probability flow to the next level t, with f = 1 - t / s, without noise:

        h' = h + f (D(h; s) - h) + f w (s u)^2 d log p(y | h) / dh.

    levels: standard deviations of the noise, falling, the last one above 0, a sequence or `Spaced`; the flow's last step goes to
    0. step_size: e, in (0, 1]. condition_scale: w, 1 for p(h) p(y | h). spread: u, the code units of a level of 1 (a number, or
    one per unit), which `bound` takes from a code space that knows it. Codes are not clipped. A chain begins at its starting code
    plus noise of the first level (SDEdit, Meng et al. 2022): the higher that level, the less of the code is kept. After
    `updates` updates a chain stays where it is.

    Raises ValueError unless levels fall and are positive, step_size is in (0, 1], and corrections and condition_scale are not
    negative.
    """

    levels: Spaced | Sequence[float] = Spaced(0.5, 0.05)
    corrections: int = 1
    step_size: float = 0.1
    condition_scale: float = 1.0
    spread: float | Tensor = field(default=1.0, metadata={"setting": False})

    def __post_init__(self) -> None:
        check_scales("an annealed sampler", condition_scale=self.condition_scale)
        levels = [real(level) for level in self.levels] if isinstance(self.levels, Sequence) else []
        falls = all(a > b for a, b in zip(levels, levels[1:], strict=False))
        if not isinstance(self.levels, Spaced) and not (levels and levels[-1] > 0 and levels[0] < math.inf and falls):
            raise ValueError(f"an annealed sampler got the levels {shown(self.levels)}, expected falling ones above 0: sort them")
        if not 0 < real(self.step_size) <= 1:
            raise ValueError(f"an annealed sampler got step_size {shown(self.step_size)}, expected it in (0, 1]: pass 0.1, say")
        if isinstance(self.corrections, bool) or not isinstance(self.corrections, int) or self.corrections < 0:
            raise ValueError(
                f"an annealed sampler got {shown(self.corrections)} corrections, expected a whole number of at least 0: "
                f"pass 0 for the flow alone"
            )

    @property
    def updates(self) -> int:
        """The number of updates from the first level to a code without noise."""
        return len(self._levels) * (self.corrections + 1)

    @property
    def _levels(self) -> Sequence[float]:
        return self.levels.levels if isinstance(self.levels, Spaced) else self.levels

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Annealed:
        """The same with as many levels as a run of `steps` steps goes through, and with the spread of the codes. The last step
        makes no update: it is the evaluation of the code without noise."""
        levels = self.levels
        if isinstance(levels, Spaced) and levels.count is None:
            levels = replace(levels, count=max(1, (steps - 1) // (self.corrections + 1)))
        return replace(self, levels=levels, spread=self.spread if space.std is None else space.std)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]` plus noise of the first level; ValueError unless one seed per
        chain is given."""
        noise = normal(seeds, 0, code.shape[1:], stream=Stream.FIRST_LEVEL, dtype=code.dtype, device=code.device)
        return ChainState(code.detach() + self._levels[0] * self.spread * noise, check_seeds(seeds))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        code, levels = state.code, self._levels
        place, move = divmod(state.step, self.corrections + 1)
        ended = place >= len(levels)
        level = levels[-1 if ended else place]
        evaluation = objective.at_level(level).evaluate(code)
        if ended:
            return ChainState(code, state.seeds, state.step + 1), evaluation
        corrects = move < self.corrections
        following = levels[place + 1] if place + 1 < len(levels) else 0.0
        size = self.step_size if corrects else 1 - following / level
        noise_scale = math.sqrt(2 * size) * level if corrects else 0.0
        gradient = evaluation.gradient * (level * self.spread) ** 2
        noise = noise_for(state, noise_scale) * self.spread
        code = update(code, evaluation.direction, gradient, noise, size, size * self.condition_scale, noise_scale)
        return ChainState(code, state.seeds, state.step + 1), evaluation
