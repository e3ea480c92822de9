"""Discriminators of an image and its code: the published one, and ours on pixels and on the feature maps of the trunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from training.convolutions import Convolution
from training.losses import unit_channels
from training.matching import as_vector, matched


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Kind and sizes of a discriminator.

    kind: "projection" is ours, with spectral normalisation and a projection on the code (Miyato & Koyama 2018); "published" is
    that of DGN-AM and PPGN, with convolutions 7/4, 5/1, 3/2, 3/1, 3/2 (kernel/stride), a branch for the code and dropout 0.5.
    The rest is for "projection". widths: channels of its convolutions on pixels (kernel 4, stride 2). feature_width: channels
    of the heads on the trunk's last `feature_maps` maps (as in Projected GAN, Sauer et al. 2021); 0: no heads. code_scale:
    divides the code, for both kinds.
    """

    kind: Literal["projection", "published"] = "projection"
    widths: tuple[int, ...] = (48, 96, 192, 288)
    feature_width: int = 0
    feature_maps: int = 2
    code_scale: float = 1.0


class ProjectionHead(nn.Module):
    """Score of a map: unconditional(map) + mean over places of <map, linear(code)> (`matched`).

    code_size: units of a code, channels of one that is a map.
    """

    def __init__(self, width: int, code_size: int) -> None:
        super().__init__()
        self.unconditional = spectral_norm(Convolution(width, 1, 1))
        self.code = spectral_norm(nn.Linear(code_size, width, bias=False))

    def forward(self, activation: Tensor, code: Tensor) -> Tensor:
        """Scores `[picture]` of a map `[picture, channel, height, width]` and a code `[picture, *code]`."""
        return self.unconditional(activation).mean((1, 2, 3)) + matched(activation, code, self.code)


class ProjectionDiscriminator(nn.Module):
    """One score per picture from the pixels, and one from each of the frozen trunk's last maps where heads look at them."""

    def __init__(self, config: DiscriminatorConfig, channels: int, map_channels: Sequence[int], code_size: int) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        for width in config.widths:
            layers += [spectral_norm(Convolution(channels, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
            channels = width
        self.pixels = nn.Sequential(*layers)
        self.pixel_head = ProjectionHead(channels, code_size)
        width = config.feature_width
        self.map_towers = nn.ModuleList(_tower(size, width) for size in map_channels[-config.feature_maps :] if width)
        self.map_heads = nn.ModuleList(ProjectionHead(width, code_size) for _ in self.map_towers)

    def forward(self, image: Tensor, maps: Sequence[Tensor], code: Tensor) -> Tensor:
        """Scores `[picture, view]`: from the pixels first, then from the maps."""
        code = code / self.config.code_scale
        scores = [self.pixel_head(self.pixels(2 * image - 1), code)]
        for tower, head, feature_map in zip(self.map_towers, self.map_heads, maps[-self.config.feature_maps :], strict=False):
            scores.append(head(tower(unit_channels(feature_map, feature_map.shape[1] ** 0.5)), code))
        return torch.stack(scores, 1)


def _tower(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(Convolution(channels, width, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(Convolution(width, width, 3, 2, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(Convolution(width, width, 3, 1, 1)),
        nn.LeakyReLU(0.2),
    )


class PublishedDiscriminator(nn.Module):
    """The discriminator of DGN-AM and PPGN as released, its two-way softmax written as one logit."""

    def __init__(self, config: DiscriminatorConfig, channels: int, map_channels: Sequence[int], code_size: int) -> None:
        super().__init__()
        self.config = config
        shapes = ((32, 7, 4), (64, 5, 1), (128, 3, 2), (256, 3, 1), (256, 3, 2))
        layers: list[nn.Module] = []
        for width, kernel, stride in shapes:
            layers += [Convolution(channels, width, kernel, stride, padding=kernel // 2), nn.ReLU()]
            channels = width
        self.pixels = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.code = nn.Sequential(nn.Linear(code_size, 1024), nn.ReLU(), nn.Linear(1024, 512), nn.ReLU())
        self.joint = nn.Sequential(nn.Dropout(0.5), nn.Linear(channels + 512, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 1))

    def forward(self, image: Tensor, maps: Sequence[Tensor], code: Tensor) -> Tensor:
        """Scores `[picture, 1]`."""
        seen = torch.cat([self.pixels(2 * image - 1), self.code(as_vector(code) / self.config.code_scale)], 1)
        return self.joint(seen)


def build_discriminator(
    config: DiscriminatorConfig, channels: int, map_channels: Sequence[int], code_size: int
) -> ProjectionDiscriminator | PublishedDiscriminator:
    """The discriminator of a kind for pictures of `channels` channels and trunk maps of `map_channels` channels each.

    code_size: units of a code, channels of one that is a map.
    """
    kind = ProjectionDiscriminator if config.kind == "projection" else PublishedDiscriminator
    return kind(config, channels, map_channels, code_size)


def check_depth(config: DiscriminatorConfig, size: tuple[int, int]) -> None:
    """Raises ValueError when the convolutions on pixels would halve pictures of (height, width) to nothing."""
    widths, deepest = len(config.widths), min(size).bit_length() - 1
    if config.kind == "projection" and widths > deepest:
        raise ValueError(
            f"{widths} discriminator widths halve {size[0]}x{size[1]} pictures to nothing, expected at most {deepest}: "
            f"give fewer widths"
        )


def judge_both(
    discriminator: ProjectionDiscriminator | PublishedDiscriminator,
    real: tuple[Tensor, Sequence[Tensor]],
    made: tuple[Tensor, Sequence[Tensor]],
    code: Tensor,
) -> tuple[Tensor, Tensor]:
    """Scores of real and of made (pictures, maps) of the same codes, in one pass and so with the same spectral norms.

    No gradient flows to pictures and maps.
    """
    config = discriminator.config
    maps = [one[1][-config.feature_maps :] if config.feature_width else [] for one in (real, made)]
    both = [torch.cat([first, second.detach()]) for first, second in zip(*maps, strict=True)]
    on_real, on_made = discriminator(torch.cat([real[0], made[0].detach()]), both, torch.cat([code, code])).chunk(2)
    return on_real, on_made


def augment_alike(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of pictures under the same differentiable augmentation (Zhao et al. 2020).

    Brightness, saturation, translation by up to an eighth of each side, and a cut-out of half of each side.
    """
    count, device, (height, width) = len(first), first.device, first.shape[-2:]
    brightness = torch.rand(count, 1, 1, 1, device=device) - 0.5
    saturation = torch.rand(count, 1, 1, 1, device=device) * 2
    reach = (max(1, height // 8), max(1, width // 8))
    moves = torch.stack([torch.randint(2 * far + 1, (count,), device=device) for far in reach], 1).tolist()
    hole = _cut(count, height, device)[:, None, :, None] & _cut(count, width, device)[:, None, None, :]

    def apply(image: Tensor) -> Tensor:
        image = image + brightness
        grey = image.mean(1, keepdim=True)
        image = (image - grey) * saturation + grey
        return _move(image, moves, reach).masked_fill(hole, 0.5)

    return apply(first), apply(second)


def _cut(count: int, side: int, device: torch.device) -> Tensor:
    """Places inside a random interval of half the side, which may reach past either end, `[picture, side]`."""
    start = torch.randint(-side // 4, side, (count, 1), device=device)
    places = torch.arange(side, device=device)
    return (places >= start) & (places < start + side // 2)


def _move(image: Tensor, moves: list[list[int]], reach: tuple[int, int]) -> Tensor:
    """Each picture cut out of its copy in a grey frame `reach` wide, from the (row, column) in `moves` on."""
    height, width = image.shape[-2:]
    padded = functional.pad(image, (reach[1], reach[1], reach[0], reach[0]), value=0.5)
    return torch.stack([p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, moves, strict=True)])
