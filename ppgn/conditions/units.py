"""Conditions on what is inside a network: units, channels, directions and whole layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.conditions.addresses import Position, UnitAddress
from ppgn.conditions.classes import at_target, released_log_prob
from ppgn.probe import Layer, Probe, Seen
from ppgn.probe.listing import channel_axis as usual_channel_axis
from ppgn.probe.recorder import Side
from ppgn.types import Image, LogProb

Measure: TypeAlias = Literal["activation", "log_softmax", "released"]
MEASURES: dict[str, Callable[[Tensor, int | tuple[int, ...], str], LogProb]] = {
    "activation": at_target,
    "log_softmax": lambda vector, target, who: at_target(vector.log_softmax(1), target, who),
    "released": released_log_prob,
}


class Unit:
    """What a hidden unit says of the image: `[chain]`.

    network: a module, Seen, or a Probe with the layer. address: see UnitAddress. A layer's value becomes one vector per
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
        network: nn.Module | Seen | Probe,
        address: str | UnitAddress,
        *,
        measure: Measure = "activation",
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.address = UnitAddress.parse(address) if isinstance(address, str) else address
        self.layer = Layer(network, self.address.layer, activation=activation)
        self.measure: Measure = _check_measure(measure)
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        return _measured(self.layer(image), self.address, self.measure, self.channel_axis)


class Units:
    """sum over i of weight_i * unit_i(image), in one pass: several units at once, of one layer or many.

    addresses: see UnitAddress. weights: one per address, by default 1; negative ones silence a unit. The rest as Unit.
    """

    def __init__(
        self,
        network: nn.Module | Seen | Probe,
        addresses: Sequence[str | UnitAddress],
        *,
        weights: Sequence[float] | None = None,
        measure: Measure = "activation",
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
        self.measure: Measure = _check_measure(measure)
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        values = self.probe(image)
        measured = (_measured(values[one.layer], one, self.measure, self.channel_axis) for one in self.addresses)
        return torch.stack([weight * value for weight, value in zip(self.weights, measured, strict=True)]).sum(0)


class Direction:
    """<layer(image), direction> per chain: the projection on a direction in a layer, or with `cosine` that over both norms.

    direction: `[channel]`, one weight per channel of the vector that Unit describes (a concept vector, an edit, a difference
    of two classes), or the layer's whole shape `[*layer]`. Raises ValueError when it has neither shape.
    """

    def __init__(
        self,
        network: nn.Module | Seen | Probe,
        layer: str,
        direction: Tensor,
        *,
        position: Position = None,
        cosine: bool = False,
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.layer = Layer(network, layer, activation=activation)
        self.direction = direction.detach().clone()
        self.position: Position = position
        self.cosine = cosine
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        value = self.layer(image)
        direction = self.direction.to(value)
        if self.position is not None or direction.shape != value.shape[1:]:
            value = vector_at(value, self.position, self.channel_axis, self.layer.name)
        if direction.shape != value.shape[1:]:
            raise ValueError(
                f"a direction in the layer {self.layer.name!r} got shape {tuple(direction.shape)}, expected "
                f"{tuple(value.shape[1:])}: pass one weight per channel"
            )
        value, direction = value.flatten(1), direction.flatten()[None]
        return functional.cosine_similarity(value, direction) if self.cosine else (value * direction).sum(1)


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
    return MEASURES[measure](vector, target, f"a condition on units of the layer {address.layer!r}")


def _check_measure(measure: Measure) -> Measure:
    if measure not in MEASURES:
        raise ValueError(f"a unit condition got measure={measure!r}, expected one of {sorted(MEASURES)}: pass one of them")
    return measure
