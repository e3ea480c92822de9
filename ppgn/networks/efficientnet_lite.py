"""EfficientNet-Lite (Tan & Le 2019; ReLU6, no squeeze and excitation), with BatchNorms in its convolutions."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

BATCH_NORM_EPSILON = 1e-3
"""Of the released weights."""


class Stage(NamedTuple):
    """Blocks in a row: how many, expansion of channels inside a block, kernel, stride of the first block, channels in and out."""

    blocks: int
    expansion: int
    kernel: int
    stride: int
    channels_in: int
    channels_out: int


STAGES = (
    Stage(1, 1, 3, 1, 32, 16),
    Stage(2, 6, 3, 2, 16, 24),
    Stage(2, 6, 5, 2, 24, 40),
    Stage(3, 6, 3, 2, 40, 80),
    Stage(3, 6, 5, 1, 80, 112),
    Stage(4, 6, 5, 2, 112, 192),
    Stage(1, 6, 3, 1, 192, 320),
)
"""Table 1 of Tan & Le 2019 for B0, whose Lite form has the same stages."""
STEM, HEAD, CLASSES = 32, 1280, 1000
"""Channels before and behind the stages, which are the same in every size, and classes of ImageNet."""


class Scale(NamedTuple):
    """Side of the input in pixels, and the factors of channels and of blocks in a row against B0."""

    side: int
    width: float
    depth: float


SCALES = (Scale(224, 1.0, 1.0), Scale(240, 1.0, 1.1), Scale(260, 1.1, 1.2))
"""Of Lite0, Lite1 and Lite2, as released; the first and the last stage keep their one block."""


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding: ceil(side / stride) positions, what is odd to pad goes behind."""

    def forward(self, input: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return functional.conv2d(input, self.weight, self.bias, 1, kernel // 2, 1, self.groups)
        rows, columns = (max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in input.shape[-2:])
        padded = functional.pad(input, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return functional.conv2d(padded, self.weight, self.bias, stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project (Sandler et al. 2018); the input is added where its shape is the output's."""

    def __init__(self, expansion: int, kernel: int, stride: int, channels_in: int, channels_out: int) -> None:
        super().__init__()
        wide = expansion * channels_in
        self.skips = stride == 1 and channels_in == channels_out
        self.expand = SameConv2d(channels_in, wide, 1) if expansion > 1 else None
        self.depthwise = SameConv2d(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv2d(wide, channels_out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        wide = maps if self.expand is None else functional.relu6(self.expand(maps))
        projected = self.project(functional.relu6(self.depthwise(wide)))
        return maps + projected if self.skips else projected


class Relu6Conv2d(SameConv2d):
    """A convolution and its ReLU6, before and behind the blocks."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu6(super().forward(input))


class EfficientNetLite(nn.Sequential):
    """EfficientNet-Lite0, 1 or 2 (`number`), pixels (255 x - 127) / 128 -> logits of ImageNet's classes `[picture, 1000]`.

    Layers: "stem"; "block0" to "block15", in 1 and 2 to "block20"; "head", 1280 channels after ReLU6; "pool"; "classifier".
    image_size, image_mean, image_std: of its input, for pixels in [0, 1].
    """

    image_mean, image_std = (127 / 255,) * 3, (128 / 255,) * 3

    def __init__(self, number: int = 0) -> None:
        layers = dict(_trunk(number))
        layers["head"] = Relu6Conv2d(list(_blocks(number))[-1].channels_out, HEAD, 1)
        layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flat": nn.Flatten(), "classifier": nn.Linear(HEAD, CLASSES)}
        super().__init__(OrderedDict(layers))
        self.number = number
        self.image_size = SCALES[number].side

    def from_released(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state dict of this network from the released weights (see `from_released`). KeyError for those of another one."""
        classifier = {f"classifier.{name}": state[f"_fc.{name}"] for name in ("weight", "bias")}
        return from_released(state, self.number) | _folded(state, "head", "_conv_head", "_bn1") | classifier


def efficientnet_lite0() -> nn.Sequential:
    """The trunk: "stem", then "block0" to "block15", whose output is pool5, `[picture, 320, side / 32, side / 32]`.

    It takes pixels (255 x - 127) / 128. Maps at strides 4, 8, 16 and 32 end the blocks 2, 4, 10 and 15.
    """
    return nn.Sequential(OrderedDict(_trunk(0)))


def from_released(state: Mapping[str, Tensor], number: int = 0) -> dict[str, Tensor]:
    """The state dict of the trunk from the released weights (`_conv_stem`, `_blocks.0._depthwise_conv`, ...): BatchNorms are
    put into the convolutions before them. Raises KeyError for the weights of another network."""
    found = dict(_folded(state, "stem", "_conv_stem", "_bn0"))
    for index, settings in enumerate(_blocks(number)):
        released, block = f"_blocks.{index}.", f"block{index}."
        if settings.expansion > 1:
            found |= _folded(state, block + "expand", released + "_expand_conv", released + "_bn0")
        found |= _folded(state, block + "depthwise", released + "_depthwise_conv", released + "_bn1")
        found |= _folded(state, block + "project", released + "_project_conv", released + "_bn2")
    return found


class _Block(NamedTuple):
    expansion: int
    kernel: int
    stride: int
    channels_in: int
    channels_out: int


def _trunk(number: int) -> Iterator[tuple[str, nn.Module]]:
    yield "stem", Relu6Conv2d(3, STEM, 3, 2)
    for index, settings in enumerate(_blocks(number)):
        yield f"block{index}", InvertedResidual(*settings)


def _blocks(number: int) -> Iterator[_Block]:
    _, width, depth = SCALES[number]
    for stage in STAGES:
        before = stage.channels_in if stage is STAGES[0] else _rounded(stage.channels_in * width)
        after = _rounded(stage.channels_out * width)
        blocks = stage.blocks if stage in (STAGES[0], STAGES[-1]) else math.ceil(stage.blocks * depth)
        yield _Block(stage.expansion, stage.kernel, stage.stride, before, after)
        for _ in range(blocks - 1):
            yield _Block(stage.expansion, stage.kernel, 1, after, after)


def _rounded(channels: float) -> int:
    """The nearest multiple of 8, as in the released code."""
    return int(channels + 4) // 8 * 8


def _folded(state: Mapping[str, Tensor], name: str, convolution: str, norm: str) -> dict[str, Tensor]:
    gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + BATCH_NORM_EPSILON).sqrt()
    weight = state[f"{convolution}.weight"].double() * gain[:, None, None, None]
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    return {f"{name}.weight": weight.to(torch.float32), f"{name}.bias": bias.to(torch.float32)}
