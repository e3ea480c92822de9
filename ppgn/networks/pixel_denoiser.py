"""The pixel denoiser of PPGN-x."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class PixelDenoiserConfig:
    """Residual blocks of two 3x3 convolutions of `width` channels on patches of `patch` x `patch` pixels.

    A patch of 2 costs a quarter of a patch of 1.
    """

    channels: int = 3
    width: int = 64
    blocks: int = 4
    patch: int = 2


class PixelDenoiser(nn.Module):
    """R_x(image) = image + network(image): the denoising auto-encoder that gives PPGN-x its prior (PPGN section 3.1).

    Patches become channels and back, as in FFDNet (Zhang et al. 2018). The last layer starts at zero, so R_x is the identity
    before training. It has no BatchNorm, so a chain is the same alone and in a batch.
    """

    architecture = "pixel_denoiser"

    def __init__(self, config: PixelDenoiserConfig) -> None:
        super().__init__()
        self.config = config
        patch_channels = config.channels * config.patch**2
        self.first = nn.Conv2d(patch_channels, config.width, 3, padding=1)
        self.blocks = nn.ModuleList(self._block() for _ in range(config.blocks))
        self.last = nn.Conv2d(config.width, patch_channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # pyright: ignore[reportArgumentType] - this Conv2d was made with a bias

    def _block(self) -> nn.Sequential:
        width = self.config.width
        convolutions = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        return nn.Sequential(*(layer for convolution in convolutions for layer in (nn.ReLU(), convolution)))

    def forward(self, image: Tensor) -> Tensor:
        """Denoised pixels `[chain, channel, height, width]`, not clipped. Raises ValueError for a size that `patch` does not
        divide."""
        patch = self.config.patch
        if image.shape[-2] % patch or image.shape[-1] % patch:
            raise ValueError(
                f"the pixel denoiser got a picture of {image.shape[-2]}x{image.shape[-1]} pixels, expected multiples of {patch}: "
                f"resize or crop it"
            )
        features = self.first(functional.pixel_unshuffle(2 * image - 1, patch))
        for block in self.blocks:
            features = features + block(features)
        return image + functional.pixel_shuffle(self.last(torch.relu(features)), patch)
