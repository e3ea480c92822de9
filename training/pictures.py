"""Pictures of one size as batches: cut to that size, kept in memory as uint8 where they fit, mirrored and moved for training."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset, Subset

from ppgn.images import Size, covering_size, height_and_width
from ppgn.progress import bar

FEW = 2000
"""Pictures that are read too quickly for a bar."""


def centre_crop(picture: Image.Image, size: Size, channels: int) -> Tensor:
    """uint8 `[channel, height, width]`, grey or RGB: the centre of the picture, scaled (bicubic) to just cover `size`."""
    picture = picture.convert("L" if channels == 1 else "RGB")
    height, width = height_and_width(size)
    if picture.size != (width, height):
        down, across = covering_size((picture.height, picture.width), (height, width))
        picture = picture.resize((across, down), Image.Resampling.BICUBIC)
        left, top = (across - width) // 2, (down - height) // 2
        picture = picture.crop((left, top, left + width, top + height))
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


class Pictures(Dataset):
    """Batches of (uint8 pictures `[picture, channel, height, width]`, class indices), fetched by lists of indices.

    Class indices are `[picture]`, or `[picture, group]` of a table. pairs: a map-style data set of (PIL picture, label). size:
    (height, width), or the side of a square. cache_gib: sets whose decoded pictures fit in this many GiB stay in memory.
    title: the name that a progress bar shows. margin: pictures are kept so many times larger than `size`, for `random_crops`;
    others see their centre.
    """

    def __init__(self, pairs: Any, size: Size, channels: int, cache_gib: float, title: str, margin: float = 1.0) -> None:
        self.pairs, self.size, self.channels = pairs, height_and_width(size), channels
        self.kept_size = (round(margin * self.size[0]), round(margin * self.size[1]))
        self.cached: tuple[Tensor, Tensor] | None = None
        if len(pairs) * channels * math.prod(self.kept_size) <= cache_gib * 2**30:
            indices = bar(f"decoding {title} pictures", range(len(pairs)), unit="picture", leave=False, disable=len(pairs) < FEW)
            self.cached = self._decode(indices)

    def __len__(self) -> int:
        return len(self.pairs)

    def _decode(self, indices: Any) -> tuple[Tensor, Tensor]:
        pictures, labels = zip(*(self.pairs[index] for index in indices), strict=True)
        return torch.stack([centre_crop(picture, self.kept_size, self.channels) for picture in pictures]), torch.tensor(labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pictures, labels = self.__getitems__([index])
        return pictures[0], labels[0]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """A whole batch, which the loader fetches in one call."""
        pictures, labels = self.whole(indices)
        height, width = self.size
        top, left = ((kept - side) // 2 for kept, side in zip(self.kept_size, self.size, strict=True))
        return pictures[..., top : top + height, left : left + width], labels

    def whole(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """A batch as it is kept, with the margin around."""
        if self.cached is None:
            return self._decode(indices)
        return self.cached[0][indices], self.cached[1][indices]

    def random_crops(self) -> RandomCrops:
        """The same pictures, cut out anew at every draw."""
        return RandomCrops(self)

    def digest(self) -> str:
        """SHA-256 of the pictures in their order: of all where they are in memory, else of their number and of 256 of them."""
        count = len(self)
        chosen = range(count) if self.cached is not None else torch.linspace(0, count - 1, min(256, count)).long().tolist()
        digest = hashlib.sha256(f"{count} {self.size} {self.channels}".encode())
        for index in chosen:
            digest.update(self.__getitems__([index])[0].numpy().tobytes())
        return digest.hexdigest()


class RandomCrops(Dataset):
    """Batches of pictures cut at random places out of what `pictures` keeps."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        whole, labels = self.pictures.whole(indices)
        height, width = self.pictures.size
        tops, lefts = (
            torch.randint(kept - side + 1, (len(indices),)).tolist()
            for kept, side in zip(self.pictures.kept_size, self.pictures.size, strict=True)
        )
        cut = [one[:, top : top + height, left : left + width] for one, top, left in zip(whole, tops, lefts, strict=True)]
        return torch.stack(cut), labels


def source_numbers(pairs: Any) -> Tensor:
    """The number of each picture's source, `[picture]`; 0 for all of a single one."""
    if isinstance(pairs, Subset):
        return source_numbers(pairs.dataset)[torch.tensor(pairs.indices, dtype=torch.long)]
    sizes = torch.tensor([len(part) for part in getattr(pairs, "datasets", [pairs])])
    return torch.arange(len(sizes)).repeat_interleave(sizes)


def augment(pictures: Tensor, flip: bool, shift: int) -> Tensor:
    """Each picture mirrored with probability one half, and moved by up to `shift` pixels with its border reflected."""
    if flip:
        mirrored = torch.rand(len(pictures), device=pictures.device) < 0.5
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    if shift:
        height, width = pictures.shape[-2:]
        padded = functional.pad(pictures, (shift,) * 4, mode="reflect")
        offsets = torch.randint(0, 2 * shift + 1, (len(pictures), 2)).tolist()
        moved = [p[:, y : y + height, x : x + width] for p, (y, x) in zip(padded, offsets, strict=True)]
        pictures = torch.stack(moved)
    return pictures
