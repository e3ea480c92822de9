"""Transposed convolutions whose gradient on the processor takes half the time: PyTorch's own for the weights is slow there."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)


class UpConvolution(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, weights, results and gradients alike, without groups, dilation or output padding. A gradient of the
    gradient is refused."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As nn.ConvTranspose2d; anywhere but on the processor it is that."""
        if input.device.type != "cpu" or input.ndim != 4 or output_size is not None:
            return super().forward(input, output_size)
        given: tuple[Tensor | None, ...] = input, self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            given = tuple(one if one is None or one.dtype == torch.float64 else one.to(dtype) for one in given)
        return _UpConvolve.apply(*given, self.stride, self.padding)  # pyright: ignore[reportReturnType]


class _UpConvolve(torch.autograd.Function):
    """The weights of y = up(x) have the gradient that those of the convolution x = down(y) have, with x in the place of its
    gradient: the same products, by a faster kernel."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        features, weight, bias, stride, padding = given
        ctx.save_for_backward(features, weight)
        ctx.sizes = stride, padding
        return functional.conv_transpose2d(features, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        (features, weight), (gradient,), sizes = ctx.saved_tensors, gradients, ctx.sizes
        to_features, to_weight, to_bias, *_ = ctx.needs_input_grad
        rest = ([1, 1], False, [0, 0], 1, [False, True, False])  # dilation, transposed, output padding, groups, what for
        return (
            functional.conv2d(gradient, weight, None, *sizes) if to_features else None,
            torch.ops.aten.convolution_backward(features, gradient, weight, None, *sizes, *rest)[1] if to_weight else None,
            gradient.sum((0, 2, 3)) if to_bias else None,
            None,
            None,
        )


def with_quick_gradients(network: Network) -> Network:
    """The network with its transposed convolutions as UpConvolution where they can be; changed in place and returned, with the
    same state dict."""
    for module in network.modules():
        plain = type(module) is nn.ConvTranspose2d and (module.groups, module.dilation) == (1, (1, 1))
        if plain and module.output_padding == (0, 0) and module.padding_mode == "zeros":
            module.__class__ = UpConvolution
    return network
