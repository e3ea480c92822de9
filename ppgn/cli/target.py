"""What chains are asked for on the command line, whatever it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ppgn.recipes.classes import Target
from ppgn.types import Condition


@dataclass(frozen=True)
class Asked:
    """names: one for each target (class, classes of several groups, or unit number). make(targets, one a chain) -> what
    `recipes.sample` takes.

    kind: "class", "unit", "caption", "text" or "condition"; about: the same for samples.json. probability: whether exp(value) is
    one. plugged: not a class of the bundle.
    """

    kind: str
    names: dict[Any, str]
    make: Callable[[Sequence[Any]], Condition | Sequence[Target]]
    about: dict[str, Any]
    probability: bool = True
    plugged: bool = True

    def label(self, target: Target, value: float) -> str:
        """Name and value for the grid: a probability, or the value itself."""
        return f"{self.names[target]} {math.exp(value):.2f}" if self.probability else f"{self.names[target]} {value:.3g}"
