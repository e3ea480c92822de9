"""A Langevin step whose condition scale is found while it runs, with preconditioning and momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppgn.samplers.langevin import noise_for, root_mean_square, update
from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation, Evaluator, real, shown


@dataclass(frozen=True)
class Adaptive:
    """PPGN's Eq. 11 with e2 = step_size / the largest root mean square that the condition's gradient has had in this chain.

        g = u d log p(y | G(h)) / dh,   m = max over steps so far of rms(g),
        v' = momentum v + e1 (R(h) - h) + (step_size / m) u g + N(0, e3^2),   h' = clip(h + v').

    then clipped to the code space. A condition may therefore count in any unit: log p and 1000 log p give the same chain. At its
    steepest the condition moves the code by step_size standard deviations per unit. Once it is met its gradient falls, and the
    steps fall with it; those of the released normalisation do not. The maximum in the place of a running mean is that of AMSGrad
    (Reddi et al. 2018); the division by the gradient's size is that of RMSprop and of preconditioned Langevin dynamics (Li et al.
    2016).

    u: the preconditioner, the standard deviation of each unit over real pictures (`CodeSpace.std`; 1 where it is not known), so
    that steps are alike in standard deviations, not in code units. momentum: heavy ball (Polyak 1964), in [0, 1). A chain
    carries m as "steepest" `[chain]`, from which e2 can be read, and v as "velocity" `[chain, *code]`. Scales: a number or a
    schedule.

    Raises ValueError for a momentum outside [0, 1), and for scales that are negative or not finite.
    """

    prior_scale: Scale
    step_size: Scale
    noise_scale: Scale = 0.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        scales = {"prior_scale": self.prior_scale, "step_size": self.step_size, "noise_scale": self.noise_scale}
        check_scales("an adaptive sampler", **scales)
        if not 0 <= real(self.momentum) < 1:
            raise ValueError(f"an adaptive sampler got momentum {shown(self.momentum)}, expected it in [0, 1): pass 0 for none")

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, one seed per chain (else ValueError)."""
        code = code.detach().clone()
        carry = {"steepest": code.new_zeros(len(code)), "velocity": torch.zeros_like(code)}
        return ChainState(code, check_seeds(seeds), 0, carry)

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = objective.evaluate(state.code)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.step_size, self.noise_scale)]
        unit = 1.0 if objective.space.std is None else objective.space.std
        gradient = unit * evaluation.gradient
        steepest = torch.maximum(state.carry["steepest"], root_mean_square(gradient).flatten())
        shaped = steepest.reshape(-1, *[1] * (state.code.ndim - 1)).clamp_min(torch.finfo(gradient.dtype).tiny)
        still = self.momentum * state.carry["velocity"]
        noise = noise_for(state, scales[2])
        velocity = update(still, evaluation.direction, unit * gradient / shaped, noise, *scales)
        code = objective.space.clip(state.code + velocity)
        return ChainState(code, state.seeds, state.step + 1, {"steepest": steepest, "velocity": velocity}), evaluation
