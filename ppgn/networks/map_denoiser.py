"""A denoiser of codes that are maps, at every noise level: a small transformer whose tokens are the places of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.networks.noise_level_denoiser import NoiseLevelDenoiser, NoiseLevelDenoiserConfig


@dataclass(frozen=True)
class MapDenoiserConfig(NoiseLevelDenoiserConfig):
    """The settings of NoiseLevelDenoiserConfig for codes `[channel, row, column]`; heads: of the attention between places.

    width should not be below the number of channels: a narrower token cannot hold the noise that it must tell from the code
    (Zheng et al. 2025, Section 4).
    """

    code_shape: tuple[int, ...] = (64, 8, 8)
    width: int = 256
    blocks: int = 4
    heads: int = 4
    steps: int = 30


class MapDenoiser(NoiseLevelDenoiser):
    """NoiseLevelDenoiser for codes that are maps: the same preconditioning and flow, F is a transformer (Peebles & Xie 2023).

    Mean and standard deviation are those of each unit. Each block is x + attention(norm(x, level)), then x + MLP(norm(x, level)),
    norm(x, level) = LayerNorm(x) (1 + scale(level)) + shift(level). Raises ValueError unless codes have three axes and heads
    divide the width.
    """

    architecture = "map_denoiser"

    def __init__(self, config: MapDenoiserConfig) -> None:
        nn.Module.__init__(self)
        if len(config.code_shape) != 3 or config.width % config.heads:
            raise ValueError(
                f"a denoiser of maps got codes of shape {list(config.code_shape)}, width {config.width}, {config.heads} heads, "
                f"expected [channel, row, column] and heads that divide the width: correct them"
            )
        self.config = config
        self.register_buffer("mean", torch.zeros(config.code_shape))
        self.register_buffer("std", torch.ones(config.code_shape))
        channels, places = config.code_shape[0], math.prod(config.code_shape[1:])
        self.embed = nn.Sequential(nn.Linear(64, config.width), nn.SiLU())
        self.first = nn.Linear(channels, config.width)
        self.place = nn.Parameter(0.02 * torch.randn(places, config.width))
        self.blocks = nn.ModuleList(_Block(config.width, config.heads) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.last = nn.Linear(config.width, channels)
        nn.init.zeros_(self.last.weight)

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code, `[channel, row, column]`."""
        return self.config.code_shape  # type: ignore[attr-defined, no-any-return]

    def residual(self, scaled: Tensor, level: Tensor) -> Tensor:
        """F of c_in z `[chain, channel, row, column]` at levels `[chain, 1, 1, 1]`, in the type of its weights."""
        dtype = self.first.weight.dtype
        embedded = self.embedded(level.flatten(1))
        hidden = self.first(scaled.flatten(2).transpose(1, 2).to(dtype)) + self.place.to(dtype)
        for block in self.blocks:
            hidden = block(hidden, embedded)
        return self.last(self.norm(hidden)).transpose(1, 2).unflatten(2, scaled.shape[2:]).to(scaled.dtype)


class _Block(nn.Module):
    """Attention between places, then an MLP of each place, both after a norm that the level scales and shifts."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.level = nn.Linear(width, 4 * width)
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        for layer in (self.out, self.narrow, self.level):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        first, second, third, fourth = self.level(embedded)[:, None].chunk(4, 2)
        seen = self.norms[0](hidden) * (1 + first) + second
        query, key, value = self.joint(seen).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        hidden = hidden + self.out(attended)
        seen = self.norms[1](hidden) * (1 + third) + fourth
        return hidden + self.narrow(functional.silu(self.wide(seen)))
