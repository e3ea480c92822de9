"""The course of an evolution: mean and highest response of each generation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from ppgn.experiment.tables import columns_of


class Course:
    """Mean and highest response of each unit to its own new pictures, by rows of responses.csv.

    units: names. fresh: new pictures of a generation, those of all units together; higher numbers are of the elite.
    """

    def __init__(self, units: Sequence[str], fresh: int) -> None:
        self.fresh, self.units = fresh, list(units)
        self.columns = dict(zip(units, columns_of(units), strict=True))
        self.found: dict[tuple[int, int], tuple[float, float]] = {}

    def add(self, rows: Iterable[Mapping[str, str]]) -> None:
        """Takes whole generations."""
        values: dict[tuple[int, int], list[float]] = {}
        for row in rows:
            value = float(row[self.columns[row["unit"]]])
            if int(row["picture"]) < self.fresh and math.isfinite(value):
                values.setdefault((int(row["generation"]), self.units.index(row["unit"])), []).append(value)
        self.found |= {key: (sum(some) / len(some), max(some)) for key, some in values.items()}

    def tensors(self) -> tuple[Tensor, Tensor]:
        """(mean, highest) `[generation, unit]`, NaN where a unit has no response."""
        count = 1 + max((generation for generation, _ in self.found), default=-1)
        both = torch.full((2, count, len(self.units)), torch.nan, dtype=torch.float64)
        for (generation, unit), pair in self.found.items():
            both[:, generation, unit] = torch.tensor(pair, dtype=torch.float64)
        return both[0], both[1]
