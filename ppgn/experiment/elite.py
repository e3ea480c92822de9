"""The best pictures of each unit so far, with all their responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ppgn.types import Code

if TYPE_CHECKING:
    from ppgn.experiment.evolution import Generation


@dataclass(frozen=True, eq=False)
class Elite:
    """codes `[unit, place, *code]` by falling mean response; sums and counts of their responses `[unit, place]`, 0 where a place
    is empty."""

    codes: Code
    sums: Tensor
    counts: Tensor

    @classmethod
    def empty(cls, units: int, places: int, like: Code) -> Elite:
        """No picture yet. like: a code `[1 or more, *code]`."""
        nothing = torch.zeros(units, places, dtype=torch.float64)
        return cls(like.new_zeros(units, places, *like.shape[1:]), nothing, nothing.clone())

    def shown(self, count: int) -> tuple[Code, list[int]]:
        """(codes `[picture, *code]` to show again, up to `count` of each unit, the unit of each)."""
        places = [(unit, place) for place in range(count) for unit in range(len(self.codes)) if self.counts[unit, place] > 0]
        rows = [self.codes[unit, place] for unit, place in places]
        return torch.stack(rows) if rows else self.codes[:0, 0], [unit for unit, _ in places]

    def after(self, generation: Generation, responses: Tensor, count: int) -> Elite:
        """The elite after the mean responses `[picture]` of a generation, which showed `count` places again."""
        sums, counts = self.sums.clone(), self.counts.clone()
        again = iter(responses[generation.fresh :].tolist())
        for place in range(count):
            for unit in range(len(sums)):
                if self.counts[unit, place] > 0 and (value := next(again)) == value:  # NaN is no response
                    sums[unit, place] += value
                    counts[unit, place] += 1
        kept = [self._kept(unit, generation, responses, sums[unit], counts[unit]) for unit in range(len(sums))]
        codes, new_sums, new_counts = (torch.stack(column) for column in zip(*kept, strict=True))
        return Elite(codes, new_sums, new_counts)

    def _kept(
        self, unit: int, generation: Generation, responses: Tensor, sums: Tensor, counts: Tensor
    ) -> tuple[Code, Tensor, Tensor]:
        fresh = [number for number in range(generation.fresh) if generation.owners[number] == unit]
        new = responses[fresh]
        codes = torch.cat([self.codes[unit], generation.codes[fresh]])
        sums, counts = torch.cat([sums, new.nan_to_num(0.0)]), torch.cat([counts, (~new.isnan()).double()])
        means = torch.where(counts > 0, sums / counts.clamp(min=1), -torch.inf)
        order = means.argsort(descending=True, stable=True)[: self.sums.shape[1]]
        return codes[order], sums[order], counts[order]

    def best(self, unit: int) -> tuple[Code, float, int]:
        """(code, mean response, number of responses) of the best picture; of those measured twice or more where there are any."""
        counts = self.counts[unit]
        eligible = counts >= 2 if bool((counts >= 2).any()) else counts >= 1
        means = torch.where(eligible, self.sums[unit] / counts.clamp(min=1), -torch.inf)
        place = int(means.argmax())
        return self.codes[unit, place], float(means[place]), int(counts[place])
