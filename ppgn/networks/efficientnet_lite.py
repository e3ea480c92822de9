"""The trunk of EfficientNet-Lite0 (Tan & Le 2019; ReLU6, no squeeze and excitation), with BatchNorms in its convolutions."""

from __future__ import annotations

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
"""Table 1 of Tan & Le 2019 for B0, whose Lite form has the same stages; the 1280 channels behind the last one are left out."""


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


class Stem(SameConv2d):
    """The first convolution and its ReLU6."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu6(super().forward(input))


def efficientnet_lite0() -> nn.Sequential:
    """The trunk: "stem", then "block0" to "block15", whose output is pool5, `[picture, 320, side / 32, side / 32]`.

    It takes pixels (255 x - 127) / 128. Maps at strides 4, 8, 16 and 32 end the blocks 2, 4, 10 and 15.
    """
    trunk = nn.Sequential()
    trunk.add_module("stem", Stem(3, 32, 3, 2))
    for index, (expansion, kernel, stride, channels_in, channels_out) in enumerate(_blocks()):
        trunk.add_module(f"block{index}", InvertedResidual(expansion, kernel, stride, channels_in, channels_out))
    return trunk


def from_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of the trunk from the released weights (`_conv_stem`, `_blocks.0._depthwise_conv`, ...): BatchNorms are
    put into the convolutions before them. Raises KeyError for the weights of another network."""
    found = dict(_folded(state, "stem", "_conv_stem", "_bn0"))
    for index, (expansion, *_) in enumerate(_blocks()):
        released, block = f"_blocks.{index}.", f"block{index}."
        if expansion > 1:
            found |= _folded(state, block + "expand", released + "_expand_conv", released + "_bn0")
        found |= _folded(state, block + "depthwise", released + "_depthwise_conv", released + "_bn1")
        found |= _folded(state, block + "project", released + "_project_conv", released + "_bn2")
    return found


def _blocks() -> Iterator[tuple[int, int, int, int, int]]:
    for stage in STAGES:
        for number in range(stage.blocks):
            first = number == 0
            yield (
                stage.expansion,
                stage.kernel,
                stage.stride if first else 1,
                stage.channels_in if first else stage.channels_out,
                stage.channels_out,
            )


def _folded(state: Mapping[str, Tensor], name: str, convolution: str, norm: str) -> dict[str, Tensor]:
    gain = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + BATCH_NORM_EPSILON).sqrt()
    weight = state[f"{convolution}.weight"].double() * gain[:, None, None, None]
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * gain
    return {f"{name}.weight": weight.to(torch.float32), f"{name}.bias": bias.to(torch.float32)}
