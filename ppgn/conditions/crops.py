"""Random parts of an image, the same ones at every step."""

from __future__ import annotations

import torch

from ppgn.seeds import uniform
from ppgn.types import Image


class Crops:
    """`count` random parts of an image, each with the image's proportions, half of them mirrored where `flip`.

    Each covers a share of the area drawn uniformly from [smallest, 1], at a uniform position (a random resized crop of fixed
    aspect). They are drawn once, from (seed, number of the crop), and are the same for every chain and every step: so a chain is
    the same alone, in a batch and when resumed. Raises ValueError for count < 1 or smallest outside (0, 1].
    """

    def __init__(self, count: int, seed: int = 0, *, smallest: float = 0.5, flip: bool = True) -> None:
        if count < 1 or not 0 < smallest <= 1:
            raise ValueError(
                f"random crops got count={count} and smallest={smallest}, expected count >= 1 and 0 < smallest <= 1: correct it"
            )
        drawn = torch.cat([uniform((seed,), crop, (4,), dtype=torch.float64) for crop in range(count)])
        self.boxes = [
            ((smallest + (1 - smallest) * area) ** 0.5, down, right, flip and side < 0.5)
            for area, down, right, side in drawn.tolist()
        ]

    def __call__(self, image: Image) -> list[Image]:
        """The parts, each `[chain, channel, its height, its width]`."""
        return [self._part(image, *box) for box in self.boxes]

    @staticmethod
    def _part(image: Image, share: float, down: float, right: float, mirrored: bool) -> Image:
        height, width = (max(1, round(whole * share)) for whole in image.shape[-2:])
        top = round(down * (image.shape[-2] - height))
        left = round(right * (image.shape[-1] - width))
        part = image[..., top : top + height, left : left + width]
        return part.flip(-1) if mirrored else part
