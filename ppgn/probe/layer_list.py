"""The layers of a network that can be probed, with the shapes of their outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import nn

from ppgn.images import Size, height_and_width
from ppgn.probe.axes import axis_of
from ppgn.probe.heads import heads_of
from ppgn.probe.layers import module_of
from ppgn.probe.outputs import first_tensor
from ppgn.probe.preprocessed import Preprocessed, check_eval


@dataclass(frozen=True)
class LayerInfo:
    """A layer's name, the class of its module, the shape of its output without the chain axis, the axis of channels in the
    output with it, of a module of attention the number of its heads, and of a layer worth asking for how deep it is ("early",
    "middle", "late") and the address of a unit ("blocks.3.mlp.fc1:0@mean", see `loaders.preset`)."""

    name: str
    kind: str
    shape: tuple[int, ...]
    axis: int
    heads: int | None = None
    depth: str = ""
    example: str = ""

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.shape[self.axis - 1]

    @property
    def addressable(self) -> int:
        """The number of units that the address `layer:unit` can name: heads of attention, else channels."""
        return self.heads or self.channels

    @property
    def units(self) -> int:
        """The number of values per chain."""
        return math.prod(self.shape)


def list_layers(network: nn.Module | Preprocessed, size: Size, channels: int = 3) -> list[LayerInfo]:
    """The layers that a pass over an image uses, in the order in which they first finish.

    size: (height, width) of the image, or the side of a square. Layers that return no tensor `[chain, ...]` are left out. Raises
    ValueError for a network in train mode.
    """
    module = module_of(network)
    check_eval(module)
    found: dict[str, LayerInfo] = {}
    handles = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            value = first_tensor(output)
            if value is not None and value.ndim > 1:
                heads, axis = heads_of(layer), axis_of(module, name, value.shape)
                info = LayerInfo(name, type(layer).__name__, tuple(value.shape[1:]), axis, heads.count if heads else None)
                found.setdefault(name, info)

        return hook

    height, width = height_and_width(size)
    like = next((weight for weight in chain(module.parameters(), module.buffers()) if weight.is_floating_point()), torch.empty(0))
    try:
        for name, layer in module.named_modules(remove_duplicate=False):
            if name and not isinstance(layer, torch.jit.ScriptModule):  # which takes no hooks
                handles.append(layer.register_forward_hook(note(name)))
        with torch.no_grad():
            network(like.new_zeros(1, channels, height, width))
    finally:
        for handle in handles:
            handle.remove()
    return list(found.values())
