"""DCGAN's generator: z -> image by upconvolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class DcganGeneratorConfig:
    """Sizes of the layers. code_size: units of z. widths: channels of each map but the last, of which the first is `base_size`
    pixels wide and high, and each next one twice that; the image is one doubling larger than the last of them."""

    code_size: int = 100
    channels: int = 3
    widths: tuple[int, ...] = (512, 256, 128, 64)
    base_size: int = 4

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the images."""
        side = self.base_size * 2 ** len(self.widths)
        return side, side


class DcganGenerator(nn.Module):
    """z from N(0, 1) -> image, by upconvolutions with BatchNorm and ReLU, the last with tanh (Radford et al. 2016, "Unsupervised
    representation learning with deep convolutional generative adversarial networks").

    Layers stand in an `nn.Sequential` called main, as in PyTorch's DCGAN tutorial and in its examples, so that their state dicts
    fit. The tanh's [-1, 1] becomes [0, 1].
    """

    architecture = "dcgan_generator"

    def __init__(self, config: DcganGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs, window = config.code_size, (config.base_size, 1, 0)  # kernel, stride, padding
        for width in config.widths:
            layers += [nn.ConvTranspose2d(inputs, width, *window, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            inputs, window = width, (4, 2, 1)
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(inputs, config.channels, *window, bias=False), nn.Tanh())

    @property
    def code_shape(self) -> tuple[int, ...]:
        """Shape of a code."""
        return (self.config.code_size,)

    def forward(self, code: Tensor) -> Tensor:
        """Images `[chain, channel, height, width]` in [0, 1] of codes `[chain, code]`; ValueError for another shape."""
        if code.ndim < 2 or math.prod(code.shape[1:]) != self.config.code_size:
            raise ValueError(
                f"the DCGAN got a code of shape {tuple(code.shape)}, expected ('chain', {self.config.code_size}): start from "
                f"such codes"
            )
        return 0.5 + 0.5 * self.main(code.reshape(len(code), -1, 1, 1))
