"""Convolutions whose weights get their gradient sooner: on the processor PyTorch's own kernels for it are several times slower
than those of the other passes, for transposed convolutions, and in bfloat16 for small maps of many channels."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional, grad

FEW_PLACES, MANY_CHANNELS = 64, 64
"""Maps of so few places, made from so many channels, are faster multiplied as matrices in bfloat16."""
Network = TypeVar("Network", bound=nn.Module)
Sizes = tuple[int, int]


class Convolution(nn.Conv2d):
    """nn.Conv2d: weights, results and gradients alike, but for their rounding. A gradient of the gradient is refused."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Conv2d; that itself where it is not on the processor, or anything but plain (see `is_plain`)."""
        if input.device.type != "cpu" or input.ndim != 4 or not is_plain(self):
            return super().forward(input)
        return _Convolve.apply(*_cast(input, self.weight, self.bias), self.stride, self.padding)  # pyright: ignore[reportReturnType]


class UpConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, as `Convolution` is nn.Conv2d."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As nn.ConvTranspose2d; that itself where it is not on the processor, or anything but plain (see `is_plain`)."""
        if input.device.type != "cpu" or input.ndim != 4 or output_size is not None or not is_plain(self):
            return super().forward(input, output_size)
        return _UpConvolve.apply(*_cast(input, self.weight, self.bias), self.stride, self.padding)  # pyright: ignore[reportReturnType]


def is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether it has neither groups nor dilation nor output padding, and zeros around its maps, if a number of them."""
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.output_padding == (0, 0)
    return plain and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def with_quick_gradients(network: Network) -> Network:
    """The network with its convolutions as `Convolution` and `UpConvolution`, changed in place; the state dict is the same."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = Convolution
        if type(module) is nn.ConvTranspose2d:
            module.__class__ = UpConvolution
    return network


class _Convolve(torch.autograd.Function):
    """Small maps of many channels are multiplied as matrices; others have PyTorch's own way back."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        _keep(ctx, *given)
        return functional.conv2d(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (seen, weight), (gradient,) = ctx.saved_tensors, gradients
        to_seen, to_weight, to_bias, *_ = ctx.needs_input_grad
        apart = to_weight and is_product(seen, gradient)
        together = to_weight and not apart  # a bias alone would cost as much as the weights
        rest = ([1, 1], False, [0, 0], 1, [to_seen, together, together and to_bias])
        found, of_weight, of_bias = torch.ops.aten.convolution_backward(gradient, seen, weight, [len(weight)], *ctx.sizes, *rest)
        of_weight = product(seen, weight, gradient, *ctx.sizes) if apart else of_weight
        of_bias = gradient.sum((0, 2, 3)) if to_bias and not together else of_bias
        return found, of_weight, of_bias, None, None


class _UpConvolve(torch.autograd.Function):
    """The weights of y = up(x) have the gradient that those of the convolution x = down(y) have, with x in the place of its
    gradient: the same products, by a faster kernel."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        _keep(ctx, *given)
        return functional.conv_transpose2d(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (seen, weight), (gradient,) = ctx.saved_tensors, gradients
        to_seen, to_weight, to_bias, *_ = ctx.needs_input_grad
        found = functional.conv2d(gradient, weight, None, *ctx.sizes) if to_seen else None
        of_weight = None
        if to_weight and is_product(gradient, seen):
            of_weight = product(gradient, weight, seen, *ctx.sizes)
        elif to_weight:
            of_weight = grad.conv2d_weight(gradient, weight.shape, seen, *ctx.sizes)
        return found, of_weight, gradient.sum((0, 2, 3)) if to_bias else None, None, None


def _keep(ctx: Any, seen: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes) -> None:
    """What both ways back need."""
    ctx.save_for_backward(seen, weight)
    ctx.sizes = stride, padding


def is_product(seen: Tensor, gradient: Tensor) -> bool:
    """Whether `product` is faster for a convolution's weights."""
    few = gradient.shape[2] * gradient.shape[3] <= FEW_PLACES
    return few and seen.shape[1] >= MANY_CHANNELS and gradient.dtype in (torch.bfloat16, torch.float16)


def product(seen: Tensor, weight: Tensor, gradient: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """The gradient of a convolution's weights from what it saw and the gradient of what it made, both `[picture, channel, row,
    column]`: the sum over pictures and places of gradient x window, as one product of two matrices."""
    (outputs, _, height, width), (rows, columns) = weight.shape, padding
    around = functional.pad(seen.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))
    windows = around.unfold(1, height, stride[0]).unfold(2, width, stride[1])  # picture, row, column, channel, window
    flat = windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
    found = gradient.permute(0, 2, 3, 1).flatten(0, 2).t() @ flat
    return found.view(outputs, height, width, -1).permute(0, 3, 1, 2)


def _cast(*given: Tensor | None) -> tuple[Tensor | None, ...]:
    """As autocast would, which does not reach into functions with a gradient of their own."""
    if not torch.is_autocast_enabled("cpu"):
        return given
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(one if one is None or one.dtype == torch.float64 else one.to(dtype) for one in given)
