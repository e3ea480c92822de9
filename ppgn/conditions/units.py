"""Conditions on units and channels of a layer, and the vector that a layer has at a position."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ppgn.conditions.addresses import Position, UnitAddress
from ppgn.conditions.measures import Measure, measure_named
from ppgn.probe import Layer, Preprocessed, Probe, Side
from ppgn.probe import channel_axis as usual_channel_axis
from ppgn.types import Image, LogProb


class Unit:
    """The value of a hidden unit for the image: `[chain]`.

    network: a module, Preprocessed, or a Probe with the layer. address: see UnitAddress. A layer's value becomes one vector per
    chain, `[chain, channel]`: itself, the one at a position of a map, or the mean over positions. Of its entry at the unit
    measure takes

        "activation"   the entry itself (DGN-AM)
        "log_softmax"  log softmax over the vector, with its true gradient
        "released"     the same value with (1 - p) * d entry / d image as gradient: the released PPGN code, which looks
                       "before" the activation and at the "centre" of a convolution

    activation: which side of the layer's activation (see Probe). channel_axis: the axis of channels, by default 1, and 2
    for tokens `[chain, token, feature]`. Raises ValueError for an address, a measure or an axis that does not fit the
    layer, and when there are not as many chains as units of an address with one per chain.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        address: str | UnitAddress,
        *,
        measure: str = "activation",
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.address = UnitAddress.parse(address) if isinstance(address, str) else address
        self.layer = Layer(network, self.address.layer, activation=activation)
        self.measure = measure
        self._measure = measure_named(measure)
        self.channel_axis = channel_axis

    def for_chains(self, chains: Sequence[int]) -> Unit:
        """The same for some of its chains, in their order; itself where all have one unit."""
        if isinstance(self.address.units, int):
            return self
        units = range(max(chains, default=0) + 1) if self.address.units is None else self.address.units
        other = copy.copy(self)
        other.address = replace(self.address, units=tuple(units[chain] for chain in chains))
        return other

    def __call__(self, image: Image) -> LogProb:
        return _measured(self.layer(image), self.address, self._measure, self.channel_axis)


class Units:
    """sum over i of weight_i * unit_i(image), in one pass: several units at once, of one layer or many.

    addresses: see UnitAddress. weights: one per address, by default 1; negative ones silence a unit. The rest as Unit.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        addresses: Sequence[str | UnitAddress],
        *,
        weights: Sequence[float] | None = None,
        measure: str = "activation",
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.weights = (1.0,) * len(addresses) if weights is None else tuple(weights)
        if isinstance(addresses, str) or not addresses or len(self.weights) != len(addresses):
            raise ValueError(
                f"a condition on several units got {addresses!r} and {len(self.weights)} weights, expected a list of at least "
                f"one address and as many weights: pass a list, and one weight for each or none"
            )
        self.addresses = tuple(UnitAddress.parse(one) if isinstance(one, str) else one for one in addresses)
        layers = [one.layer for one in self.addresses]
        self.probe = network if isinstance(network, Probe) else Probe(network, layers, activation=activation)
        for layer in layers:
            Layer(self.probe, layer, activation=activation)  # says when a given probe lacks it
        self.measure = measure
        self._measure = measure_named(measure)
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        values = self.probe(image)
        measured = (_measured(values[one.layer], one, self._measure, self.channel_axis) for one in self.addresses)
        return torch.stack([weight * value for weight, value in zip(self.weights, measured, strict=True)]).sum(0)


def vector_at(value: Tensor, position: Position, channel_axis: int | None, layer: str) -> Tensor:
    """A layer's value `[chain, ...]` as one vector per chain, `[chain, channel]`: at a position, or their mean."""
    axis = usual_channel_axis(value.ndim) if channel_axis is None else channel_axis
    if value.ndim < 2 or not 1 <= axis < value.ndim:
        raise ValueError(
            f"the layer {layer!r} has shape {tuple(value.shape)}, expected a channel axis {axis} after that of chains: "
            f"choose another layer or channel_axis"
        )
    maps = value.movedim(axis, 1)
    if position is None:
        return maps.flatten(2).mean(2) if maps.ndim > 2 else maps
    sizes = tuple(maps.shape[2:])
    where = tuple(size // 2 for size in sizes) if position == "centre" else position
    if not sizes or len(where) != len(sizes) or any(not 0 <= at < size for at, size in zip(where, sizes, strict=True)):
        raise ValueError(
            f"the layer {layer!r} got the position {position}, expected one inside its map of {sizes}: "
            f"{'choose such a position' if sizes else 'leave it out, the layer is no map'}"
        )
    return maps[(slice(None), slice(None), *where)]


def _measured(value: Tensor, address: UnitAddress, measure: Measure, channel_axis: int | None) -> LogProb:
    vector = vector_at(value, address.position, channel_axis, address.layer)
    target = tuple(range(vector.shape[1])) if address.units is None else address.units
    return measure(vector, target, f"a condition on units of the layer {address.layer!r}")
