"""An adversary on the maps of a frozen trunk, mixed at random and for good (Projected GAN, Sauer et al. 2021), and on pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from training.convolutions import Convolution
from training.matching import matched

SLOPE = 0.2
"""Of the LeakyReLUs."""
LEAST_DEVIATION = 0.05
"""Least standard deviation by which a channel of a map is divided."""


@dataclass(frozen=True)
class ProjectedConfig:
    """Sizes of the projected adversary.

    mixed: channels of each mixed map, shallow to deep; a trunk with fewer maps takes the last ones. pixels: channels of the
    tower's convolutions (kernel 4, stride 2) on the picture. code_share: weight of the score that compares picture and code.
    """

    mixed: tuple[int, ...] = (64, 96, 160, 256)
    pixels: tuple[int, ...] = (48, 96, 192, 320)
    code_share: float = 0.125


class FrozenMixing(nn.Module):
    """Maps of the trunk, mixed by random weights that no training changes: they are buffers (Sauer et al. 2021, section 3.2).

    m_i = conv1x1(x_i / std_i) for each map, then from deep to shallow out_i = (m_i + conv3x3(enlarged out_(i+1))) / sqrt 2.
    Mixing channels and scales keeps the adversary from looking at a few channels of the trunk only.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.depth = len(channels)
        for index, (before, after) in enumerate(zip(channels, widths, strict=True)):
            self.register_buffer(f"one{index}", torch.randn(after, before, 1, 1) / math.sqrt(before))
            self.register_buffer(f"std{index}", torch.ones(1, before, 1, 1))
        for index, (after, before) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            self.register_buffer(f"three{index}", torch.randn(after, before, 3, 3) / math.sqrt(9 * before))

    @torch.no_grad()
    def fit(self, maps: Sequence[Tensor]) -> FrozenMixing:
        """Take the standard deviations of the channels from maps of real pictures; returns itself."""
        for index, feature_map in enumerate(maps):
            deviation = feature_map.float().std((0, 2, 3), keepdim=True).clamp_min(LEAST_DEVIATION)
            getattr(self, f"std{index}").copy_(deviation)
        return self

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Mixed maps of the same places, shallow to deep. maps: `[picture, channel, height, width]` each."""
        mixed: list[Tensor] = []
        for index in range(self.depth - 1, -1, -1):
            own = maps[index] / self._like("std", index, maps[index])
            own = functional.conv2d(own, self._like("one", index, own))
            if mixed:
                below = functional.interpolate(mixed[-1], size=own.shape[-2:], mode="nearest")
                three = functional.conv2d(below, self._like("three", index, below), padding=1)
                own = (own + three) / math.sqrt(2)
            mixed.append(own)
        return mixed[::-1]

    def _like(self, name: str, index: int, other: Tensor) -> Tensor:
        return getattr(self, f"{name}{index}").to(other.dtype)


class CodeScore(nn.Module):
    """mean over places of score(map) + share <mean of the map over places, linear(code)> (Miyato & Koyama 2018): `[picture]`."""

    def __init__(self, width: int, code_size: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.place = spectral_norm(Convolution(width, 1, 1))
        self.code = spectral_norm(nn.Linear(code_size, width, bias=False))

    def forward(self, feature_map: Tensor, code: Tensor) -> Tensor:
        own = matched(feature_map.float(), code, lambda code: self.code(code).float())
        return self.place(feature_map).float().mean((1, 2, 3)) + self.share * own


class ProjectedDiscriminator(nn.Module):
    """A tower of spectrally normalised convolutions for each mixed map of the trunk, and one for the pixels; a score each.

    map_channels: of the trunk's maps, shallow to deep, each about half as high and wide as the one before.
    """

    def __init__(self, config: ProjectedConfig, channels: int, map_channels: Sequence[int], code_size: int) -> None:
        super().__init__()
        self.config = config
        if len(map_channels) > len(config.mixed):
            raise ValueError(
                f"the trunk gives {len(map_channels)} maps, expected at most {len(config.mixed)}, as `mixed`: give more widths"
            )
        widths = config.mixed[-len(map_channels) :]
        self.mixing = FrozenMixing(map_channels, widths)
        towers = [_tower(width, widths[index + 1 :]) for index, width in enumerate(widths)]
        towers.append(_tower(channels, config.pixels))
        last = [(widths[index], *widths[index + 1 :])[-1] for index in range(len(widths))]
        self.towers = nn.ModuleList(towers)
        self.scores = nn.ModuleList(CodeScore(width, code_size, config.code_share) for width in (*last, config.pixels[-1]))

    def forward(self, picture: Tensor, mixed: Sequence[Tensor], code: Tensor) -> Tensor:
        """Scores `[picture, tower]`: of the mixed maps first, of the pixels last. code: divided by its scale."""
        seen = [*mixed, 2 * picture - 1]
        scored = zip(self.scores, self.towers, seen, strict=True)
        return torch.stack([score(tower(view), code) for score, tower, view in scored], 1)


def _tower(channels: int, widths: Sequence[int]) -> nn.Sequential:
    """Convolutions 4x4 that halve the map, then one 3x3 that keeps it."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [spectral_norm(Convolution(channels, width, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
        channels = width
    return nn.Sequential(*layers, spectral_norm(Convolution(channels, channels, 3, 1, 1)), nn.LeakyReLU(SLOPE))
