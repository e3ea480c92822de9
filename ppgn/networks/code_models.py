"""Models of codes: the denoiser of PPGN-h, and a distribution of codes fitted to real ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class CodeDenoiserConfig:
    """Seven layers. hidden: widths as shares of the code size; the default is the published 4096-2048-1024-500-1024-2048-4096.
    code_scale: divides codes in front of the layers and multiplies them behind."""

    code_size: int = 512
    hidden: tuple[float, ...] = (0.5, 0.25, 0.122, 0.25, 0.5)
    code_scale: float = 1.0


class CodeDenoiser(nn.Module):
    """R(code): the denoising auto-encoder that gives PPGN-h its prior, R(h) - h ~ sigma^2 * score (PPGN section 3.3)."""

    architecture = "code_denoiser"

    def __init__(self, config: CodeDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [
            config.code_size,
            *(max(1, round(share * config.code_size)) for share in config.hidden),
            config.code_size,
        ]
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(size_in, size_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, code: Tensor) -> Tensor:
        """Denoised codes `[chain, code]`."""
        return self.layers(code / self.config.code_scale) * self.config.code_scale


@dataclass(frozen=True)
class RectifiedGaussianConfig:
    """The number of units of a code."""

    code_size: int = 512


class RectifiedGaussian(nn.Module):
    """Random codes ReLU(mean + factor @ noise), fitted to fc6 before its ReLU over real pictures."""

    architecture = "rectified_gaussian"

    def __init__(self, config: RectifiedGaussianConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.code_size))
        self.register_buffer("factor", torch.eye(config.code_size))

    def fit(self, before_relu: Tensor) -> RectifiedGaussian:
        """Take mean and covariance from codes `[picture, code]`; a thousandth of the mean variance keeps the latter regular."""
        covariance = torch.cov(before_relu.double().T)
        ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(len(covariance), dtype=torch.float64)
        self.mean = before_relu.mean(0)
        self.factor = torch.linalg.cholesky(covariance + ridge).float()
        return self

    def forward(self, noise: Tensor) -> Tensor:
        """Codes `[chain, code]` of standard normal noise `[chain, code]`."""
        return torch.relu(self.before_relu(noise))

    def before_relu(self, noise: Tensor) -> Tensor:
        """mean + factor @ noise, `[chain, code]`, for standard normal noise `[chain, code]`."""
        return self.mean + noise @ self.factor.T
