"""A generator of modulated convolutions: code -> image, with a style for every layer and pictures added up over scales."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.images import Size, height_and_width

SLOPE = 0.2
"""Of all leaky ReLUs."""
GAIN = math.sqrt(2)
"""What a leaky ReLU takes off the size of maps, given back by the normalisation (He et al. 2015)."""


@dataclass(frozen=True)
class ModulatedGeneratorConfig:
    """`widths`: channels of each stage, which doubles the side of the maps from `base_size`; hidden, style, base_channels: widths
    of the fully connected layers in front."""

    code_size: int = 1024
    channels: int = 3
    hidden: int = 1024
    style: int = 512
    base_channels: int = 256
    base_size: Size = 4
    widths: tuple[int, ...] = (384, 256, 128, 64, 32)

    @property
    def base(self) -> tuple[int, int]:
        """(height, width) of the first map."""
        return height_and_width(self.base_size, "the first map")

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        height, width = self.base
        return height * 2 ** len(self.widths), width * 2 ** len(self.widths)


class ModulatedGenerator(nn.Module):
    """Code -> image `[chain, channel, height, width]` in [0, 1] (Karras et al. 2020, without noise and mapping network).

    code / code_scale -> leaky -> (a) style, (b) the first map. A stage doubles the map and convolves it twice, each convolution
    modulated by the style; a 1x1 convolution of its end is added to the bilinearly doubled sum of the stages before;
    image = 0.5 + 0.5 tanh(sum). No normalisation by a batch: training and evaluation are the same function.
    """

    architecture = "modulated_generator"
    code_scale: Tensor

    def __init__(self, config: ModulatedGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("code_scale", torch.ones(()))
        height, width = config.base
        self.hidden = nn.Linear(config.code_size, config.hidden)
        self.to_style = nn.Linear(config.hidden, config.style)
        self.to_base = nn.Linear(config.hidden, config.base_channels * height * width)
        for layer in (self.hidden, self.to_style, self.to_base):
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            nn.init.zeros_(layer.bias)
        self.up, self.refine, self.to_rgb = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = config.base_channels
        for after in config.widths:
            self.up.append(ModulatedConv2d(config.style, before, after))
            self.refine.append(ModulatedConv2d(config.style, after, after))
            to_rgb = nn.Conv2d(after, config.channels, 1)
            nn.init.normal_(to_rgb.weight, std=0.3 / math.sqrt(after))
            nn.init.zeros_(to_rgb.bias)  # pyright: ignore[reportArgumentType] - a Conv2d has one unless told otherwise
            self.to_rgb.append(to_rgb)
            before = after

    def forward(self, code: Tensor) -> Tensor:
        """The image of codes `[chain, code]`."""
        hidden = functional.leaky_relu(self.hidden(code / self.code_scale), SLOPE)
        style = functional.leaky_relu(self.to_style(hidden), SLOPE)
        base = functional.leaky_relu(self.to_base(hidden), SLOPE)
        maps = base.unflatten(1, (self.config.base_channels, *self.config.base)).contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for up, refine, to_rgb in zip(self.up, self.refine, self.to_rgb, strict=True):
            maps = refine(up(maps, style, doubled=True), style)
            shown = to_rgb(maps)
            if picture is not None:
                shown = shown + functional.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
            picture = shown
        assert picture is not None, "a generator has at least one stage"
        return 0.5 + 0.5 * torch.tanh(picture)


class ModulatedConv2d(nn.Module):
    """A 3x3 convolution whose weights a style scales per input channel, normalised per output channel, then leaky ReLU.

    y = leaky(conv(s x, w) sqrt(2) / sqrt(sum over inputs and taps of (s w)^2) + b), s = linear(style) (Karras et al. 2020,
    Eq. 1 to 3, computed on the maps instead of the weights, so that all chains share one convolution).
    """

    def __init__(self, style: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels_out, channels_in, 3, 3) / math.sqrt(9 * channels_in))
        self.bias = nn.Parameter(torch.zeros(channels_out))
        self.style = nn.Linear(style, channels_in)
        nn.init.normal_(self.style.weight, std=0.3 / math.sqrt(style))
        nn.init.ones_(self.style.bias)

    def forward(self, maps: Tensor, style: Tensor, doubled: bool = False) -> Tensor:
        """Maps `[chain, channel, height, width]`; doubled: their nearest neighbours are convolved at twice the size."""
        scale = self.style(style)
        size = (scale.float().square() @ self.weight.float().square().sum((2, 3)).T + 1e-8).rsqrt()
        maps = maps * scale[:, :, None, None].to(maps.dtype)
        if doubled:
            maps = functional.interpolate(maps, scale_factor=2, mode="nearest")
        maps = functional.conv2d(maps, self.weight.to(maps.dtype), padding=1)
        norm, bias = ((GAIN * size)[:, :, None, None].to(maps.dtype), self.bias[None, :, None, None].to(maps.dtype))
        return functional.leaky_relu(torch.addcmul(bias, maps, norm), SLOPE)
