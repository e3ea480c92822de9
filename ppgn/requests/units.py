"""Units, directions and latents of a layer of any network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ppgn.conditions import Latent, Measure, Position, Unit, UnitAddress, spelled
from ppgn.probe import Passes, Preprocessed, Probe, Side
from ppgn.requests.request import Request, selected
from ppgn.types import Condition

Network = nn.Module | Preprocessed | Probe


@dataclass(frozen=True, eq=False)
class UnitRequest(Request):
    """A unit of a layer for each chain (`conditions.Unit`).

    about: the network's description.
    """

    network: Network
    address: UnitAddress
    units: tuple[int, ...]
    measure: str = "activation"
    activation: Side | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    noun: ClassVar[str] = "unit"

    @property
    def names(self) -> tuple[str, ...]:
        """The address of each chain's unit: "conv5:17", "conv5:17@centre"."""
        where = spelled(self.address.position)
        place = f"@{where}" if where else ""
        return tuple(f"{self.address.layer}:{unit}{place}" for unit in self.units)

    def select(self, chains: Sequence[int]) -> UnitRequest:
        return replace(self, units=selected(self.units, chains))

    def condition(self, passes: Passes) -> Condition:
        chosen = replace(self.address, units=self.units)
        return Unit(self.network, chosen, measure=self.measure, activation=self.activation)

    def describe(self) -> dict[str, Any]:
        return {"kind": "unit", **self.about, "measure": self.measure}

    def probability(self, measure: Measure | None = None) -> bool:
        return self.measure not in ("activation", "logit")

    def quantity(self, measure: Measure | None = None) -> str:
        return "log-probability" if self.probability(measure) else self.measure


@dataclass(frozen=True, eq=False)
class LatentRequest(Request):
    """A row of a linear map on a layer for each chain: a direction, or a latent of a sparse auto-encoder (`conditions.Latent`).

    what: "direction" or "latent". weight `[row, channel]`, bias `[row]`, offset of the layer's value `[channel]` or None. about
    as `UnitRequest`.
    """

    network: Network
    layer: str
    what: str
    weight: Tensor
    bias: Tensor
    rows: tuple[int, ...]
    offset: Tensor | None = None
    position: Position = None
    about: Mapping[str, Any] = field(default_factory=dict)
    activation: Side | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The layer and the number of each chain's row: "conv5 direction 3", "conv5 latent 17"."""
        return tuple(f"{self.layer} {self.what} {row}" for row in self.rows)

    def select(self, chains: Sequence[int]) -> LatentRequest:
        return replace(self, rows=selected(self.rows, chains))

    def condition(self, passes: Passes) -> Condition:
        options: dict[str, Any] = {"offset": self.offset, "position": self.position, "activation": self.activation}
        return Latent(self.network, self.layer, self.weight, self.bias, self.rows, **options)

    def quantity(self, measure: Measure | None = None) -> str:
        return "activation"

    def describe(self) -> dict[str, Any]:
        return {"kind": self.what, "layer": self.layer, **self.about}


def unit(
    network: Network, address: str | UnitAddress, *, measure: str = "activation", activation: Side | None = None
) -> UnitRequest:
    """Units of a layer of any network: "layer4.1.conv2:17", "layer:3,8,9", "layer:0-15", "layer:17@centre" (`UnitAddress`).

    network: a module, `Preprocessed`, or a Probe that has the layer; the weights are frozen. measure and activation: see
    `conditions.Unit`. Raises ValueError for an unknown layer or measure, an address that cannot be read, and for "layer:*", whose
    number of units is not known before a pass.
    """
    parsed = UnitAddress.parse(address) if isinstance(address, str) else address
    if parsed.units is None:
        raise ValueError(f"got the units {parsed.layer}:*, expected numbers: write {parsed.layer}:0-15, say")
    units = parsed.units if isinstance(parsed.units, tuple) else (parsed.units,)
    Unit(network, parsed, measure=measure, activation=activation)  # raises here for an unknown layer or measure
    return UnitRequest(network, parsed, units, measure, activation, {"unit": str(address)})


def direction(
    network: Network, layer: str, vector: Tensor, *, position: Position = None, activation: Side | None = None
) -> LatentRequest:
    """<layer(image), vector> for a vector `[channel]`, or for one per chain `[chain, channel]`.

    position: see `UnitAddress`. activation: as `conditions.Unit`.
    """
    rows = torch.atleast_2d(vector.detach())
    chosen = tuple(range(len(rows)))
    return LatentRequest(
        network, layer, "direction", rows, rows.new_zeros(len(rows)), chosen, None, position, activation=activation
    )


def latent(
    network: Network,
    layer: str,
    weight: Tensor,
    bias: Tensor,
    latents: int | Sequence[int],
    *,
    offset: Tensor | None = None,
    position: Position = None,
) -> LatentRequest:
    """Latents of a sparse auto-encoder on a layer: w_k . (layer(image) - offset) + b_k for each chain's latent k.

    weight `[latent, channel]`, bias `[latent]`: of the encoder. offset `[channel]`: taken off the layer's value, or None.
    position: see `UnitAddress`.
    """
    rows = (latents,) if isinstance(latents, int) else tuple(latents)
    return LatentRequest(network, layer, "latent", weight, bias, rows, offset, position)
