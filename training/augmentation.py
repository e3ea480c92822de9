"""One random change of a picture and of its reconstruction, for losses and adversaries that shall not learn pixels by heart."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

BRIGHTNESS, REACH, HOLE = 0.6, 8, 5
"""Width of the interval of brightness; largest move, and half the hole's side, as parts of the picture's side: 1/8 and 1/5."""
GREY = 0.5


def augment_pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of pictures under the same differentiable augmentation (Zhao et al. 2020), each picture under its own.

    Brightness +-0.3, saturation times 0 to 2, contrast times 0.5 to 1.5, a move by up to an eighth of each side into grey, and a
    grey hole of two fifths of each side around a random place. No value is read back from the device, so that it can be captured.
    """
    change = _draw(len(first), first.shape[-2], first.shape[-1], first.device)
    return change(first), change(second)


def _draw(count: int, height: int, width: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    brightness, saturation, contrast = torch.rand(3, count, 1, 1, 1, device=device)
    rows, columns = _moved(count, height, device), _moved(count, width, device)
    hole = _hole(count, height, device)[:, None, :, None] & _hole(count, width, device)[:, None, None, :]

    def change(picture: Tensor) -> Tensor:
        picture = picture + BRIGHTNESS * (brightness - 0.5)
        grey = picture.mean(1, keepdim=True)
        picture = (picture - grey) * (2 * saturation) + grey
        mean = picture.mean((1, 2, 3), keepdim=True)
        picture = (picture - mean) * (contrast + 0.5) + mean
        up, left = max(1, height // REACH), max(1, width // REACH)
        picture = functional.pad(picture, (left, left, up, up), value=GREY)
        channels, wide = picture.shape[1], picture.shape[3]
        picture = picture.gather(2, rows[:, None, :, None].expand(count, channels, height, wide))
        picture = picture.gather(3, columns[:, None, None, :].expand(count, channels, height, width))
        return picture.masked_fill(hole, GREY).contiguous(memory_format=torch.channels_last)

    return change


def _moved(count: int, side: int, device: torch.device) -> Tensor:
    """Positions in the padded picture that a moved one shows, `[picture, side]`."""
    reach = max(1, side // REACH)
    return torch.arange(side, device=device) + torch.randint(2 * reach + 1, (count, 1), device=device)


def _hole(count: int, side: int, device: torch.device) -> Tensor:
    """Whether a position is nearer to a random one than a fifth of the side, `[picture, side]`."""
    return (torch.arange(side, device=device) - torch.randint(side, (count, 1), device=device)).abs() < max(1, side // HOLE)
