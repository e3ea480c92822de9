"""Generators: code -> image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ImageGeneratorConfig:
    """`stages` lists (upconvolution width, following convolution width or 0), each doubling the size from `base_size`.

    `output` "conv" adds a 3x3 convolution to the pixels, "upconv" one more doubling (the published deconv0);
    `output_range` is "tanh" (bounded to [0, 1]) or "linear" (0.5 + x, as published). `code_scale` divides the code.
    """

    code_size: int = 512
    channels: int = 3
    hidden: tuple[int, ...] = (1024, 1024)
    base_channels: int = 256
    base_size: int = 4
    stages: tuple[tuple[int, int], ...] = ((256, 256), (128, 128), (64, 64), (32, 32))
    output: str = "conv"
    output_range: str = "tanh"
    batch_norm: bool = True
    slope: float = 0.2
    code_scale: float = 1.0

    @property
    def image_size(self) -> int:
        return self.base_size * 2 ** (len(self.stages) + (self.output == "upconv"))


class ImageGenerator(nn.Module):
    """Code -> image by fully connected layers and upconvolutions (Dosovitskiy & Brox 2016; DGN-AM; PPGN section 3.2)."""

    architecture = "image_generator"

    def __init__(self, config: ImageGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        base = config.base_channels * config.base_size**2
        sizes = (config.code_size, *config.hidden, base)
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(size_in, size_out), nn.LeakyReLU(config.slope)]
        self.fully_connected = nn.Sequential(*layers)
        self.upconvolutions = nn.Sequential()
        channels = config.base_channels
        for index, (up, refine) in enumerate(config.stages):
            self.upconvolutions.add_module(f"up{index}", self._block(nn.ConvTranspose2d(channels, up, 4, 2, 1)))
            channels = up
            if refine:
                self.upconvolutions.add_module(f"conv{index}", self._block(nn.Conv2d(up, refine, 3, padding=1)))
                channels = refine
        to_pixels = nn.Conv2d(channels, config.channels, 3, padding=1)
        self.to_pixels = nn.ConvTranspose2d(channels, config.channels, 4, 2, 1) if config.output == "upconv" else to_pixels

    def _block(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
        norm = [nn.BatchNorm2d(convolution.out_channels)] if self.config.batch_norm else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(self.config.slope))

    def forward(self, code: Tensor) -> Tensor:
        """Image `[chain, channel, height, width]` of codes `[chain, code]`."""
        settings = self.config
        base = self.fully_connected(code / settings.code_scale)
        base = base.unflatten(1, (settings.base_channels, settings.base_size, settings.base_size))
        pixels = self.to_pixels(self.upconvolutions(base))
        return 0.5 + 0.5 * torch.tanh(pixels) if settings.output_range == "tanh" else 0.5 + pixels


@dataclass(frozen=True)
class IdentityGeneratorConfig:
    channels: int = 3
    size: int = 64


class IdentityGenerator(nn.Module):
    """G(code) = code: pixels are a generator too, so PPGN-x runs in the same loop as all others. It has no weights."""

    architecture = "identity_generator"

    def __init__(self, config: IdentityGeneratorConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, code: Tensor) -> Tensor:
        """The image `[chain, channel, size, size]` that the code is; ValueError for another shape. It does not clip: pixels
        stay in [0, 1] by the sampler's code_range (0, 1)."""
        shape = (self.config.channels, self.config.size, self.config.size)
        if code.shape[1:] != shape:
            raise ValueError(
                f"the identity generator got a code of shape {tuple(code.shape)}, expected {('chain', *shape)}: "
                f"start from pixels of that size"
            )
        return code
