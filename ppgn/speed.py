"""The same networks, faster: channels last in memory, another precision, compiled."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.faults import told

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class CompileFailed(UserWarning):
    """torch.compile did not work here; the network runs as it is."""


def laid_out(network: nn.Module) -> nn.Module:
    """The network with the weights of its 2-d convolutions, and so its maps, channels last in memory: the same function, but not
    for a network that takes `view` of a map. Changed in place and returned."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return network


def inside(network: nn.Module, precision: str) -> nn.Module:
    """A copy of a network of codes whose layers with weights compute in that precision, while what is added up between them, and
    its buffers, stay as they are. Raises ValueError for an unknown precision."""
    quick = copy.deepcopy(network)
    for module in quick.modules():
        if isinstance(module, nn.Linear | nn.LayerNorm):
            module.to(dtype_of(precision))
    return quick


def dtype_of(precision: str) -> torch.dtype:
    """The type of a key of DTYPES; ValueError for another."""
    if precision not in DTYPES:
        raise ValueError(f"unknown precision {precision!r}: choose {', '.join(DTYPES)}")
    return DTYPES[precision]


class Hastened:
    """A copy of a frozen network that computes in another precision, compiled if asked for, and takes and gives what the network
    itself does: floating-point inputs are converted on their way in (a network that `takes_any_type` gets float32), and outputs
    to float32 on their way out.

    precision: a key of DTYPES. Methods work as calls do. Raises ValueError for an unknown precision.
    """

    def __init__(self, network: nn.Module, precision: str, compiled: bool = False) -> None:
        self.dtype = dtype_of(precision)
        self.network = network if self.dtype == torch.float32 else _without_hooks(copy.deepcopy(network)).to(self.dtype)
        self._call = self._converted(_compiled(self.network) if compiled else self.network)

    def __call__(self, *given: Any) -> Any:
        return self._call(*given)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "network":
            raise AttributeError(name)
        found = getattr(self.network, name)
        return self._converted(found) if callable(found) and not isinstance(found, nn.Module) else found

    def _converted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        into = torch.float32 if getattr(self.network, "takes_any_type", False) else self.dtype

        def call(*given: Any, **named: Any) -> Any:
            return _cast(function(*(_cast(one, into) for one in given), **named), torch.float32)

        return call


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    return type(value)(_cast(one, dtype) for one in value) if isinstance(value, list | tuple) else value


def _without_hooks(network: nn.Module) -> nn.Module:
    """A copy counts nothing of what its original was asked to count."""
    for module in network.modules():
        for hooks in (module._forward_hooks, module._forward_pre_hooks):
            hooks.clear()
    return network


def _compiled(network: nn.Module) -> Callable[..., Any]:
    """torch.compile(network), or the network itself, with a CompileFailed warning, where its first call fails."""
    chosen: list[Callable[..., Any]] = [torch.compile(network)]
    worked = False

    def call(*given: Any) -> Any:
        nonlocal worked
        try:
            made = chosen[0](*given)
        except Exception as fault:  # whatever the compiler of this machine raises
            if worked or chosen[0] is network or isinstance(fault, torch.OutOfMemoryError):
                raise
            why = f"torch.compile failed ({told(fault)}); going on without it"
            warnings.warn(why, CompileFailed, stacklevel=2)
            chosen[0] = network
            made = network(*given)
        worked = True
        return made

    return call
