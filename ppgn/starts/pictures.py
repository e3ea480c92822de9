"""Codes of pictures, whole or with a hole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ppgn.autocast import without_autocast
from ppgn.images import composite, in_unit_range
from ppgn.types import Code, Encoder, Image


@without_autocast()
def from_image(encoder: Encoder, image: Image) -> Code:
    """E(image), the codes of real images `[chain, channel, height, width]` in [0, 1]; ValueError for another rank."""
    _check_rank(image)
    with torch.no_grad():
        return encoder(image)


def from_masked_image(encoder: Encoder, image: Image, mask: Tensor, fill: float | Sequence[float] | Tensor) -> Code:
    """E(mask * image + (1 - mask) * fill), the codes of pictures with a hole: the start of the released in-painting.

    image: `[chain, channel, height, width]` in [0, 1]. mask: 1 where pixels are known and 0 in the hole, as `ppgn.masks`
    makes it, `[height, width]`, `[1 or channel, height, width]` or `[chain, 1 or channel, height, width]`. fill: what to show
    in the hole, in [0, 1]: a number, one per channel (the mean colour, say), or a tensor that broadcasts to the image.
    Raises ValueError for another rank of the image, a mask or fill that does not fit it or is outside [0, 1].
    """
    _check_rank(image)
    return from_image(encoder, composite(_filling(fill, image), image, mask))


def _check_rank(image: Image) -> None:
    if image.ndim != 4:
        raise ValueError(
            f"a start from images got shape {tuple(image.shape)}, expected [chain, channel, height, width]: "
            f"add a chain axis with image[None]"
        )


def _filling(fill: float | Sequence[float] | Tensor, image: Image) -> Image:
    """The fill at every pixel of the image; one axis counts channels."""
    colour = in_unit_range(torch.as_tensor(fill, dtype=image.dtype, device=image.device), "the fill of a masked start has")
    colour = colour[:, None, None] if colour.ndim == 1 else colour
    axes = (1,) * (image.ndim - colour.ndim) + tuple(colour.shape)
    if len(axes) != image.ndim or any(axis not in (1, whole) for axis, whole in zip(axes, image.shape, strict=True)):
        raise ValueError(
            f"the fill of a masked start has shape {tuple(colour.shape)}, expected a number, one per channel, or a picture for "
            f"images of shape {tuple(image.shape)}: pass one of these"
        )
    return colour.expand_as(image)
