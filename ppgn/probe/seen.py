"""A network that sees images of ppgn's convention: resized and normalised to what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.images import normalise, resize
from ppgn.types import Image


class Seen:
    """network((resize(image, size) - mean) / std), differentiable with respect to the image.

    The network is put into eval mode and its weights are frozen, in place: BatchNorm in train mode would normalise the
    condition away. mean and std per channel are in units of [0, 1] pixels and in the network's own channel order; bgr
    turns RGB round first (Caffe). Layers keep the names they have in `network`. A network whose weights are of another type
    (bfloat16) is given that type, and what it returns has the image's again. Raises ValueError when called after the
    network went back into train mode, and as `ppgn.images.resize` and `normalise` do.
    """

    def __init__(
        self,
        network: nn.Module,
        size: int | tuple[int, int],
        mean: float | Sequence[float],
        std: float | Sequence[float],
        bgr: bool = False,
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.size = size
        self.mean = mean
        self.std = std
        self.bgr = bgr

    def prepare(self, image: Image) -> Tensor:
        """Image `[chain, channel, height, width]` in [0, 1] -> what the network is given."""
        return normalise(resize(image, self.size), self.mean, self.std, self.bgr).to(weights_dtype(self.network, image.dtype))

    def __call__(self, image: Image) -> Tensor:
        check_eval(self.network)
        return as_image(self.network(self.prepare(image)), image)


def weights_dtype(network: nn.Module, otherwise: torch.dtype = torch.float32) -> torch.dtype:
    """The floating-point type of its weights; `otherwise` where it has none."""
    return next((one.dtype for one in network.parameters() if one.is_floating_point()), otherwise)


def as_image(value: Any, image: Image) -> Any:
    """A floating-point tensor in the image's type; anything else as it is."""
    return value.to(image.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def check_eval(network: nn.Module) -> None:
    """Raises ValueError when any module of the network is in train mode."""
    training = [name or "the whole network" for name, module in network.named_modules() if module.training]
    if training:
        raise ValueError(
            f"a network has {len(training)} modules in train mode ({training[0]} first), expected none: call its eval(), "
            f"because BatchNorm and dropout make chains depend on each other and on chance"
        )
