"""What a layer already sees, amplified: DeepDream, also guided by another picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppgn.conditions.addresses import UnitAddress
from ppgn.probe import Layer, Preprocessed, Probe, Side
from ppgn.types import Image, LogProb

MOST_PRODUCTS = 2**24
"""Dot products of positions of a picture and its guide in memory at a time (64 MiB a chain)."""


class Amplified:
    """sum over channels and positions of layer(image)^2 / 2 per chain: its gradient at the layer is the layer's own value.

    address: a layer, "features.10", or some of its channels, "features.10:3" or "features.10:3,8", whose values are then summed
    as they are. guide: a picture `[channel, height, width]`, of any size that the network takes; then each position climbs the
    dot product with that position of the guide whose features fit it best, sum over positions of max_j <f(image)_i, f(guide)_j>.
    (Mordvintsev et al. 2015, "Inceptionism", and its notebook dream.ipynb.) Returns `[chain]`, in squared units of the layer.
    Raises ValueError for channels that the layer does not have, for a position, and for a guided layer without positions.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        address: str | UnitAddress,
        guide: Tensor | None = None,
        *,
        activation: Side | None = None,
    ) -> None:
        self.address = _address(address)
        self.layer = Layer(network, self.address.layer, activation=activation)
        self.guide: Tensor | None = None
        if guide is not None:
            with torch.no_grad():
                self.guide = self._features(guide[None])[0].clone()

    def __call__(self, image: Image) -> LogProb:
        value = self._features(image)
        if self.guide is not None:
            guide = self.guide.to(value)
            with torch.no_grad():
                some = value.transpose(1, 2).split(max(1, MOST_PRODUCTS // guide.shape[1]), 1)
                best = torch.cat([(part @ guide).argmax(2) for part in some], 1)
            return (value * guide[:, best].transpose(0, 1)).sum((1, 2))
        return value.square().sum((1, 2)) / 2 if self.address.units is None else value.sum((1, 2))

    def _features(self, image: Image) -> Tensor:
        """The layer's channels `[chain, channel, position]`."""
        value = self.layer(image)
        if value.ndim < 3:
            if self.guide is not None:
                raise ValueError(
                    f"a guide got the layer {self.layer.name!r} without positions, expected maps: choose a layer of convolutions"
                )
            value = value[..., None]
        value = value.flatten(2)
        units = self.address.units
        if units is None:
            return value
        chosen = list(units) if isinstance(units, tuple) else [units]
        if not all(0 <= unit < value.shape[1] for unit in chosen):
            raise ValueError(
                f"got the channels {chosen} of the layer {self.layer.name!r}, expected numbers from 0 to {value.shape[1] - 1}: "
                f"choose such channels"
            )
        return value[:, chosen]


def _address(address: str | UnitAddress) -> UnitAddress:
    """The address, of a whole layer where no channel is named."""
    parsed = address if isinstance(address, UnitAddress) else UnitAddress.parse(address if ":" in address else f"{address}:*")
    if parsed.position is not None:
        raise ValueError(f"got the position {parsed.position} of {parsed.layer!r}, expected none: all positions are amplified")
    return parsed
