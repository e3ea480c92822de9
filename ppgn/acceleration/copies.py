"""Copies of networks that are made once and kept as long as the network lives."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.acceleration.conversion import Converted

_cache: weakref.WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], tuple[Any, Any]]] = weakref.WeakKeyDictionary()


def converted(network: Any, precision: str) -> Any:
    """The network in that precision, one copy for all callers; in float32, and where it is Converted already, the network itself.

    Raises ValueError as Converted does.
    """
    if isinstance(network, Converted) or precision == "float32":
        return network
    if not isinstance(network, nn.Module):
        return Converted(network, precision)
    return cached_copy(network, (precision,), Converted, precision)


def cached_copy(network: nn.Module, how: tuple[Any, ...], make: Callable[..., Any], *arguments: Any) -> Any:
    """make(network, *arguments), made once for a network and `how`, and again when its weights have changed or moved."""
    weights = tuple(
        (tensor.data_ptr(), tensor.device, _version(tensor)) for tensor in (*network.parameters(), *network.buffers())
    )
    copies = _cache.setdefault(network, {})
    if copies.get(how, (None, None))[0] != weights:
        with torch.inference_mode(False), torch.no_grad():
            copies[how] = (weights, make(network, *arguments))
    return copies[how][1]


def _version(tensor: Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
