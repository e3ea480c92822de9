"""What is known of a picture: masks `[1, height, width]`, 1 where pixels are known and 0 in the hole that in-painting fills."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ppgn.images import load_image
from ppgn.seeds import uniform

HOLE_PLACE = 4
"""The stream of the place of a random hole; 0 to 3 are noise, start, and the two of a reset."""


def box_mask(box: str | Sequence[int], size: int | tuple[int, int]) -> Tensor:
    """A mask `[1, height, width]` (float32) with one hole: 0 in the box, 1 everywhere else.

    box: left, top, width, height in pixels of the picture, as four ints or as text, "20,20,24,24". size: the picture's
    (height, width), or the side of a square. Raises ValueError for anything but four whole numbers, a side below 1, and a
    box that is not wholly inside the picture.
    """
    height, width = _size(size)
    left, top, across, down = _box(box)
    if across < 1 or down < 1:
        raise ValueError(f"a hole got the box {box!r}, expected a width and height of at least 1: left,top,width,height")
    if left < 0 or top < 0 or left + across > width or top + down > height:
        raise ValueError(
            f"a hole got the box {box!r}, which spans x {left} to {left + across} and y {top} to {top + down}, expected x within "
            f"0 to {width} and y within 0 to {height}: move it or make it smaller (left,top,width,height)"
        )
    mask = torch.ones(1, height, width)
    mask[:, top : top + down, left : left + across] = 0
    return mask


def random_mask(hole: int | tuple[int, int], size: int | tuple[int, int], seed: int) -> Tensor:
    """A mask `[1, height, width]` (float32) with one hole of a given size, at a place that is a function of the seed alone.

    All places wholly inside the picture are equally likely. hole, size: (height, width) in pixels, or the side of a
    square; the released in-painting makes one 100x100 hole. Raises ValueError for a hole that is larger than the
    picture, a side below 1, and a seed that is not a whole number in [0, 2**64).
    """
    height, width = _size(size)
    down, across = _size(hole)
    if down > height or across > width:
        raise ValueError(
            f"a random hole is {down}x{across} (height x width), expected at most the picture's {height}x{width}: make it smaller"
        )
    free = torch.tensor([width - across + 1, height - down + 1])
    left, top = (uniform([seed], 0, (2,), stream=HOLE_PLACE, dtype=torch.float64)[0] * free).long().tolist()
    return box_mask((left, top, across, down), (height, width))


def file_mask(path: str | Path, size: int | tuple[int, int]) -> Tensor:
    """A mask `[1, height, width]` (float32) drawn as a picture file: white (or transparent) is the hole, black is known.

    Greys are rounded to the nearer of the two. size: that of the picture to fill, (height, width) or the side
    of a square. Raises ValueError as `images.load_image` does, for a file of another size, and for one without a hole.
    """
    height, width = _size(size)
    drawn = load_image(path, channels=1)
    if drawn.shape[-2:] != (height, width):
        raise ValueError(
            f"the mask {path} is {drawn.shape[-1]}x{drawn.shape[-2]} pixels (width x height), expected the picture's "
            f"{width}x{height}: draw it over the picture at that size"
        )
    known = (drawn < 0.5).float()
    if bool(known.all()):
        raise ValueError(
            f"the mask {path} has no hole, expected white pixels where the picture is to be filled: paint some white"
        )
    return known


def _size(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise ValueError(f"a mask or hole got the size {size}, expected (height, width) of at least 1: pass a positive size")
    return height, width


def _box(box: str | Sequence[int]) -> list[int]:
    try:
        parts = [int(part) for part in box.split(",")] if isinstance(box, str) else [operator.index(part) for part in box]
    except (TypeError, ValueError):
        parts = []
    if len(parts) != 4:
        raise ValueError(
            f"a hole got the box {box!r}, expected four whole numbers, left,top,width,height in pixels: write 20,20,24,24"
        )
    return parts
