"""The generator that we train: code -> image by fully connected layers and upconvolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.images import Size, height_and_width


@dataclass(frozen=True)
class ImageGeneratorConfig:
    """Sizes of the layers, which start at a map of `base_channels` and double its height and width at every stage.

    hidden: units of the fully connected layers. base_size: (height, width) of the first map, or the side of a square. stages:
    channels of an upconvolution and of the convolution behind it (0: none). output: "conv" ends in a 3x3 convolution to the
    pixels, "upconv" in one more doubling (the published deconv0). output_range: "tanh" (bounded to [0, 1]) or "linear"
    (0.5 + x, as published). slope: of the LeakyReLUs. code_scale: divides the code. code_shape: of codes that are maps `[channel,
    row, column]`, from which a convolution makes the first map in the place of the fully connected layers; (): vectors.
    """

    code_size: int = 512
    channels: int = 3
    hidden: tuple[int, ...] = (1024, 1024)
    base_channels: int = 256
    base_size: Size = 4
    stages: tuple[tuple[int, int], ...] = ((256, 256), (128, 128), (64, 64), (32, 32))
    output: str = "conv"
    output_range: str = "tanh"
    batch_norm: bool = True
    slope: float = 0.2
    code_scale: float = 1.0
    code_shape: tuple[int, ...] = ()

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        height, width = height_and_width(self.base_size, "the generator's first map")
        factor = 2 ** (len(self.stages) + (self.output == "upconv"))
        return height * factor, width * factor


class ImageGenerator(nn.Module):
    """Code -> image by fully connected layers and upconvolutions (Dosovitskiy & Brox 2016; DGN-AM; PPGN section 3.2)."""

    architecture = "image_generator"

    def __init__(self, config: ImageGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.base_shape = (config.base_channels, *height_and_width(config.base_size, "the generator's first map"))
        if config.code_shape:
            self.from_map = self._block(nn.Conv2d(config.code_shape[0], config.base_channels, 3, padding=1))
        else:
            self.fully_connected = self._fully_connected()
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

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return self.config.code_shape or (self.config.code_size,)

    def _fully_connected(self) -> nn.Sequential:
        config = self.config
        sizes = (config.code_size, *config.hidden, math.prod(self.base_shape))
        layers: list[nn.Module] = []
        for size_in, size_out in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(size_in, size_out), nn.LeakyReLU(config.slope)]
        return nn.Sequential(*layers)

    def _block(self, convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
        norm = [nn.BatchNorm2d(convolution.out_channels)] if self.config.batch_norm else []
        return nn.Sequential(convolution, *norm, nn.LeakyReLU(self.config.slope))

    def forward(self, code: Tensor) -> Tensor:
        """Images `[chain, channel, height, width]` of codes `[chain, *code]`."""
        pixels = self.to_pixels(self.upconvolutions(self._base(code / self.config.code_scale)))
        return 0.5 + 0.5 * torch.tanh(pixels) if self.config.output_range == "tanh" else 0.5 + pixels

    def _base(self, code: Tensor) -> Tensor:
        """The first map `[chain, channel, row, column]`; maps of another size are resized to it."""
        if not self.config.code_shape:
            return self.fully_connected(code).unflatten(1, self.base_shape)
        size = self.base_shape[1:]
        same = code.shape[2:] == size
        return self.from_map(code if same else functional.interpolate(code, size=size, mode="bilinear", align_corners=False))
