"""Conditions on units and channels of a layer, and the vector that a layer has at a position."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from ppgn.conditions.addresses import Position, UnitAddress, spelled
from ppgn.conditions.measures import Measure, measure_named
from ppgn.probe import Layer, Preprocessed, Probe, Side, Tokens
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

    activation: which side of the layer's activation (see Probe). channel_axis: the axis of channels, by default 1, 2 for tokens
    `[chain, token, feature]`, and the last for maps of linear layers (`probe.axis_of`). Raises ValueError for an address, a
    measure or an axis that does not fit the layer, and when there are not as many chains as units of an address with one per
    chain.
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
        self.layer = Layer(network, self.address.layer, activation=activation, heads=True)
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
        return _measured(self.layer.probe, self.layer(image), image, self.address, self._measure, self.channel_axis)


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
        self.probe = network if isinstance(network, Probe) else Probe(network, layers, activation=activation, heads=True)
        for layer in layers:
            Layer(self.probe, layer, activation=activation, heads=True)  # says when a given probe lacks it
        self.measure = measure
        self._measure = measure_named(measure)
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        values = self.probe(image)
        given = (self._measure, self.channel_axis)
        measured = (_measured(self.probe, values[one.layer], image, one, *given) for one in self.addresses)
        return torch.stack([weight * value for weight, value in zip(self.weights, measured, strict=True)]).sum(0)


def vector_of(
    probe: Probe, layer: str, value: Tensor, image: Image, position: Position, channel_axis: int | None = None
) -> Tensor:
    """`vector_at` of a layer's value for an image, with the channels and tokens that the probe's network has."""
    axis = probe.channel_axis(layer, value) if channel_axis is None else channel_axis
    return vector_at(value, position, axis, layer, None if position is None else probe.tokens(image))


def vector_at(value: Tensor, position: Position, channel_axis: int | None, layer: str, tokens: Tokens | None = None) -> Tensor:
    """A layer's value `[chain, ...]` as one vector per chain, `[chain, channel]`: at a position, or their mean.

    tokens: the order of tokens `[chain, token, feature]`, without which they are numbers alone.
    """
    axis = usual_channel_axis(value.ndim) if channel_axis is None else channel_axis
    if value.ndim < 2 or not 1 <= axis < value.ndim:
        raise ValueError(
            f"the layer {layer!r} has shape {tuple(value.shape)}, expected a channel axis {axis} after that of chains: "
            f"choose another layer or channel_axis"
        )
    maps = value.movedim(axis, 1)
    if position is None:
        return maps.flatten(2).mean(2) if maps.ndim > 2 else maps
    if maps.ndim == 3 and axis == 2 and tokens is not None:
        maps, position = _of_tokens(maps, position, layer, tokens)
    sizes = tuple(maps.shape[2:])
    if position == "mean" and sizes:
        return maps.flatten(2).mean(2)
    where = tuple(size // 2 for size in sizes) if position == "centre" else position
    if isinstance(where, str) or where is None:
        where = ()
    if not sizes or len(where) != len(sizes) or any(not 0 <= at < size for at, size in zip(where, sizes, strict=True)):
        raise ValueError(
            f"the layer {layer!r} got the position {spelled(position)}, expected one inside its map of {sizes}: "
            f"{'choose such a position' if sizes else 'leave it out, the layer is no map'}"
        )
    return maps[(slice(None), slice(None), *where)]


def _of_tokens(maps: Tensor, position: Position, layer: str, tokens: Tokens) -> tuple[Tensor, Position]:
    """The value `[chain, channel, token]` and the position, or the patches' grid and the position in it."""
    count = maps.shape[2]
    found, has_class = tokens.patches(count), tokens.class_token(count)
    if position == "cls" and has_class:
        return maps, (0,)
    grid = position in ("mean", "centre") or (isinstance(position, tuple) and len(position) == 2)
    if grid and found is not None:
        first, sides = found
        return maps[:, :, first:].unflatten(2, sides), position
    if position == "mean":
        return maps[:, :, tokens.before :], position
    if position == "cls" or (isinstance(position, tuple) and (grid or len(position) != 1 or position[0] >= count)):
        patches = "in no grid" if found is None else f"{found[1][0]} x {found[1][1]} of them patches"
        has = f"{'a' if has_class else 'no'} class token"
        places = "" if found is None else ", or row,column"
        raise ValueError(
            f"the layer {layer!r} got the position {spelled(position)}, expected one of its {count} tokens, {patches}, and "
            f"{has}: write {'cls, ' if has_class else ''}mean, a number up to {count - 1}{places}"
        )
    return maps, position


def _measured(
    probe: Probe, value: Tensor, image: Image, address: UnitAddress, measure: Measure, channel_axis: int | None
) -> LogProb:
    layer = address.layer
    vector = vector_of(probe, layer, value, image, address.position, channel_axis)
    if len(vector) != len(image):
        raise ValueError(
            f"the layer {layer!r} has {len(vector)} values for {len(image)} chains, expected one each: choose a layer that is "
            f"not cut into windows"
        )
    target = tuple(range(vector.shape[1])) if address.units is None else address.units
    kind = "heads" if layer in probe.heads else "units"
    return measure(vector, target, f"a condition on {kind} of the layer {layer!r}")
