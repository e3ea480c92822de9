"""Networks in another precision or memory layout."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
"""Precision -> the type of weights and of the values between layers."""


def to_channels_last(network: nn.Module) -> nn.Module:
    """The network with the weights of its 2-d convolutions, and so its maps, channels last in memory.

    It computes the same function, unless it takes `view` of a map. Changed in place and returned.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network


def cast_layers(network: nn.Module, precision: str) -> nn.Module:
    """A copy of a network of codes whose linear layers and layer norms compute in that precision.

    Sums between layers, and buffers, keep their type. Raises ValueError for an unknown precision.
    """
    cast = copy.deepcopy(network)
    for module in cast.modules():
        if isinstance(module, nn.Linear | nn.LayerNorm):
            module.to(dtype_of(precision))
    return cast


def dtype_of(precision: str) -> torch.dtype:
    """The type that a precision stands for. Raises ValueError for an unknown one."""
    if precision not in DTYPES:
        raise ValueError(f"got the precision {precision!r}, expected {' or '.join(DTYPES)}: choose one of them")
    return DTYPES[precision]


class Converted:
    """A copy of a frozen network that computes in another precision and takes and returns float32.

    Floating-point inputs are converted on their way in, or to float32 where the network `takes_any_type`, and outputs to float32
    on their way out. Methods convert as calls do; other attributes are the copy's. Raises ValueError for an unknown precision
    and for anything but a module.
    """

    def __init__(self, network: nn.Module, precision: str) -> None:
        self.dtype = dtype_of(precision)
        if not isinstance(network, nn.Module):
            raise ValueError(
                f"got {type(network).__name__} to run in {precision}, expected a torch.nn.Module, which can be converted: "
                f"choose float32, or make it a module"
            )
        self.network = _without_hooks(copy.deepcopy(network)).to(self.dtype)
        self._call = self._converting(self.network)

    def __call__(self, *inputs: Any) -> Any:
        return self._call(*inputs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "network":
            raise AttributeError(name)
        found = getattr(self.network, name)
        return self._converting(found) if callable(found) and not isinstance(found, nn.Module) else found

    def _converting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        dtype = torch.float32 if getattr(self.network, "takes_any_type", False) else self.dtype

        def call(*inputs: Any, **options: Any) -> Any:
            return _cast(function(*(_cast(value, dtype) for value in inputs), **options), torch.float32)

        return call


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return type(value)(_cast(entry, dtype) for entry in value) if isinstance(value, list | tuple) else value


def _without_hooks(network: nn.Module) -> nn.Module:
    """The network without hooks: what counts the original's passes must not count its copy's too."""
    for module in network.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    return network
