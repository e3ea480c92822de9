"""A network fed with images in [0, 1] that are resized and normalised to what it was trained on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.errors import ProbeError
from ppgn.images import Size, normalise, resize
from ppgn.probe.outputs import scores_of
from ppgn.types import Image


class Preprocessed:
    """network((resize(image, size) - mean) / std), differentiable with respect to the image.

    The network is put into eval mode and its weights are frozen, in place: BatchNorm in train mode would normalise the
    condition away. size: (height, width), or the side of a square; None leaves images at their size. mean, std: one number or
    one per channel, in units of [0, 1] pixels and in the network's channel order. bgr: reverses RGB first, as Caffe's networks
    need. Layers keep the names they have in `network`. Inputs get the type of the network's weights (bfloat16, say), outputs the
    type of the image. Of a tuple, dict, dataclass or ModelOutput the result is the scores of classes (`outputs.scores_of`).
    grey_channels: repeats a grey image that often. one_by_one: gives the network one image a pass. A call raises ValueError when
    the network went back into train mode, and as `images.resize` and `images.normalise` do.
    """

    def __init__(
        self,
        network: nn.Module,
        size: Size | None,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        bgr: bool = False,
        *,
        grey_channels: int = 1,
        one_by_one: bool = False,
    ) -> None:
        self.network = _frozen(network)
        self.size = size
        self.mean = mean
        self.std = std
        self.bgr = bgr
        self.grey_channels = grey_channels
        self.one_by_one = one_by_one

    def prepare(self, image: Image) -> Tensor:
        """The network's input for images `[chain, channel, height, width]` in [0, 1]."""
        if image.shape[-3] == 1:
            image = image.expand(-1, self.grey_channels, -1, -1)
        sized = image if self.size is None else resize(image, self.size)
        return normalise(sized, self.mean, self.std, self.bgr).to(weights_dtype(self.network, image.dtype))

    def at_any_size(self) -> Preprocessed:
        """The same network for images at their own size, as layers of convolutions take them."""
        other = copy.copy(self)
        other.size = None
        return other

    def output(self, image: Image) -> Any:
        """Whatever the network returns, of one pass over all images."""
        check_eval(self.network)
        return self.network(self.prepare(image))

    def __call__(self, image: Image) -> Tensor:
        parts = image.split(1) if self.one_by_one else [image]
        values = [as_image(scores_of(self.output(part)), image) for part in parts]
        return values[0] if len(values) == 1 else torch.cat(values)


def _frozen(network: nn.Module) -> nn.Module:
    """The network in eval mode, without gradients of its weights. Raises ValueError for one whose mode is fixed."""
    try:
        network.eval()
    except NotImplementedError as fault:
        raise ValueError(
            "the network is a program of torch.export, whose mode cannot be set, expected a module: give the one that was "
            "exported"
        ) from fault
    for weight in network.parameters():  # requires_grad_ of a scripted module raises
        weight.requires_grad_(False)
    return network


def weights_dtype(network: nn.Module, otherwise: torch.dtype = torch.float32) -> torch.dtype:
    """The floating-point type of a network's weights; `otherwise` for a network without any."""
    return next((one.dtype for one in network.parameters() if one.is_floating_point()), otherwise)


def as_image(value: Any, image: Image) -> Any:
    """The value in the image's type where it is a floating-point tensor; anything else unchanged."""
    return value.to(image.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def check_eval(network: nn.Module) -> None:
    """Raises ProbeError when a module of the network is in train mode."""
    training = [name or "the whole network" for name, module in network.named_modules() if module.training]
    if training:
        raise ProbeError(
            f"a network has {len(training)} modules in train mode ({training[0]} first), expected none: call its eval(), "
            f"because BatchNorm and dropout make chains depend on each other and on chance"
        )
