"""Masks of the known pixels: `[1, height, width]`, 1 where pixels are known and 0 in the hole that in-painting fills."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ppgn.images.files import load_image
from ppgn.images.pixels import ROUNDING, Size, height_and_width, in_unit_range
from ppgn.seeds import Stream, uniform
from ppgn.types import Image


def box_mask(box: str | Sequence[int], size: Size) -> Tensor:
    """A mask `[1, height, width]` (float32) with one hole: 0 in the box, 1 everywhere else.

    box: left, top, width and height of the hole in pixels of the picture, four ints or text such as "20,20,24,24". size:
    (height, width) of the picture, or the side of a square. Raises ValueError for anything but four whole numbers, for a side
    below 1, and for a box that leaves the picture.
    """
    height, width = height_and_width(size, "a mask")
    left, top, across, down = _box(box)
    if across < 1 or down < 1:
        raise ValueError(
            f"a hole got the box {box!r}, expected a width and height of at least 1: correct it (left,top,width,height)"
        )
    if left < 0 or top < 0 or left + across > width or top + down > height:
        raise ValueError(
            f"a hole got the box {box!r}, which spans x {left} to {left + across} and y {top} to {top + down}, expected x within "
            f"0 to {width} and y within 0 to {height}: move it or make it smaller (left,top,width,height)"
        )
    mask = torch.ones(1, height, width)
    mask[:, top : top + down, left : left + across] = 0
    return mask


def random_mask(hole: Size, size: Size, seed: int) -> Tensor:
    """A mask `[1, height, width]` (float32) with one hole of a given size, at a place that is a function of the seed alone.

    All places inside the picture are equally likely. hole, size: (height, width) in pixels, or the side of a square; the
    released in-painting makes one 100x100 hole. Raises ValueError for a hole larger than the picture, for a side below 1, and
    for a seed that is not a whole number in [0, 2**64).
    """
    height, width = height_and_width(size, "a mask")
    down, across = height_and_width(hole, "a random hole")
    if down > height or across > width:
        raise ValueError(
            f"a random hole got {down}x{across} pixels (height x width), expected at most the picture's {height}x{width}: "
            f"make it smaller"
        )
    free = torch.tensor([width - across + 1, height - down + 1])
    left, top = (uniform([seed], 0, (2,), stream=Stream.HOLE_PLACE, dtype=torch.float64)[0] * free).long().tolist()
    return box_mask((left, top, across, down), (height, width))


def file_mask(path: str | Path, size: Size) -> Tensor:
    """A mask `[1, height, width]` (float32) drawn as a picture file: white (or transparent) is the hole, black is known.

    Greys are rounded to the nearer of the two. size: (height, width) of the picture to fill, or the side of a square. Raises
    ValueError as `load_image` does, for a file of another size, and for a file without a hole.
    """
    height, width = height_and_width(size, "a mask")
    drawn = load_image(path, channels=1)
    if drawn.shape[-2:] != (height, width):
        raise ValueError(
            f"the mask {path} is {drawn.shape[-1]}x{drawn.shape[-2]} pixels (width x height), expected the {width}x{height} to "
            f"which the picture is scaled and cut: draw it over the picture at that size"
        )
    known = (drawn < 0.5).float()
    if bool(known.all()):
        raise ValueError(
            f"the mask {path} has no hole, expected white pixels where the picture is to be filled: paint some white"
        )
    return known


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


def composite(image: Image, picture: Tensor, known: Tensor) -> Image:
    """known * picture + (1 - known) * image, `[chain, channel, height, width]`: the picture where it is known, both exactly.

    Raises ValueError as `check_known` and `fitted` do.
    """
    picture, known = fitted(picture, check_known(known, picture), image)
    return torch.lerp(image, picture, known)


def check_known(known: Tensor, picture: Tensor) -> Tensor:
    """A detached copy of a mask. Raises ValueError for another height or width than the picture's and values outside [0, 1]."""
    if known.ndim < 2 or known.shape[-2:] != picture.shape[-2:] or known.ndim > 4:
        raise ValueError(
            f"a mask has shape {tuple(known.shape)}, expected the picture's height and width {tuple(picture.shape[-2:])}: "
            f"make it of the picture's size"
        )
    return in_unit_range(known.detach(), "a mask has").clone()


def with_hole(known: Tensor) -> Tensor:
    """The mask, exactly 0 and 1. Raises ValueError for values between them, beyond rounding, and for a mask without a hole."""
    between = (known - known.round()).abs() > ROUNDING
    if bool(between.any()):
        raise ValueError(
            f"a mask holds {float(known[between][0]):.3g}, expected 1 where pixels are known and 0 in the hole: round it, as in "
            f"(known > 0.5).float()"
        )
    if bool(known.round().all()):
        raise ValueError("a mask is 1 everywhere, expected 0 in the hole that is to be filled: make a hole")
    return known.round()


def fitted(picture: Tensor, known: Tensor, image: Image) -> tuple[Tensor, Tensor]:
    """Picture and mask in the image's type and on its device. Raises ValueError when they do not broadcast over the image."""
    for name, tensor in (("picture", picture), ("mask", known)):
        axes = (1,) * (image.ndim - tensor.ndim) + tuple(tensor.shape)
        fits = len(axes) == image.ndim and axes[-2:] == image.shape[-2:]
        if not fits or any(axis not in (1, whole) for axis, whole in zip(axes, image.shape, strict=True)):
            raise ValueError(
                f"a {name} of shape {tuple(tensor.shape)} does not fit images of shape {tuple(image.shape)}, expected "
                f"the same channels, height and width: resize it first"
            )
    return picture.to(image), known.to(image)
