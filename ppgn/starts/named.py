"""Starts that a recipe can name: settings with `draw(seeds, draws, space, passes) -> codes [draw, chain, *code]`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ppgn.probe import Passes
from ppgn.starts.draws import drawn_codes, random_code
from ppgn.types import CodeSpace, real, shown


@dataclass(frozen=True)
class Normal:
    """N(mean, std^2), clipped from below at the lowest code of the space; ValueError for a negative std."""

    mean: float = 0.0
    std: float = 1.0
    codes: ClassVar[tuple[str, ...]] = ("codes", "pixels", "fourier", "phase")

    def __post_init__(self) -> None:
        _check(self)

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, each a function of its chain's seed and the number of the draw alone."""
        return _random(self, seeds, draws, space, passes, space.low)


@dataclass(frozen=True)
class Unclipped:
    """N(mean, std^2) with its negative entries, as released (docs/released-code.md, section 2); ValueError for a negative std."""

    mean: float = 0.0
    std: float = 1.0
    codes: ClassVar[tuple[str, ...]] = ("codes", "pixels")

    def __post_init__(self) -> None:
        _check(self)

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, each a function of its chain's seed and the number of the draw alone."""
        return _random(self, seeds, draws, space, passes, None)


@dataclass(frozen=True)
class GaussianCodes:
    """Codes by a Gaussian that was fitted to codes of real pictures: the bundle's "start"."""

    codes: ClassVar[tuple[str, ...]] = ("codes", "before_relu")
    part: ClassVar[str] = "start"

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, all draws in one pass of the model."""
        return _modelled(self.part, seeds, draws, space, passes)


@dataclass(frozen=True)
class NoiseLevelCodes:
    """Codes by the bundle's score model of codes, "noise_level", along its probability flow."""

    codes: ClassVar[tuple[str, ...]] = ("codes", "before_relu")
    part: ClassVar[str] = "noise_level"

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, all draws in one pass of the model."""
        return _modelled(self.part, seeds, draws, space, passes)


@dataclass(frozen=True)
class MeanCodes:
    """The mean of the bundle's codes with noise, mean + N(0, std^2), clipped to the space; ValueError for a negative std.

    0.1 is the noise with which BigGAN-AM begins at the mean class embedding. Annealed samplers, which add the noise of their
    first level, begin with 0.
    """

    std: float = 0.1
    codes: ClassVar[tuple[str, ...]] = ("codes", "before_relu")

    def __post_init__(self) -> None:
        _check(Normal(0.0, self.std))

    def draw(self, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
        """Codes `[draw, chain, *code]`, each a function of its chain's seed and the number of the draw alone."""
        given = {"mean": space.mean, "std": self.std, "device": passes.device}
        return space.clip(torch.stack([random_code(seeds, space.shape, **given, draw=number) for number in draws]))


def _check(start: Normal | Unclipped) -> None:
    if not math.isfinite(real(start.mean)) or not 0 <= real(start.std) < math.inf:
        raise ValueError(
            f"a start got mean {shown(start.mean)} and std {shown(start.std)}, expected finite numbers and a std of at least 0: "
            f"correct them"
        )


def _random(
    start: Normal | Unclipped,
    seeds: Sequence[int],
    draws: Sequence[int],
    space: CodeSpace,
    passes: Passes,
    low: float | Tensor | None,
) -> Tensor:
    given = {"mean": start.mean, "std": start.std, "low": low, "device": passes.device}
    return torch.stack([random_code(seeds, space.shape, **given, draw=number) for number in draws])


def _modelled(part: str, seeds: Sequence[int], draws: Sequence[int], space: CodeSpace, passes: Passes) -> Tensor:
    model = passes.part(part, "model of its codes to start from")
    draw = model if space.relu else getattr(model, "before_relu", model)  # a foreign model knows codes of one kind only
    return drawn_codes(seeds, space.shape, draw, draws, passes.device)
