"""Priors that a network gives, and what a recipe says of them.

A recipe names a prior by a frozen dataclass of its settings. Where the prior needs networks of a bundle, that dataclass has
`bind(passes) -> Prior`; `codes` says which codes it is made for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ppgn.probe import Passes
from ppgn.types import Code, Encoder, Image, Prior


class Reconstruction:
    """direction = E(image) - code with image = G(code): the joint PPGN-h prior, R(h) = E(G(h)).

    The generator pass is the objective's own. Raises ValueError when E returns another shape than the code's.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    def __call__(self, code: Code, image: Image) -> Code:
        return towards("the encoder", self.encoder(image), code)


class Denoiser:
    """direction = R(code) - code, R a denoising auto-encoder on codes: about sigma^2 * score (Alain & Bengio 2014).

    The prior of PPGN-h. Raises ValueError when R returns another shape than the code's.
    """

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        self.network = network

    def __call__(self, code: Code, image: Image) -> Code:
        return towards("the denoiser", self.network(code), code)


class NoiseLevel:
    """direction = D(code; level) - code, D(code; s) the mean of the codes that a code with noise s may come from.

    That is exactly s^2 times the score of the codes' density smoothed by s (Miyasawa 1961; Karras et al. 2022, Eq. 3, levels in
    units of each code unit's own standard deviation if D takes them so). Raises ValueError unless level > 0, and when D returns
    another shape than the code's.
    """

    def __init__(self, denoise: Callable[[Tensor, float], Tensor], level: float) -> None:
        if not 0 < level < math.inf:
            raise ValueError(f"a noise-level prior got level {level}, expected more than 0: pass 0.3, say")
        self.denoise, self.level = denoise, level

    def __call__(self, code: Code, image: Image) -> Code:
        return towards("the denoiser", self.denoise(code, self.level), code)

    def denoised(self, code: Code) -> Code:
        """D(code; level), `[chain, *code]`."""
        return self.denoise(code, self.level)

    def at_level(self, level: float) -> NoiseLevel:
        """The same denoiser at another level."""
        return NoiseLevel(self.denoise, level)


@dataclass(frozen=True)
class ReconstructionPrior:
    """R(h) = E(G(h)): joint PPGN-h, with the bundle's encoder."""

    codes: ClassVar[str] = "codes"

    def bind(self, passes: Passes) -> Prior:
        """The prior over the pass of the encoder that the conditions share."""
        encoder = passes.encoder
        return Reconstruction(lambda image: encoder.code(passes.view(image)))


@dataclass(frozen=True)
class DenoiserPrior:
    """R(h) of the bundle's denoising auto-encoder on codes: PPGN-h."""

    codes: ClassVar[str] = "codes"

    def bind(self, passes: Passes) -> Prior:
        """The prior of the bundle's "denoiser"."""
        return Denoiser(passes.part("denoiser"))


@dataclass(frozen=True)
class PixelDenoiserPrior:
    """R_x(x) of the bundle's denoising auto-encoder on pixels: PPGN-x."""

    codes: ClassVar[str] = "pixels"

    def bind(self, passes: Passes) -> Prior:
        """The prior of the bundle's "pixel_denoiser"."""
        return Denoiser(passes.part("pixel_denoiser"))


@dataclass(frozen=True)
class NoiseLevelPrior:
    """D(h; level) of the bundle's score model of codes before their ReLU, where the chain then runs.

    Raises ValueError unless level > 0.
    """

    level: float = 0.5
    codes: ClassVar[str] = "before_relu"

    def __post_init__(self) -> None:
        if not 0 < self.level < math.inf:
            raise ValueError(f"a noise-level prior got level {self.level}, expected more than 0: pass 0.3, say")

    def bind(self, passes: Passes) -> Prior:
        """The prior of the bundle's "noise_level" model."""
        return NoiseLevel(passes.part("noise_level").denoise, self.level)


def towards(who: str, goal: Code, code: Code) -> Code:
    """The direction from the code to the goal. Raises ValueError, in the name of `who`, for a goal of another shape."""
    if goal.shape != code.shape:  # broadcasting would hide it
        raise ValueError(
            f"{who} of the prior returned shape {tuple(goal.shape)}, expected the code's {tuple(code.shape)}: "
            f"use a network that was made for this code"
        )
    return goal - code
