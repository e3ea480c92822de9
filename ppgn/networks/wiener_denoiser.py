"""A noise-level denoiser whose linear part is the Wiener filter of the codes' covariance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.networks.noise_level_denoiser import NoiseLevelDenoiser, NoiseLevelDenoiserConfig


@dataclass(frozen=True)
class WienerDenoiserConfig(NoiseLevelDenoiserConfig):
    """The settings of NoiseLevelDenoiserConfig."""

    steps: int = 60


class WienerDenoiser(NoiseLevelDenoiser):
    """NoiseLevelDenoiser for codes whose units are correlated, which makes a few directions far longer than the others.

    It works in the principal directions of the standardised codes, of variances v. There the Gaussian part of the codes is known:

        D(z; s) = v / (v + s^2) z + s sqrt(v / (v + s^2)) F(z / sqrt(v + s^2); ln s / 4),

    the Wiener filter and what the network F adds to it. Without training it is the exact denoiser of the Gaussian with the codes'
    mean and covariance (Wang & Vastola 2024, "The unreasonable effectiveness of Gaussian score approximation for diffusion
    models"). Where v = 1 it is NoiseLevelDenoiser.
    """

    architecture = "wiener_denoiser"
    variance: Tensor
    directions: Tensor

    def __init__(self, config: WienerDenoiserConfig) -> None:
        super().__init__(config)
        self.register_buffer("variance", torch.ones(config.code_size))
        self.register_buffer("directions", torch.eye(config.code_size))

    def fit(self, codes: Tensor) -> None:
        """Takes mean, standard deviations and principal directions from codes before the ReLU `[code, unit]`."""
        super().fit(codes)
        standard = ((codes - self.mean) / self.std).double()
        variance, directions = torch.linalg.eigh(standard.T @ standard / len(standard))
        self.variance, self.directions = variance.clamp_min(1e-6).to(codes), directions.to(codes)

    def standardised(self, code: Tensor) -> Tensor:
        """Codes before the ReLU -> components along the principal directions of the standardised codes, `[chain, code]`."""
        return super().standardised(code) @ self.directions

    def codes(self, standard: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        return super().codes(standard @ self.directions.T)

    def linear(self, standard: Tensor, level: Tensor) -> Tensor:
        """The Wiener filter, v / (v + s^2) z, of codes `[chain, code]` at levels `[chain, 1]`."""
        return standard * self.variance / (self.variance + level**2)

    def scales(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """s sqrt(v / (v + s^2)) and sqrt(v + s^2) of levels `[chain, 1]`, each `[chain, code]`."""
        root = (self.variance + level**2).sqrt()
        return level * self.variance.sqrt() / root, root

    def begin(self, noise: Tensor, level: Tensor | float) -> Tensor:
        """Codes that are noised to a level, from standard normal noise `[chain, code]`: N(0, v + s^2)."""
        return noise * (self.variance + level**2).sqrt()

    def step(self, standard: Tensor, denoised: Tensor, level: Tensor | float, following: Tensor | float) -> Tensor:
        """A step of the probability flow from a level s to the following s', exact for a Gaussian.

        With u = z / sqrt(v + s^2) and the angle a = atan(s / sqrt(v)) the flow is du / da = F; F is held during the step.
        """
        level, following = (torch.as_tensor(value, dtype=standard.dtype, device=standard.device) for value in (level, following))
        out, root = self.scales(level)
        spread = self.variance.sqrt()
        turn = torch.atan(level / spread) - torch.atan(following / spread)
        return (standard / root + (denoised - self.linear(standard, level)) / out * turn) * (self.variance + following**2).sqrt()
