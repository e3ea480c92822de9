"""The addresses of units: `layer:unit`, `layer:channel@row,column`, `layer:first-last`, `layer:*`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ppgn.errors import VALUES_PER_CHAIN, check_amount

Position: TypeAlias = tuple[int, ...] | Literal["centre"] | None
ADDRESS = re.compile(r"(?P<layer>.+):(?P<units>\*|\d+-\d+|\d+(?:,\d+)*)(?:@(?P<position>centre|\d+(?:,\d+)*))?")


@dataclass(frozen=True)
class UnitAddress:
    """Units of a layer: one for all chains, one per chain, or (None) unit i for chain i over the whole layer.

    position: where in a map ((row, column), or (token,)), "centre" ([height // 2, width // 2], 6 of 13), or None: the
    mean over all positions. As text "layer:17", "layer:17@3,5", "layer:17@centre"; one per chain "layer:3,8,9",
    "layer:0-15" (both ends included), "layer:*". Raises ValueError for other text.
    """

    layer: str
    units: int | tuple[int, ...] | None
    position: Position = None

    @classmethod
    def parse(cls, text: str) -> UnitAddress:
        """The address that a text spells. Raises ValueError for any other text."""
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(
                f"cannot read {text!r} as a unit, expected layer:unit, layer:channel@row,column, layer:channel@centre, "
                f"layer:first-last or layer:*: write it in one of these ways"
            )
        where = match["position"]
        position = where if where in (None, "centre") else tuple(int(part) for part in where.split(","))
        return cls(match["layer"], _units(match["units"], text), position)


def _units(text: str, address: str) -> int | tuple[int, ...] | None:
    if text == "*":
        return None
    if "-" not in text:
        numbers = tuple(int(part) for part in text.split(","))
        return numbers[0] if len(numbers) == 1 else numbers
    first, last = (int(part) for part in text.split("-"))
    if first > last:
        raise ValueError(f"the unit {address!r} counts from {first} to {last}, expected the smaller number first: swap them")
    check_amount(f"the unit {address!r} stands for {last - first + 1} units, a chain each", last - first + 1, VALUES_PER_CHAIN)
    return tuple(range(first, last + 1))
