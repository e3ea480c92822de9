"""A denoiser of codes at every noise level: a score model of p(code), and by its probability flow a source of codes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class NoiseLevelDenoiserConfig:
    """Residual blocks of an MLP, and the steps of the probability flow.

    A level is the standard deviation of the noise in units of each unit's own standard deviation. The flow takes `steps` levels
    from `highest` to `lowest`, spaced as in Karras et al. 2022, Eq. 5, with rho 7.
    """

    code_size: int = 512
    width: int = 1024
    blocks: int = 3
    highest: float = 20.0
    lowest: float = 0.02
    steps: int = 25


class NoiseLevelDenoiser(nn.Module):
    """D(code; level), the mean of the real codes that a noisy code may come from, for fc6 BEFORE its ReLU.

    Preconditioned as EDM (Karras et al. 2022, Table 1, for standardised data): D(z; s) = c_skip z + c_out F(c_in z; ln s / 4)
    with c_skip = 1 / (s^2 + 1), c_out = s / sqrt(s^2 + 1), c_in = 1 / sqrt(s^2 + 1). D(z; s) - z is s^2 times the score of the
    codes' density smoothed by s. It models fc6 before the ReLU because a density with a corner at 0 has no score there.
    """

    architecture = "noise_level_denoiser"
    mean: Tensor
    std: Tensor

    def __init__(self, config: NoiseLevelDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.code_size))
        self.register_buffer("std", torch.ones(config.code_size))
        self.embed = nn.Sequential(nn.Linear(64, config.width), nn.SiLU())
        self.first = nn.Linear(config.code_size, config.width)
        self.blocks = nn.ModuleList(_Block(config.width) for _ in range(config.blocks))
        self.last = nn.Linear(config.width, config.code_size)
        nn.init.zeros_(self.last.weight)

    def fit(self, codes: Tensor) -> None:
        """Takes mean and standard deviations from codes before the ReLU `[code, unit]`."""
        self.mean, self.std = codes.mean(0), codes.std(0).clamp_min(1e-3)

    def standardised(self, code: Tensor) -> Tensor:
        """Codes before the ReLU -> codes in units of each unit's standard deviation, `[chain, code]`."""
        return (code - self.mean) / self.std

    def codes(self, standard: Tensor) -> Tensor:
        """The inverse of `standardised`."""
        return self.mean + self.std * standard

    def linear(self, standard: Tensor, level: Tensor) -> Tensor:
        """c_skip z, the denoiser of a standard Gaussian: z / (s^2 + 1) of codes `[chain, code]` at levels `[chain, 1]`."""
        return standard / (level**2 + 1)

    def scales(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """c_out = s / sqrt(s^2 + 1) and 1 / c_in = sqrt(s^2 + 1) of levels `[chain, 1]`."""
        root = (level**2 + 1).sqrt()
        return level / root, root

    def embedded(self, level: Tensor) -> Tensor:
        """Features `[chain, width]` of ln s / 4 of levels s `[chain, 1]`, in the type of the weights."""
        frequencies = 2.0 ** torch.linspace(-2, 4, 32, device=level.device)
        angles = level.log() / 4 * frequencies * math.pi
        return self.embed(torch.cat([angles.sin(), angles.cos()], 1).to(self.first.weight.dtype))

    def residual(self, scaled: Tensor, level: Tensor) -> Tensor:
        """F of c_in z `[chain, code]` at levels `[chain, 1]`.

        It computes in the precision of its weights and returns the codes' type.
        """
        embedded, hidden = self.embedded(level), self.first(scaled.to(self.first.weight.dtype))
        for block in self.blocks:
            hidden = block(hidden, embedded)
        return self.last(hidden).to(scaled.dtype)

    def denoise_standardised(self, standard: Tensor, level: Tensor | float) -> Tensor:
        """D of standardised codes `[chain, *code]` at one level, or at one level per chain, `[chain]`."""
        level = torch.as_tensor(level, dtype=standard.dtype, device=standard.device).expand(len(standard))
        level = level.reshape(-1, *[1] * (standard.ndim - 1))
        out, divisor = self.scales(level)
        return self.linear(standard, level) + out * self.residual(standard / divisor, level)

    def denoise(self, code: Tensor, level: Tensor | float) -> Tensor:
        """D of codes `[chain, code]` before the ReLU, in code units; the level stays in units of each unit's std."""
        return self.codes(self.denoise_standardised(self.standardised(code), level))

    def begin(self, noise: Tensor, level: Tensor | float) -> Tensor:
        """The flow's begin at a level far above the codes' spread: standard normal noise `[chain, code]` times the level."""
        return noise * level

    def step(self, standard: Tensor, denoised: Tensor, level: Tensor | float, following: Tensor | float) -> Tensor:
        """An Euler step of the flow dz / ds = (z - D) / s (Karras et al. 2022, Eq. 1) from a level to the following."""
        return denoised + (standard - denoised) * (following / level)

    def levels(self, steps: int | None = None) -> Tensor:
        """The levels of the flow, `[steps + 1]`: from the highest to the lowest, then 0. steps: by default the config's."""
        config, rho = self.config, 7.0
        ramp = torch.linspace(0, 1, config.steps if steps is None else steps, device=self.mean.device)
        top, bottom = config.highest ** (1 / rho), config.lowest ** (1 / rho)
        return torch.cat([(top + ramp * (bottom - top)) ** rho, ramp.new_zeros(1)])

    def forward(self, noise: Tensor) -> Tensor:
        """Codes `[chain, code]` after the ReLU, from standard normal noise `[chain, code]`; see `before_relu`."""
        return functional.relu(self.before_relu(noise))

    def before_relu(self, noise: Tensor) -> Tensor:
        """Codes before the ReLU from standard normal noise, both `[chain, code]`: the same noise gives the same code."""
        return self.codes(self.flow(noise))

    def flow(self, noise: Tensor) -> Tensor:
        """Standardised codes `[chain, code]` from standard normal noise `[chain, code]`.

        One `step` of the probability flow from each level to the next, from the highest to 0.
        """
        levels = self.levels()
        standard = self.begin(noise, levels[0])
        for level, following in zip(levels, levels[1:], strict=False):
            standard = self.step(standard, self.denoise_standardised(standard, level), level, following)
        return standard


class _Block(nn.Module):
    """x + W2 SiLU(W1 norm(x) + embedded level)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.level, self.last = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        return hidden + self.last(functional.silu(self.first(self.norm(hidden)) + self.level(embedded)))
