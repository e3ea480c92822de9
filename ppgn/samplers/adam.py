"""Adam and NAdam as a step of a chain, as methods that optimise Fourier coefficients use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppgn.samplers.langevin import update
from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation, Evaluator, real, shown

MOMENTUM_DECAY = 4e-3
"""psi of NAdam (Dozat 2016), as in torch.optim.NAdam."""


@dataclass(frozen=True)
class Adam:
    """h' = clip(h + e1 d + step_size * m / (sqrt(v) + epsilon)), m and v the running means of g and g^2 without their bias.

    g = d log p(y | G(h)) / dh, d the prior's direction with prior_scale e1. first_decay, second_decay: of the running means
    (Kingma & Ba 2015). nesterov: NAdam (Dozat 2016), as in torch.optim.NAdam. A chain carries m, v and the product
    of NAdam's momenta. Raises ValueError for decays outside [0, 1), and for scales that are negative or not finite.
    """

    step_size: Scale = 0.05
    prior_scale: Scale = 0.0
    first_decay: float = 0.9
    second_decay: float = 0.999
    nesterov: bool = False
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_scales("Adam", step_size=self.step_size, prior_scale=self.prior_scale)
        for name in ("first_decay", "second_decay"):
            if not 0 <= real(getattr(self, name)) < 1:
                raise ValueError(f"Adam got {name} {shown(getattr(self, name))}, expected it in [0, 1): correct it")
        if not 0 < real(self.epsilon) < math.inf:
            raise ValueError(f"Adam got epsilon {shown(self.epsilon)}, expected a finite number above 0: correct it")

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, one seed per chain (else ValueError)."""
        code = code.detach().clone()
        carry = {
            "first": torch.zeros_like(code),
            "second": torch.zeros_like(code),
            "momenta": torch.ones(len(code), dtype=torch.float64),
        }
        return ChainState(code, check_seeds(seeds), 0, carry)

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = objective.evaluate(state.code)
        gradient, count = evaluation.gradient, state.step + 1
        first = (self.first_decay * state.carry["first"]).add_(gradient, alpha=1 - self.first_decay)
        second = (self.second_decay * state.carry["second"]).addcmul_(gradient, gradient, value=1 - self.second_decay)
        root = (second / (1 - self.second_decay**count)).sqrt() + self.epsilon
        if self.nesterov:
            now, after = (self.first_decay * (1 - 0.5 * 0.96 ** (number * MOMENTUM_DECAY)) for number in (count, count + 1))
            momenta = state.carry["momenta"] * now
            product = float(momenta[0])
            mean = gradient * (1 - now) / (1 - product) + first * after / (1 - product * after)
        else:
            momenta, mean = state.carry["momenta"], first / (1 - self.first_decay**count)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.step_size)]
        code = objective.space.clip(update(state.code, evaluation.direction, mean / root, 0.0, *scales, noise_scale=0.0))
        return ChainState(code, state.seeds, count, {"first": first, "second": second, "momenta": momenta}), evaluation
