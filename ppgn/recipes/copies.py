"""Quicker copies of a bundle's networks, each made once."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ppgn.speed import Hastened

_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], tuple[Any, Any]]] = weakref.WeakKeyDictionary()


def quick_copy(network: Any, precision: str, compiled: bool = False) -> Any:
    """The network in that precision, compiled if asked for; itself where it is that already."""
    if isinstance(network, Hastened) or (precision == "float32" and not compiled):
        return network
    return made_once(network, (precision, compiled), Hastened, precision, compiled)


def made_once(network: nn.Module, how: tuple[Any, ...], make: Callable[..., Any], *given: Any) -> Any:
    """make(network, *given), made once for a network and once more whenever its weights have changed or moved."""
    weights = tuple((one.data_ptr(), one.device, _version(one)) for one in (*network.parameters(), *network.buffers()))
    made = _known.setdefault(network, {})
    if made.get(how, (None, None))[0] != weights:
        with torch.inference_mode(False), torch.no_grad():
            made[how] = (weights, make(network, *given))
    return made[how][1]


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
