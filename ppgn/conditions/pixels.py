"""Conditions on pixels: in-painting, with any mask."""

from __future__ import annotations

import torch
from torch import Tensor

from ppgn.conditions.codes import check_std, gaussian
from ppgn.types import Condition, Image, LogProb


class KnownPixels:
    """-sum over known pixels of ((image - picture) / std)^2 / 2 per chain: log p(picture | image), without its constant.

    The context term of the released in-painting: its gradient with std = 1 is picture - image where known, 0 in the hole.
    picture: `[channel, height, width]`, or one per chain. known: a mask (bool, or weights in [0, 1]) `[height, width]`,
    `[channel, height, width]` or `[chain, 1 or channel, height, width]`; 1 is known, 0 the hole. std: in units of [0, 1]
    pixels. Raises ValueError unless std > 0, for weights outside [0, 1], and when picture or mask do not fit the image.
    """

    def __init__(self, picture: Tensor, known: Tensor, std: float = 1.0) -> None:
        self.picture = picture.detach().clone()
        self.known = check_known(known, picture)
        self.std = check_std("known pixels", std)

    def __call__(self, image: Image) -> LogProb:
        picture, known = fitted(self.picture, self.known, image)
        return gaussian((image - picture) * known.sqrt(), self.std)


class InPainted:
    """condition(composite): another condition sees the image in the hole and the picture everywhere else.

    So its gradient is that of the hole alone, as released. picture, known and errors as KnownPixels.
    """

    def __init__(self, condition: Condition, picture: Tensor, known: Tensor) -> None:
        self.condition = condition
        self.picture = picture.detach().clone()
        self.known = check_known(known, picture)

    def __call__(self, image: Image) -> LogProb:
        picture, known = fitted(self.picture, self.known, image)
        return self.condition(torch.lerp(image, picture, known))


def composite(image: Image, picture: Tensor, known: Tensor) -> Image:
    """known * picture + (1 - known) * image: the picture where it is known, the image in the hole; both exactly."""
    picture, known = fitted(picture, check_known(known, picture), image)
    return torch.lerp(image, picture, known)


def check_known(known: Tensor, picture: Tensor) -> Tensor:
    """The mask as a copy of its own, or ValueError when it does not fit the picture or is outside [0, 1]."""
    if known.ndim < 2 or known.shape[-2:] != picture.shape[-2:] or known.ndim > 4:
        raise ValueError(
            f"a mask has shape {tuple(known.shape)}, expected the picture's height and width {tuple(picture.shape[-2:])}: "
            f"make it of the picture's size"
        )
    if not bool(((known >= 0) & (known <= 1)).all()):
        raise ValueError("a mask has values outside [0, 1], expected 1 where pixels are known and 0 in the hole: divide by 255")
    return known.detach().clone()


def fitted(picture: Tensor, known: Tensor, image: Image) -> tuple[Tensor, Tensor]:
    """Picture and mask in the image's type and place, or ValueError when they cannot be laid over it."""
    for name, tensor in (("picture", picture), ("mask", known)):
        axes = (1,) * (image.ndim - tensor.ndim) + tuple(tensor.shape)
        fits = len(axes) == image.ndim and axes[-2:] == image.shape[-2:]
        if not fits or any(axis not in (1, whole) for axis, whole in zip(axes, image.shape, strict=True)):
            raise ValueError(
                f"a {name} of shape {tuple(tensor.shape)} does not fit images of shape {tuple(image.shape)}, expected "
                f"the same channels, height and width: resize it first"
            )
    return picture.to(image), known.to(image)
