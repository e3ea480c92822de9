"""The addresses of units: `layer:unit`, `layer:channel@row,column`, `layer:unit@cls`, `layer:first-last`, `layer:*`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast

from ppgn.errors import VALUES_PER_CHAIN, check_amount

Position: TypeAlias = tuple[int, ...] | Literal["centre", "cls", "mean"] | None
ADDRESS = re.compile(r"(?P<layer>.+):(?P<units>\*|\d+-\d+|\d+(?:,\d+)*)(?:@(?P<position>centre|cls|mean|\d+(?:,\d+)*))?")


@dataclass(frozen=True)
class UnitAddress:
    """Units of a layer: one for all chains, one per chain, or (None) unit i for chain i over the whole layer.

    Of a module of attention the units are its heads (`probe.Heads.read`); features of its output are units of its projection.

    position: where in a map or among tokens, or None: the mean over all positions. (row, column): also of a patch in the grid of
    tokens; (token,): by number, the class token first, then registers, then patches. "centre": [height // 2, width // 2], 6 of
    13; "cls": the class token; "mean": the mean over patches, without the class token and registers. As text "layer:17",
    "layer:17@3,5", "layer:17@centre", "layer:17@cls", "layer:17@mean"; one unit per chain "layer:3,8,9", "layer:0-15" (both ends
    included), "layer:*". Raises ValueError for other text.
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
                f"cannot read {text!r} as a unit, expected layer:unit, layer:first-last or layer:*, and then nothing, "
                f"@row,column, @token, @centre, @cls or @mean: write it in one of these ways"
            )
        where = match["position"]
        position = where if where is None or where.isalpha() else tuple(int(part) for part in where.split(","))
        return cls(match["layer"], _units(match["units"], text), cast(Position, position))


def spelled(position: Position) -> str:
    """A position as an address spells it: "cls", "3,5"."""
    return position if isinstance(position, str) else "" if position is None else ",".join(map(str, position))


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
