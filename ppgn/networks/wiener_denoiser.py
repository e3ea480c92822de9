"""A noise-level denoiser whose linear part is the Wiener filter of the codes' covariance."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ppgn.networks.noise_level_denoiser import NoiseLevelDenoiser, NoiseLevelDenoiserConfig


@dataclass(frozen=True)
class WienerDenoiserConfig(NoiseLevelDenoiserConfig):
    """The settings of NoiseLevelDenoiserConfig, and how many of the principal components the network sees."""

    components: int = 128
    width: int = 768
    highest: float = 40.0
    steps: int = 60


class WienerDenoiser(NoiseLevelDenoiser):
    """NoiseLevelDenoiser for codes whose units are correlated, so that a few principal components hold most of their variance.

    It works in the principal components of the standardised codes, of variances v, the largest first. Their Gaussian part is
    known in closed form; the network F adds what is not Gaussian in the first of them:

        D(z; s) = v / (v + s^2) z + c_out F(c_in z; ln s / 4),     F = 0 for the other components,

    c_out and c_in as in NoiseLevelDenoiser. Without training that is the Wiener filter, the exact denoiser of the Gaussian with
    the codes' mean and covariance (Wang & Vastola 2024, "The unreasonable effectiveness of Gaussian score approximation for
    diffusion models"). Raises ValueError for more components than a code has units.
    """

    architecture = "wiener_denoiser"
    variance: Tensor
    directions: Tensor
    stretch: Tensor

    def __init__(self, config: WienerDenoiserConfig) -> None:
        super().__init__(config)
        if not 1 <= config.components <= config.code_size:
            raise ValueError(
                f"a Wiener denoiser got {config.components} components for codes of {config.code_size} units, expected 1 to "
                f"{config.code_size}: correct the number"
            )
        self.components = config.components
        self.first, self.last = nn.Linear(config.components, config.width), nn.Linear(config.width, config.components)
        nn.init.zeros_(self.last.weight)
        self.register_buffer("variance", torch.ones(config.code_size))
        self.register_buffer("directions", torch.eye(config.code_size))
        self.register_buffer("stretch", torch.ones(config.code_size))

    def fit(self, codes: Tensor) -> None:
        """Takes mean, standard deviations and principal components from codes before the ReLU `[code, unit]`."""
        super().fit(codes)
        standard = super().standardised(codes).double()
        variance, directions = torch.linalg.eigh(standard.T @ standard / len(standard))
        self.variance, self.directions = variance.flip(0).clamp_min(1e-6).to(codes), directions.flip(1).to(codes).contiguous()

    def standardised(self, code: Tensor) -> Tensor:
        """Codes before the ReLU -> principal components of the standardised codes, `[chain, code]`."""
        return super().standardised(code) @ self.directions

    def codes(self, standard: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        return super().codes(standard @ self.directions.T)

    def linear(self, standard: Tensor, level: Tensor) -> Tensor:
        """The Wiener filter, v / (v + s^2) z, of codes `[chain, code]` at levels `[chain, 1]`."""
        return standard * self.variance / (self.variance + level**2)

    def residual(self, scaled: Tensor, level: Tensor) -> Tensor:
        """F of the first components, 0 for the others: `[chain, code]`, at levels `[chain, 1]`."""
        found = super().residual(scaled[:, : self.components], level)
        return nn.functional.pad(found, (0, scaled.shape[1] - self.components))

    def begin(self, noise: Tensor, level: Tensor | float) -> Tensor:
        """Codes that are noised to a level, from standard normal noise `[chain, code]`: N(0, v + s^2)."""
        return noise * (self.variance + level**2).sqrt()

    def step(self, standard: Tensor, denoised: Tensor, level: Tensor | float, following: Tensor | float) -> Tensor:
        """A step of the probability flow from a level s to the following s', exact for a Gaussian.

        With u = z / sqrt(v + s^2) and the angle a = atan(s / sqrt(v)) the flow is

            du / da = (D(z; s) - v / (v + s^2) z) / (s sqrt(v / (v + s^2))),

        0 for the Gaussian with the codes' covariance. The right side is held during the step.
        """
        level, following = (torch.as_tensor(value, dtype=standard.dtype, device=standard.device) for value in (level, following))
        spread, root = self.variance.sqrt(), (self.variance + level**2).sqrt()
        slope = (denoised - self.linear(standard, level)) * root / (level * spread)
        turn = torch.atan(level / spread) - torch.atan(following / spread)
        return (standard / root + slope * turn) * (self.variance + following**2).sqrt()

    def flow(self, noise: Tensor) -> Tensor:
        """Components `[chain, code]` from standard normal noise `[chain, code]`, stretched as `calibrate` found."""
        return super().flow(noise) * self.stretch

    @torch.no_grad()
    def calibrate(self, draws: int = 4000, seed: int = 0) -> None:
        """Sets the factor of each component that gives the flow's draws the variance of the codes.

        A network that is not trained to the end underestimates what it cannot predict, and its draws come out too short.
        """
        self.stretch = torch.ones_like(self.variance)
        noise = torch.randn(draws, len(self.variance), generator=torch.Generator().manual_seed(seed)).to(self.variance)
        drawn = torch.cat([self.flow(part) for part in noise.split(500)])
        self.stretch[: self.components] = (self.variance / drawn.var(0)).sqrt()[: self.components]
