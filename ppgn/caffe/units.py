"""Layers on any shape with weights, a softmax, or several bottoms: fully connected, and scaled or shifted by channel."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.caffe.settings import Settings, Shape, axis_of, blob, needed, optional_blob, same_shape, spread


class InnerProduct(nn.Module):
    """A matrix on the axes from `axis` on, flattened. Blobs: weight `[out, in]` (`[in, out]` with transpose), bias `[out]`."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", 1), len(shapes[0]))
        self.inputs, outputs = prod(shapes[0][self.axis :]), needed(settings, "num_output")
        self.transpose = settings.get("transpose", False)
        self.weight = blob(self.inputs, outputs) if self.transpose else blob(outputs, self.inputs)
        self.bias = optional_blob(settings, outputs)

    def forward(self, bottom: Tensor) -> Tensor:
        if prod(bottom.shape[self.axis :]) != self.inputs:
            raise ValueError(
                f"its bottom is {list(bottom.shape)}, expected {self.inputs} numbers from axis {self.axis} on: "
                "give an input of the declared size"
            )
        return functional.linear(bottom.flatten(self.axis), self.weight.T if self.transpose else self.weight, self.bias)


class Relu(nn.Module):
    """max(0, x) + negative_slope * min(0, x)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.slope = settings.get("negative_slope", 0.0)

    def forward(self, bottom: Tensor) -> Tensor:
        return functional.leaky_relu(bottom, self.slope) if self.slope else torch.relu(bottom)


class Prelu(nn.Module):
    """max(0, x) + slope * min(0, x). Blob: a slope per channel (axis 1), or a single slope with channel_shared."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        channels = shapes[0][axis_of(1, len(shapes[0]))]
        self.weight = blob() if settings.get("channel_shared", False) else blob(channels)

    def forward(self, bottom: Tensor) -> Tensor:
        return torch.relu(bottom) - spread(self.weight, bottom, 1) * torch.relu(-bottom)


class Dropout(nn.Module):
    """The bottom, as in Caffe's test phase; times 1 - dropout_ratio where `scale_train` is off."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.share = 1.0 if settings.get("scale_train", True) else 1 - settings.get("dropout_ratio", 0.5)

    def forward(self, bottom: Tensor) -> Tensor:
        return bottom if self.share == 1 else bottom * self.share


class Softmax(nn.Module):
    """exp(x) / sum of exp(x) along `axis`."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", 1), len(shapes[0]))

    def forward(self, bottom: Tensor) -> Tensor:
        return bottom.softmax(self.axis)


COMBINE = {"SUM": torch.add, "PROD": torch.mul, "MAX": torch.maximum}


class Eltwise(nn.Module):
    """Sum (each bottom times its `coeff`), product or maximum of bottoms of equal shapes."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.operation, given = settings.get("operation", "SUM"), list(settings.get("coeff", []))
        if self.operation not in COMBINE or (given and (self.operation != "SUM" or len(given) != len(shapes))):
            raise ValueError(
                f"operation is {self.operation} with {len(given)} coeff, expected {', '.join(COMBINE)}, and for a SUM alone "
                f"a coeff for each of its {len(shapes)} bottoms: correct the prototxt"
            )
        self.factors = given or [1.0] * len(shapes)

    def forward(self, *bottoms: Tensor) -> Tensor:
        same_shape(bottoms)
        terms = [bottom if factor == 1 else factor * bottom for factor, bottom in zip(self.factors, bottoms, strict=True)]
        return reduce(COMBINE[self.operation], terms)


def covered(settings: Settings, shapes: Sequence[Shape]) -> tuple[int, list[int]]:
    """(axis, shape) of the part of the first bottom that the weights of a Scale or Bias layer, or its second bottom, cover.

    Raises ValueError where that part has too few axes.
    """
    if len(shapes) > 1:
        return (axis_of(settings.get("axis", 1), len(shapes[0])) if shapes[1] else 0), list(shapes[1])
    axis, count = axis_of(settings.get("axis", 1), len(shapes[0])), settings.get("num_axes", 1)
    shape = list(shapes[0][axis:] if count == -1 else shapes[0][axis : axis + count])
    if count != -1 and len(shape) != count:
        held = f"more than the axes of {list(shapes[0])} from {axis} on"
        raise ValueError(f"num_axes is {count}, {held}, expected at most {len(shape)}: correct the prototxt")
    return axis, shape


class Scale(nn.Module):
    """x * scale + bias on `num_axes` axes from `axis` on. The scale is a second bottom, or a blob before the bias."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis, shape = covered(settings, shapes)
        self.weight = None if len(shapes) > 1 else blob(*shape)
        self.bias = optional_blob(settings, *shape, default=False)

    def forward(self, bottom: Tensor, scale: Tensor | None = None) -> Tensor:
        scaled = bottom * spread(cast(Tensor, self.weight if scale is None else scale), bottom, self.axis)
        return scaled if self.bias is None else scaled + spread(self.bias, bottom, self.axis)


class Bias(nn.Module):
    """x + bias on `num_axes` axes from `axis` on. The bias is a second bottom or a blob."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis, shape = covered(settings, shapes)
        self.bias = None if len(shapes) > 1 else blob(*shape)

    def forward(self, bottom: Tensor, bias: Tensor | None = None) -> Tensor:
        return bottom + spread(cast(Tensor, self.bias if bias is None else bias), bottom, self.axis)


class BatchNorm(nn.Module):
    """(x - mean / s) / sqrt(variance / s + eps) per channel. Blobs: mean, variance, and their common factor s `[1]`.

    Where s is 0, nothing was recorded; mean and variance then count as 0 (batch_norm_layer.cpp).
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        if not settings.get("use_global_stats", True):
            raise ValueError("use_global_stats is false, expected true, as the output would depend on the batch: set it to true")
        channels = shapes[0][axis_of(1, len(shapes[0]))]
        self.eps, self.mean, self.variance, self.factor = settings.get("eps", 1e-5), blob(channels), blob(channels), blob(1)

    def forward(self, bottom: Tensor) -> Tensor:
        share = torch.where(self.factor == 0, 0.0, 1 / torch.where(self.factor == 0, 1.0, self.factor))
        gain = (self.variance * share + self.eps).rsqrt()
        return (bottom - spread(self.mean * share, bottom, 1)) * spread(gain, bottom, 1)
