"""The sampler of the released PPGN code, which is not Eq. 11 to the letter (docs/released-code.md, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.samplers.langevin import noise_for, update
from ppgn.samplers.schedules import Scale, check_scales, scale_at
from ppgn.seeds import Stream, check_seeds, normal, uniform
from ppgn.types import ChainState, Code, Evaluation, Evaluator

RESET_PRIOR_SCALES = (1e-6, 1e-2)
"""The range of the prior scales that resets draw in the released code."""


@dataclass(frozen=True)
class ReleasedLangevin:
    """d = e1 (R(h) - h) + e2 d log p(y | G(h)) / dh + N(0, e3^2);   h' = clip(h + step_size * d / mean|d|).

    clip: to the code space. The mean is taken per chain, over its units, so mean|h' - h| is step_size before the clip and the
    three scales set only ratios. A chain whose d is 0 has no direction to normalise and gets no update. Scales and step_size:
    a number or a schedule. The defaults are those of the released class example, whose codes are clipped to [0, 30].

    reset_every: k > 0 starts each chain afresh after the updates of steps k, 2k, 3k, ... (counted from 0, so k + 1 updates
    come before the first): h' ~ N(0, 1), not clipped, and from then on e1 ~ U(1e-6, 1e-2), carried as "prior_scale"
    `[chain]`. Both are functions of (seed, step). 0 never resets; the released unit examples use 100.

    Raises ValueError when reset_every is no whole number of at least 0, and for scales that are negative or not finite.
    """

    prior_scale: Scale = 1e-5
    condition_scale: Scale = 1.0
    noise_scale: Scale = 1e-17
    step_size: Scale = 1.0
    reset_every: int = 0

    def __post_init__(self) -> None:
        scales = {"prior_scale": self.prior_scale, "condition_scale": self.condition_scale, "noise_scale": self.noise_scale}
        check_scales("a sampler", **scales, step_size=self.step_size)
        if isinstance(self.reset_every, bool) or not isinstance(self.reset_every, int) or self.reset_every < 0:
            raise ValueError(
                f"a sampler got reset_every {self.reset_every!r}, expected a whole number of at least 0: pass 0 for no resets"
            )

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, not clipped, one seed per chain (else ValueError)."""
        return ChainState(code.detach().clone(), check_seeds(seeds))

    def step(self, state: ChainState, objective: Evaluator) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = objective.evaluate(state.code)
        scales = [scale_at(scale, state.step) for scale in (self.condition_scale, self.noise_scale)]
        noise = noise_for(state, scales[1])
        direction = self._prior_scale(state) * evaluation.direction  # scaled here, as resets give each chain its own e1
        total = update(torch.zeros_like(state.code), direction, evaluation.gradient, noise, 1.0, *scales)
        code = objective.space.clip(state.code + scale_at(self.step_size, state.step) * unit_mean(total))
        after = ChainState(code, state.seeds, state.step + 1, state.carry)
        resets = self.reset_every > 0 and state.step > 0 and state.step % self.reset_every == 0
        return (_reset(after, state.step) if resets else after), evaluation

    def _prior_scale(self, state: ChainState) -> float | Tensor:
        """e1 of this step: that of the last reset, `[chain, 1, ...]`, or the setting before the first reset."""
        if "prior_scale" not in state.carry:
            return scale_at(self.prior_scale, state.step)
        return state.carry["prior_scale"].to(state.code).reshape(-1, *[1] * (state.code.ndim - 1))


def unit_mean(direction: Tensor) -> Tensor:
    """direction / mean|direction|, the mean over all but the first axis: `[chain, ...]`; zeros stay zeros."""
    mean = direction.abs().reshape(len(direction), -1).mean(1).reshape(-1, *[1] * (direction.ndim - 1))
    return direction / mean.clamp_min(torch.finfo(direction.dtype).tiny)


def _reset(after: ChainState, step: int) -> ChainState:
    """The state `after` a step with code N(0, 1) and prior scale U(1e-6, 1e-2), drawn from (seed, step)."""
    dtype, device = after.code.dtype, after.code.device
    code = normal(after.seeds, step, after.code.shape[1:], stream=Stream.RESET_CODE, dtype=dtype, device=device)
    low, high = RESET_PRIOR_SCALES
    drawn = uniform(after.seeds, step, (), stream=Stream.RESET_PRIOR_SCALE, dtype=dtype, device=device)
    return ChainState(code, after.seeds, after.step, {**after.carry, "prior_scale": low + (high - low) * drawn})
