"""Layers on maps `[n, channel, height, width]`: convolutions, pooling and local response normalisation.

Sizes and defaults are those of caffe.proto and of Caffe's layers (Jia et al. 2014, https://arxiv.org/abs/1408.5093).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.caffe.settings import Settings, Shape, blob, needed, optional_blob, pair, picture


@dataclass(frozen=True)
class Window:
    """The size of a kernel and its way over a map, each (height, width) in pixels."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @classmethod
    def of_convolution(cls, settings: Settings, channels: int, outputs: int) -> Window:
        """The window of a convolution with these channels and outputs. Raises ValueError for settings that do not fit."""
        if settings.get("axis", 1) not in (1, -3):
            raise ValueError(f"axis is {settings['axis']}, expected 1: set it to 1, as only channels on axis 1 are supported")
        groups = settings.get("group", 1)
        if groups < 1 or channels % groups or outputs % groups:
            raise ValueError(
                f"group is {groups}, expected a divisor of its {channels} channels and of its {outputs} outputs: correct "
                f"the prototxt"
            )
        kernel = pair(settings, "kernel_size", None, 1, "kernel")
        stride, padding = pair(settings, "stride", 1, 1), pair(settings, "pad", 0, 0)
        return cls(kernel, stride, padding, pair(settings, "dilation", 1, 1), groups)

    @property
    def moves(self) -> dict[str, Any]:
        """The keywords that `conv2d` and `conv_transpose2d` share."""
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def check(self, bottom: Tensor, channels: int) -> None:
        """Raises ValueError where the bottom has other channels, or is smaller than the kernel."""
        picture(bottom.shape, channels)
        reach = [dilation * (kernel - 1) + 1 for kernel, dilation in zip(self.kernel, self.dilation, strict=True)]
        sizes = [size + 2 * pad for size, pad in zip(bottom.shape[2:], self.padding, strict=True)]
        if any(size < extent for size, extent in zip(sizes, reach, strict=True)):
            raise ValueError(
                f"its kernel covers {reach}, its bottom {list(bottom.shape[2:])} with {self.padding} of padding, expected "
                f"a bottom of at least that size: give larger pictures"
            )


class Convolution(nn.Module):
    """Cross-correlation. Blobs: weight `[out, in / group, kernel height, kernel width]`, bias `[out]`."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        picture(shapes[0])
        self.channels, outputs = shapes[0][1], needed(settings, "num_output")
        self.window = Window.of_convolution(settings, self.channels, outputs)
        self.weight = blob(outputs, self.channels // self.window.groups, *self.window.kernel)
        self.bias = optional_blob(settings, outputs)

    def forward(self, bottom: Tensor) -> Tensor:
        self.window.check(bottom, self.channels)
        return functional.conv2d(bottom, self.weight, self.bias, **self.window.moves)


class DepthwiseConvolution(Convolution):
    """A convolution of each channel by itself, as MobileNet's forks of Caffe call it. Blobs as those of Convolution."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        picture(shapes[0])
        super().__init__({**settings, "group": shapes[0][1]}, shapes)


class Deconvolution(nn.Module):
    """The transpose of Convolution. Blobs: weight `[in, out / group, kernel height, kernel width]`, bias `[out]`."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        picture(shapes[0])
        self.channels, outputs = shapes[0][1], needed(settings, "num_output")
        self.window = Window.of_convolution(settings, self.channels, outputs)
        self.weight = blob(self.channels, outputs // self.window.groups, *self.window.kernel)
        self.bias = optional_blob(settings, outputs)

    def forward(self, bottom: Tensor) -> Tensor:
        picture(bottom.shape, self.channels)
        return functional.conv_transpose2d(bottom, self.weight, self.bias, **self.window.moves)


class Pooling(nn.Module):
    """Maxima or means of windows. The number of windows is rounded up, as in Caffe, unless `round_mode` is FLOOR, or
    `ceil_mode` false, as forks of Caffe call it.

    A last window that would begin in the padding is left out. A mean is divided by the part of its window that lies on the
    padded map. So the zeros of the padding count, and what lies beyond does not.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        picture(shapes[0])
        self.method = settings.get("pool", "MAX")
        if self.method not in ("MAX", "AVE"):
            raise ValueError(f"pool is {self.method}, expected MAX or AVE: use one of these, as others are not supported")
        self.ceil = settings.get("ceil_mode", settings.get("round_mode", "CEIL") == "CEIL")
        self.everywhere = settings.get("global_pooling", False)
        kernel = tuple(shapes[0][2:]) if self.everywhere else pair(settings, "kernel_size", None, 1, "kernel")
        self.window = Window((kernel[0], kernel[1]), pair(settings, "stride", 1, 1), pair(settings, "pad", 0, 0))
        least = (1, 1) if self.everywhere else self.window.kernel
        if any(pad >= kernel for pad, kernel in zip(self.window.padding, least, strict=True)):
            raise ValueError(
                f"pad is {self.window.padding}, expected less than the kernel, and 0 with global_pooling: correct the prototxt"
            )

    def forward(self, bottom: Tensor) -> Tensor:
        picture(bottom.shape)
        if self.everywhere:
            return bottom.amax((2, 3), keepdim=True) if self.method == "MAX" else bottom.mean((2, 3), keepdim=True)
        rows, columns = (self._count(axis, size) for axis, size in enumerate(bottom.shape[2:]))
        high, wide = self.window.padding
        beyond = -torch.inf if self.method == "MAX" else 0.0
        padded = functional.pad(bottom, (wide, wide, high, high), value=beyond) if high or wide else bottom
        pool = functional.max_pool2d if self.method == "MAX" else functional.avg_pool2d
        return pool(padded, self.window.kernel, self.window.stride, ceil_mode=True)[:, :, :rows, :columns]

    def _count(self, axis: int, size: int) -> int:
        """The number of windows that Caffe places along an axis (pooling_layer.cpp, Reshape)."""
        kernel, stride, pad = self.window.kernel[axis], self.window.stride[axis], self.window.padding[axis]
        room = size + 2 * pad - kernel
        count = (-(-room // stride) if self.ceil else room // stride) + 1
        if any(self.window.padding) and (count - 1) * stride >= size + pad:
            count -= 1
        if room < 0 or (count - 1) * stride >= size + pad:
            raise ValueError(
                f"windows of {kernel} every {stride} do not fit {size} pixels, expected windows that begin inside of them: give "
                f"larger pictures"
            )
        return count


class Lrn(nn.Module):
    """Local response normalisation: x / (k + alpha / local_size * sum of x^2 over `local_size` channels) ** beta.

    WITHIN_CHANNEL: x / (1 + alpha * mean of x^2 over local_size x local_size pixels) ** beta, with zeros beyond the border.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.size, self.alpha = settings.get("local_size", 5), settings.get("alpha", 1.0)
        self.beta, self.k = settings.get("beta", 0.75), settings.get("k", 1.0)
        self.region = settings.get("norm_region", "ACROSS_CHANNELS")
        if self.size < 1 or self.size % 2 == 0:
            raise ValueError(f"local_size is {self.size}, expected an odd number: correct the prototxt")

    def forward(self, bottom: Tensor) -> Tensor:
        picture(bottom.shape)
        if self.region == "ACROSS_CHANNELS":
            wide = bottom.float() if bottom.dtype in (torch.bfloat16, torch.float16) else bottom  # CPUs lack it in half precision
            return functional.local_response_norm(wide, self.size, self.alpha, self.beta, self.k).to(bottom.dtype)
        mean = functional.avg_pool2d(bottom.square(), self.size, 1, self.size // 2)
        return bottom * (1 + self.alpha * mean) ** -self.beta
