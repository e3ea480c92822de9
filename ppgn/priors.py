"""Priors: (code, image = G(code)) -> direction `[chain, *code]`, about sigma^2 * d log p(code) / d code.

The objective calls them without gradient, after the conditions, with the very image tensor that the conditions saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppgn.types import Code, Encoder, Image, LogProb, Prior


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
        if not bool(torch.all(torch.as_tensor(std) > 0)):
            raise ValueError(f"a Gaussian prior got std {std}, expected positive numbers: pass std > 0")
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


class Denoiser:
    """direction = R(code) - code, R a denoising auto-encoder on codes: about sigma^2 * score (Alain & Bengio 2014).

    The prior of PPGN-h. Raises ValueError when R returns another shape than the code's.
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network

    def __call__(self, code: Code, image: Image) -> Code:
        return _towards("the denoiser", self.network(code), code)


class Reconstruction:
    """direction = E(image) - code with image = G(code): the joint PPGN-h prior, R(h) = E(G(h)).

    The generator pass is the objective's own. Raises ValueError when E returns another shape than the code's.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def __call__(self, code: Code, image: Image) -> Code:
        return _towards("the encoder", self.encoder(image), code)


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
                f"expected at least one prior and one weight for each"
            )

    def __call__(self, code: Code, image: Image) -> Code:
        total = torch.zeros_like(code)
        for weight, prior in zip(self.weights, self.priors, strict=True):
            total = total + weight * prior(code, image)
        return total


def _towards(who: str, goal: Code, code: Code) -> Code:
    if goal.shape != code.shape:  # broadcasting would hide it
        raise ValueError(
            f"{who} of the prior returned shape {tuple(goal.shape)}, expected the code's {tuple(code.shape)}: "
            f"use a network that was made for this code"
        )
    return goal - code
