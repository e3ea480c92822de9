"""The whole picture, the same at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ppgn.types import Image


@dataclass(frozen=True)
class WholePicture:
    """The picture as it is."""

    views: ClassVar[int] = 0
    """No view is drawn: conditions see the picture itself."""

    def __call__(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        """No view, `[0, chain, channel, height, width]`."""
        return image.new_empty(0, *image.shape)
