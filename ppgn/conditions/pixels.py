"""Conditions on pixels: in-painting, with any mask."""

from __future__ import annotations

import torch
from torch import Tensor

from ppgn.conditions.codes import check_std, gaussian
from ppgn.images import check_known, fitted
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
