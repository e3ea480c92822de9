"""A Langevin step whose condition scale is found while it runs, with preconditioning and momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.objective import Objective
from ppgn.samplers.langevin import CodeRange, Scale, check_range, clip, noise_for, root_mean_square, scale_at, update
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation


@dataclass(frozen=True)
class Adaptive:
    """Eq. 11 with e2 = step_size / the largest root mean square that the condition's gradient has had in this chain.

        g = u d log p(y | G(h)) / dh,   m = max over steps so far of rms(g),
        v' = momentum v + e1 (R(h) - h) + (step_size / m) u g + N(0, e3^2),   h' = clip(h + v').

    So a condition may count in any unit, the chain is the same: log p and 1000 log p give one picture. At its steepest the
    condition moves the code by step_size standard deviations a unit; once it is met its gradient falls and so do the steps,
    which is what the released normalisation does not do. The maximum instead of a running mean is that of AMSGrad (Reddi et al.
    2018); dividing by the gradient's size that of RMSprop and of preconditioned Langevin dynamics (Li et al. 2016).

    u: the preconditioner, the standard deviation of each unit over real pictures (or 1): steps are alike in standard
    deviations, not in code units. momentum: heavy ball (Polyak 1964), in [0, 1). A chain carries m as "steepest" `[chain]`,
    from which e2 can be read, and v as "velocity" `[chain, *code]`. Scales: a float or a function of the step.

    Raises ValueError when the range's low exceeds its high, and for a momentum outside [0, 1).
    """

    objective: Objective
    prior_scale: Scale
    step_size: Scale
    noise_scale: Scale = 0.0
    code_range: CodeRange | None = None
    unit: float | Tensor = 1.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        check_range(self.code_range)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"an adaptive sampler got momentum {self.momentum}, expected it in [0, 1): pass 0 for none")

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, one seed per chain (else ValueError)."""
        code = code.detach().clone()
        carry = {"steepest": code.new_zeros(len(code)), "velocity": torch.zeros_like(code)}
        return ChainState(code, check_seeds(seeds), 0, carry)

    def step(self, state: ChainState) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = self.objective.evaluate(state.code)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.step_size, self.noise_scale)]
        gradient = self.unit * evaluation.gradient
        steepest = torch.maximum(state.carry["steepest"], root_mean_square(gradient).flatten())
        shaped = steepest.reshape(-1, *[1] * (state.code.ndim - 1)).clamp_min(torch.finfo(gradient.dtype).tiny)
        still = self.momentum * state.carry["velocity"]
        noise = noise_for(state, scales[2])
        velocity = update(still, evaluation.direction, self.unit * gradient / shaped, noise, *scales)
        code = clip(state.code + velocity, self.code_range)
        return ChainState(code, state.seeds, state.step + 1, {"steepest": steepest, "velocity": velocity}), evaluation
