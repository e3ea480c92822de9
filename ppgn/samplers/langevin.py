"""The sampler of the paper: Eq. 11 of Nguyen et al. 2017, "Plug & Play Generative Networks"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, Evaluation, Evaluator, real, shown


def update(
    code: Code,
    direction: Code,
    gradient: Code,
    noise: Tensor | float,
    prior_scale: float,
    condition_scale: float,
    noise_scale: float,
) -> Code:
    """h' = h + e1 (R(h) - h) + e2 d log p(y | G(h)) / dh + N(0, e3^2)   (PPGN, Eq. 11), all `[chain, *code]`."""
    return code + prior_scale * direction + condition_scale * gradient + noise_scale * noise


@dataclass(frozen=True)
class Langevin:
    """A Langevin step whose step and noise sizes are decoupled and whose accept/reject test is dropped (MALA-approx).

        h' = h + e1 (R(h) - h) + e2 d log p(y | G(h)) / dh + N(0, e3^2)   (PPGN, Eq. 11), then clipped to the code space.

    prior_scale, condition_scale, noise_scale: epsilon 1, 2, 3 of the paper, each a number or a schedule; noise_scale is a
    standard deviation in code units. condition_limit, which the paper does not have: the most that the condition may move a code
    in a step, as a root mean square over units, in code units. A longer move is scaled down to it, as gradients of weights are in
    training (Pascanu et al. 2013). 0, the default, is no limit; about one chain in two hundred of imagenette64 then leaps to a
    code that decodes to black.

    Raises ValueError for a negative limit, and for scales that are negative or not finite.
    """

    prior_scale: Scale
    condition_scale: Scale
    noise_scale: Scale = 0.0
    condition_limit: float = 0.0

    def __post_init__(self) -> None:
        scales = {"prior_scale": self.prior_scale, "condition_scale": self.condition_scale, "noise_scale": self.noise_scale}
        check_scales("a sampler", **scales)
        if not real(self.condition_limit) >= 0:
            raise ValueError(f"a sampler got condition_limit {shown(self.condition_limit)}, expected at least 0: 0 is no limit")

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, one seed per chain (else ValueError)."""
        return ChainState(code.detach().clone(), check_seeds(seeds))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = objective.evaluate(state.code)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.condition_scale, self.noise_scale)]
        noise = noise_for(state, scales[2])
        gradient = evaluation.gradient
        if self.condition_limit and scales[1]:
            gradient = gradient * at_most(root_mean_square(scales[1] * gradient), self.condition_limit)
        code = objective.space.clip(update(state.code, evaluation.direction, gradient, noise, *scales))
        return replace(state, code=code, step=state.step + 1), evaluation


def root_mean_square(values: Tensor) -> Tensor:
    """Over all but the first axis, which are kept: `[chain, 1, ...]`."""
    return values.reshape(len(values), -1).square().mean(1).sqrt().reshape(-1, *[1] * (values.ndim - 1))


def at_most(size: Tensor, limit: float) -> Tensor:
    """The factor in (0, 1] that brings each size down to the limit."""
    return (limit / size.clamp_min(torch.finfo(size.dtype).tiny)).clamp(max=1.0)


def noise_for(state: ChainState, noise_scale: float) -> Tensor | float:
    """N(0, 1) like the code, a function of (seed, step) only; no numbers are drawn when noise_scale is 0."""
    if noise_scale == 0:
        return 0.0
    code = state.code
    return normal(state.seeds, state.step, code.shape[1:], dtype=code.dtype, device=code.device)
