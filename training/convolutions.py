"""Convolutions with faster gradients of their weights on a CPU.

PyTorch's own kernels for these gradients are several times slower than those of the other passes, for transposed convolutions,
and in bfloat16 for small maps of many channels.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional, grad

FEW_PLACES, MANY_CHANNELS = 64, 64
"""Maps of at most so many places, made from at least so many channels, are faster multiplied as matrices in bfloat16."""
Network = TypeVar("Network", bound=nn.Module)
Sizes = tuple[int, int]


class Convolution(nn.Conv2d):
    """nn.Conv2d with the same weights, results and gradients up to rounding; it has no gradient of the gradient."""

    def forward(self, input: Tensor) -> Tensor:
        """As nn.Conv2d, which itself runs off the CPU and for a layer that is not plain (see `is_plain`)."""
        if input.device.type != "cpu" or input.ndim != 4 or not is_plain(self):
            return super().forward(input)
        return _Convolve.apply(*_cast(input, self.weight, self.bias), self.stride, self.padding)  # pyright: ignore[reportReturnType]


class UpConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, as `Convolution` is nn.Conv2d."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As nn.ConvTranspose2d, which itself runs off the CPU and for a layer that is not plain (see `is_plain`)."""
        if input.device.type != "cpu" or input.ndim != 4 or output_size is not None or not is_plain(self):
            return super().forward(input, output_size)
        return _UpConvolve.apply(*_cast(input, self.weight, self.bias), self.stride, self.padding)  # pyright: ignore[reportReturnType]


def is_plain(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a layer has neither groups nor dilation nor output padding, and a number of zeros around its maps."""
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.output_padding == (0, 0)
    return plain and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def with_quick_gradients(network: Network) -> Network:
    """The network with its convolutions turned into `Convolution` and `UpConvolution` in place; its state dict is the same."""
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = Convolution
        if type(module) is nn.ConvTranspose2d:
            module.__class__ = UpConvolution
    return network


class _Convolve(torch.autograd.Function):
    """A convolution whose backward pass multiplies small maps of many channels as matrices, and is PyTorch's for others."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        _keep(ctx, *given)
        return functional.conv2d(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (seen, weight), (gradient,) = ctx.saved_tensors, gradients
        to_seen, to_weight, to_bias, *_ = ctx.needs_input_grad
        apart = to_weight and is_faster_as_matrices(seen, gradient)
        together = to_weight and not apart  # a bias alone would cost as much as the weights
        rest = ([1, 1], False, [0, 0], 1, [to_seen, together, together and to_bias])
        found, of_weight, of_bias = torch.ops.aten.convolution_backward(gradient, seen, weight, [len(weight)], *ctx.sizes, *rest)
        of_weight = weight_gradient(seen, weight, gradient, *ctx.sizes) if apart else of_weight
        of_bias = gradient.sum((0, 2, 3)) if to_bias and not together else of_bias
        return found, of_weight, of_bias, None, None


class _UpConvolve(torch.autograd.Function):
    """A transposed convolution whose weights get their gradient from the kernel of the convolution, which is faster.

    The weights of y = up(x) have the gradient of the weights of the convolution x = down(y), with x in place of its gradient.
    """

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
        if to_weight and is_faster_as_matrices(gradient, seen):
            of_weight = weight_gradient(gradient, weight, seen, *ctx.sizes)
        elif to_weight:
            of_weight = grad.conv2d_weight(gradient, weight.shape, seen, *ctx.sizes)
        return found, of_weight, gradient.sum((0, 2, 3)) if to_bias else None, None, None


def _keep(ctx: Any, seen: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes) -> None:
    """Save the tensors and sizes that both backward passes need."""
    ctx.save_for_backward(seen, weight)
    ctx.sizes = stride, padding


def is_faster_as_matrices(seen: Tensor, gradient: Tensor) -> bool:
    """Whether `weight_gradient` beats PyTorch's kernel for such an input and gradient of a convolution."""
    few = gradient.shape[2] * gradient.shape[3] <= FEW_PLACES
    return few and seen.shape[1] >= MANY_CHANNELS and gradient.dtype in (torch.bfloat16, torch.float16)


def weight_gradient(seen: Tensor, weight: Tensor, gradient: Tensor, stride: Sizes, padding: Sizes) -> Tensor:
    """The gradient of a convolution's weights: the sum over pictures and places of gradient x window, as a matrix product.

    seen, gradient: the input and the gradient of the output, `[picture, channel, height, width]`.
    """
    (outputs, _, height, width), (rows, columns) = weight.shape, padding
    around = functional.pad(seen.permute(0, 2, 3, 1), (0, 0, columns, columns, rows, rows))
    windows = around.unfold(1, height, stride[0]).unfold(2, width, stride[1])  # picture, row, column, channel, window
    flat = windows.permute(0, 1, 2, 4, 5, 3).flatten(3).flatten(0, 2)
    found = gradient.permute(0, 2, 3, 1).flatten(0, 2).t() @ flat
    return found.view(outputs, height, width, -1).permute(0, 3, 1, 2)


def _cast(*given: Tensor | None) -> tuple[Tensor | None, ...]:
    """The tensors in autocast's type, because autocast does not reach into functions with a written gradient."""
    if not torch.is_autocast_enabled("cpu"):
        return given
    dtype = torch.get_autocast_dtype("cpu")
    return tuple(one if one is None or one.dtype == torch.float64 else one.to(dtype) for one in given)
