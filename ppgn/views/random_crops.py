"""A random crop of a picture, at its own scale: what a network sees of a picture that is larger than its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.seeds import Stream, normal
from ppgn.types import Image, at_least_one


@dataclass(frozen=True)
class RandomCrop:
    """A square crop of `side` pixels; each chain draws its place, a function of (seed, step) alone.

    Along each axis the crop begins at N(slack / 2, (spread * slack)^2), clipped to [0, slack], with slack = the picture's side -
    `side`: it prefers the centre. A picture that is not larger is seen whole. margin: pixels along the border of the crop that
    the network sees, but which get no gradient. As in multifaceted feature visualisation (Nguyen et al. 2016, its script
    act_max.tvd.mean.py). Raises ValueError for numbers that cannot be.
    """

    side: int = 224
    spread: float = 0.3
    margin: int = 0

    def __post_init__(self) -> None:
        at_least_one("crop side", self.side, "give pixels")
        if not 0 <= self.spread < math.inf:
            raise ValueError(f"a random crop got spread {self.spread}, expected a finite number of at least 0: correct it")
        if not 0 <= self.margin < self.side / 2:
            raise ValueError(f"a crop of {self.side} pixels got margin {self.margin}, expected less than half of it: lower it")

    @property
    def views(self) -> int:
        """One is drawn at a step."""
        return 1

    def __call__(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        """The crops `[1, chain, channel, side, side]` of images `[chain, channel, height, width]`, one seed a chain."""
        height, width = (min(self.side, side) for side in image.shape[-2:])
        slack = torch.tensor([image.shape[-2] - height, image.shape[-1] - width], dtype=torch.float64)
        drawn = normal(seeds, step, (2,), stream=Stream.VIEW, dtype=torch.float64)
        places = torch.minimum((slack * (0.5 + self.spread * drawn)).clamp(min=0), slack).long().tolist()
        crops = [
            picture[:, down : down + height, right : right + width] for picture, (down, right) in zip(image, places, strict=True)
        ]
        return self._framed(torch.stack(crops))[None]

    def _framed(self, crops: Image) -> Image:
        """The crops, without a gradient at the margin."""
        if not self.margin:
            return crops
        inside = torch.zeros(crops.shape[-2:], dtype=torch.bool, device=crops.device)
        inside[self.margin : -self.margin, self.margin : -self.margin] = True
        return torch.where(inside, crops, crops.detach())
