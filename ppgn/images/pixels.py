"""Pixel conventions: images are `[chain, channel, height, width]`, RGB or grey, in [0, 1]; sizes are (height, width)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor
from torch.nn import functional

from ppgn.images.constants import constant
from ppgn.types import Image, shown

Size: TypeAlias = int | tuple[int, int]
"""(height, width) in pixels, or the side of a square."""
ROUNDING = 1e-5
"""The most by which float32 arithmetic alone moves a pixel; antialiased scaling of white gives up to 1 + 4e-7."""


def height_and_width(size: Size, owner: str = "a picture") -> tuple[int, int]:
    """(height, width) of a size. Raises ValueError, which names the `owner` of the size, unless both are at least 1."""
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"{owner} got the size {size}, expected (height, width) of at least 1: pass two positive numbers")
    return sides


def in_unit_range(values: Tensor, subject: str) -> Tensor:
    """The values in [0, 1]; those that rounding put outside, as antialiased scaling of plain white does, are clipped.

    subject: how the error begins, such as "a mask has". Raises ValueError for values further outside and for NaN.
    """
    most = max(ROUNDING, 4 * torch.finfo(values.dtype).eps) if values.is_floating_point() else 0
    if not bool(((values >= -most) & (values <= 1 + most)).all()):
        raise ValueError(f"{subject} values outside [0, 1], expected none: divide by 255, or clip what an interpolation overshot")
    return values.clamp(0, 1) if values.is_floating_point() else values


def resize(images: Tensor, size: Size) -> Tensor:
    """Images `[chain, channel, height, width]` at another size by antialiased bilinear interpolation, differentiable.

    The ratio of height to width becomes that of `size`; `cover` keeps it instead. Raises ValueError for a wrong number of
    axes and for a side below 1.
    """
    height, width = height_and_width(size, "resize")
    if images.ndim != 4:
        raise ValueError(
            f"resize got images of shape {list(images.shape)}, expected [chain, channel, height, width]: add the missing axis"
        )
    if images.shape[-2:] == (height, width):
        return images
    shrinks = height < images.shape[-2] or width < images.shape[-1]  # enlarging is the same without, and faster
    return functional.interpolate(images, (height, width), mode="bilinear", align_corners=False, antialias=shrinks)


def covering_size(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    """(height, width) to which a picture of `size` is scaled so that it just covers `wanted`; both are (height, width)."""
    factor = max(wanted[0] / size[0], wanted[1] / size[1])
    return max(wanted[0], round(size[0] * factor)), max(wanted[1], round(size[1] * factor))


def at_most(image: Tensor, side: int) -> Tensor:
    """One image `[channel, height, width]`, shrunk where a side is longer than `side`, with its ratio of height to width."""
    largest = max(image.shape[-2:])
    if largest <= side:
        return image
    height, width = (max(1, round(length * side / largest)) for length in image.shape[-2:])
    return resize(image[None], (height, width))[0].clamp(0, 1)


def cover(image: Tensor, size: Size) -> Tensor:
    """The centre of one image `[channel, height, width]` in [0, 1], scaled to just cover `size`: `[channel, *size]`."""
    height, width = height_and_width(size, "cover")
    scaled = resize(image[None], covering_size((image.shape[-2], image.shape[-1]), (height, width)))[0]
    top, left = (scaled.shape[-2] - height) // 2, (scaled.shape[-1] - width) // 2
    return scaled[:, top : top + height, left : left + width].clamp(0, 1)  # scaled white is 1 + 4e-7


def normalise(images: Image, mean: float | Sequence[float], std: float | Sequence[float], bgr: bool = False) -> Tensor:
    """(images - mean) / std per channel, for networks that expect another range than [0, 1].

    images: `[chain, channel, height, width]` in [0, 1]. mean, std: in the same units, one number or one per channel in the
    network's order. bgr: reverses the channels first; Caffe's mean is then [104.006 / 255, 116.669 / 255, 122.679 / 255] and
    its std 1 / 255. Raises ValueError for another number of values than channels and for a std that is not positive.
    """
    centre, spread = (_per_channel(values, images) for values in (mean, std))
    if not all(0 < value < math.inf for value in _listed(std)) or not all(map(math.isfinite, _listed(mean))):
        raise ValueError(
            f"normalise got mean {shown(mean)} and std {shown(std)}, expected finite ones and a positive std: "
            f"pass 0 and 1 to leave all as is"
        )
    return ((images.flip(-3) if bgr else images) - centre) / spread


def _per_channel(values: float | Sequence[float], like: Tensor) -> Tensor:
    listed = _listed(values)
    if len(listed) not in (1, like.shape[-3]):
        raise ValueError(
            f"normalise got {len(listed)} values for {like.shape[-3]} channels, expected as many values as channels: "
            f"pass one per channel, or one for all"
        )
    return constant(listed, like.dtype, like.device).reshape(-1, 1, 1)


def _listed(values: float | Sequence[float]) -> tuple[float, ...]:
    numbers = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    return tuple(np.atleast_1d(np.asarray(numbers, dtype=np.float64)).tolist())


def to_pil(image: Tensor) -> Pillow.Image:
    """One image `[channel, height, width]` of 1 or 3 channels as an 8-bit Pillow image: round(255 * clip(image, 0, 1)).

    Raises ValueError for another shape and for values that are not finite.
    """
    if image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(
            f"a picture needs [channel, height, width] with 1 or 3 channels, got {list(image.shape)}: pass one image "
            "at a time and choose the channels to show"
        )
    pixels = image.detach().to("cpu", torch.float32)
    if not bool(pixels.isfinite().all()):
        raise ValueError("a picture needs finite pixels, got NaN or infinity: the chain has diverged, use a smaller step")
    array = (pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return Pillow.fromarray(np.ascontiguousarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)))
