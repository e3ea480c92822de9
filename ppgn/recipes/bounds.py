"""Bounds to which codes are clipped after every step, as a recipe names them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from ppgn.types import CodeSpace


@dataclass(frozen=True)
class FixedBounds:
    """[low, high] for every unit, in code units; [0, 30] is the range of the released code.

    Raises ValueError when low exceeds high, and for NaN.
    """

    low: float = 0.0
    high: float = 30.0

    def __post_init__(self) -> None:
        if not (self.low <= self.high and self.low < math.inf and self.high > -math.inf):
            raise ValueError(f"got bounds from {self.low} to {self.high}, expected low <= high: swap the two")

    def of(self, space: CodeSpace) -> CodeSpace:
        """The space with these bounds."""
        return replace(space, low=self.low, high=self.high)


@dataclass(frozen=True)
class StatisticsBounds:
    """The bounds that the bundle states for each unit, such as [0, mean + 3 std] over real pictures (DGN-AM)."""

    codes: ClassVar[tuple[str, ...]] = ("codes",)

    def of(self, space: CodeSpace) -> CodeSpace:
        """The space of the bundle as it is. Raises ValueError where it has no bounds."""
        if space.low is None or space.high is None:
            raise ValueError("the bundle has no low and high of its codes: choose bounds 'fixed', or export it again")
        return space


@dataclass(frozen=True)
class NoBounds:
    """No bounds: codes are never clipped."""

    def of(self, space: CodeSpace) -> CodeSpace:
        """The space without bounds."""
        return replace(space, low=None, high=None)


BOUNDS: dict[str, Any] = {"fixed": FixedBounds, "statistics": StatisticsBounds, "none": NoBounds}
"""Name -> bounds, for recipes and the command line."""
