"""The sampler of the released PPGN code, which is not Eq. 11 to the letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ppgn.objective import Objective
from ppgn.samplers.langevin import CodeRange, Scale, check_range, clip, noise_for, scale_at, update
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, Evaluation


@dataclass(frozen=True)
class ReleasedLangevin:
    """d = e1 (R(h) - h) + e2 d log p(y | G(h)) / dh + N(0, e3^2);   h' = clip(h + step_size * d / mean|d|).

    The mean is taken over the units of each chain, so mean|h' - h| is step_size before the clip and the three scales
    set only ratios. A chain whose d is 0 has no direction to normalise and gets no update. Scales and step_size: a
    float or a function of the step. The defaults are those of the released class example, the range that of
    CaffeNet's fc6. Raises ValueError when the range's low exceeds its high.
    """

    objective: Objective
    prior_scale: Scale = 1e-5
    condition_scale: Scale = 1.0
    noise_scale: Scale = 1e-17
    step_size: Scale = 1.0
    code_range: CodeRange | None = (0.0, 30.0)

    def __post_init__(self) -> None:
        check_range(self.code_range)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        """The state before the first step: code `[chain, *code]`, not clipped, one seed per chain (else ValueError)."""
        return ChainState(code.detach().clone(), check_seeds(seeds))

    def step(self, state: ChainState) -> tuple[ChainState, Evaluation]:
        """The state after the update, and the evaluation of the code before it."""
        evaluation = self.objective.evaluate(state.code)
        scales = [scale_at(scale, state.step) for scale in (self.prior_scale, self.condition_scale, self.noise_scale)]
        noise = noise_for(state, scales[2])
        total = update(torch.zeros_like(state.code), evaluation.direction, evaluation.gradient, noise, *scales)
        code = state.code + scale_at(self.step_size, state.step) * _normalise(total)
        return ChainState(clip(code, self.code_range), state.seeds, state.step + 1), evaluation


def _normalise(total: Code) -> Code:
    """total / mean|total|, the mean over each chain's units: `[chain, *code]`; zeros stay zeros."""
    mean = total.abs().reshape(len(total), -1).mean(1).reshape(-1, *[1] * (total.ndim - 1))
    return total / mean.clamp_min(torch.finfo(total.dtype).tiny)
