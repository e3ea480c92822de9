"""Priors without a network: none, a Gaussian, decay, bounds, and sums of priors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn.types import Code, Image, LogProb, Prior, shown


@dataclass(frozen=True)
class NoPrior:
    """No opinion about codes: a direction of zeros, as in DGN-AM (Nguyen et al. 2016)."""

    def __call__(self, code: Code, image: Image) -> Code:
        return torch.zeros_like(code)


class Gaussian:
    """p(code) = N(mean, std^2) for each unit; direction = std^2 * score = mean - code.

    The direction does not depend on std, the density and hence the right scale beside a condition does: a Langevin
    chain with prior_scale = condition_scale / std^2 follows the score of log p(code) + log p(y | G(code)). mean and
    std are floats or tensors that broadcast to `[chain, *code]`. Raises ValueError unless std > 0.
    """

    def __init__(self, mean: float | Tensor = 0.0, std: float | Tensor = 1.0) -> None:
        spread, centre = torch.as_tensor(std), torch.as_tensor(mean)
        fits = ((spread > 0) & (spread < torch.inf)).all(), centre.isfinite().all()
        if not all(bool(one) for one in fits if not one.is_meta):
            raise ValueError(
                f"a Gaussian prior got mean {shown(mean)} and std {shown(std)}, expected finite numbers: pass std > 0"
            )
        self.mean = mean
        self.std = std

    def __call__(self, code: Code, image: Image) -> Code:
        return torch.as_tensor(self.mean, dtype=code.dtype, device=code.device) - code

    def log_prob(self, code: Code) -> LogProb:
        """log N(code; mean, std^2), summed over units: `[chain]`, in nats."""
        mean = torch.as_tensor(self.mean, dtype=code.dtype, device=code.device)
        std = torch.as_tensor(self.std, dtype=code.dtype, device=code.device)
        per_unit = -0.5 * ((code - mean) / std) ** 2 - std.log() - 0.5 * math.log(2 * math.pi)
        return per_unit.reshape(len(code), -1).sum(1)


class Decay:
    """direction = (factor - 1) * code: with prior_scale 1 and nothing else, h' = factor * h at every step.

    The L2 decay of the released DGN-AM code, -0.01 * code; there it comes after the clip, as in `samplers.Ascent`. It is
    the Gaussian prior around 0 with prior_scale 1 - factor. Raises ValueError unless 0 < factor <= 1.
    """

    def __init__(self, factor: float = 0.99) -> None:
        if not 0 < factor <= 1:
            raise ValueError(f"a decay prior got factor {factor}, expected it in (0, 1]: pass 0.99 as released, or 1 for none")
        self.factor = factor

    def __call__(self, code: Code, image: Image) -> Code:
        return (self.factor - 1) * code


class Bounds:
    """direction = clip(code, low, high) - code, each unit by itself: 0 inside, with prior_scale 1 back to the bound outside.

    low and high: code units, floats or tensors that broadcast to `[chain, *code]`; the default [0, 30] is that of the
    released PPGN code. A sampler clips after its update where the code space has the bounds (`CodeSpace.low` and `high`).
    Raises ValueError when a low exceeds its high.
    """

    def __init__(self, low: float | Tensor = 0.0, high: float | Tensor = 30.0) -> None:
        if not bool(torch.all(torch.as_tensor(low) <= torch.as_tensor(high))):
            raise ValueError(f"bounds got low {shown(low)} and high {shown(high)}, expected low <= high: swap the two")
        self.low = low
        self.high = high

    @classmethod
    def from_statistics(cls, mean: float | Tensor, std: float | Tensor, spread: float = 3.0) -> Bounds:
        """[0, mean + spread * std], mean and std of each unit over real pictures: the bounds of DGN-AM (Nguyen et al. 2016).

        Raises ValueError where that is negative.
        """
        return cls(0.0, mean + spread * std)

    def clip(self, code: Code) -> Code:
        """The code `[chain, *code]` inside the bounds."""
        low, high = (torch.as_tensor(bound, dtype=code.dtype, device=code.device) for bound in (self.low, self.high))
        return torch.clamp(code, low, high)

    def __call__(self, code: Code, image: Image) -> Code:
        return self.clip(code) - code


class SumOfPriors:
    """direction = sum of weight * direction over several priors, one weight each (1 when none are given).

    Raises ValueError when there is no prior, or not one weight for each.
    """

    def __init__(self, priors: Sequence[Prior], weights: Sequence[float] | None = None) -> None:
        self.priors = tuple(priors)
        self.weights = (1.0,) * len(self.priors) if weights is None else tuple(weights)
        if not self.priors or len(self.weights) != len(self.priors):
            raise ValueError(
                f"a sum of priors got {len(self.priors)} priors and {len(self.weights)} weights, "
                f"expected at least one prior and one weight for each: pass as many weights as priors, or none"
            )

    def __call__(self, code: Code, image: Image) -> Code:
        total = torch.zeros_like(code)
        for weight, prior in zip(self.weights, self.priors, strict=True):
            total = total + weight * prior(code, image)
        return total

    def at_level(self, level: float) -> SumOfPriors:
        """The sum of the same priors at another noise level. With the weights w and 1 - w that is class-free guidance, of a score
        model with a prompt and without (Ho & Salimans 2022, Eq. 6). AttributeError for a prior that knows no levels."""
        found: list[Any] = list(self.priors)
        return SumOfPriors([prior.at_level(level) for prior in found], self.weights)

    def denoised(self, code: Code) -> Code:
        """code + sum of weight * (D(code) - code), `[chain, *code]`, of priors with noise levels."""
        found: list[Any] = list(self.priors)
        return code + sum(
            (weight * (prior.denoised(code) - code) for weight, prior in zip(self.weights, found, strict=True)),
            start=torch.zeros_like(code),
        )
