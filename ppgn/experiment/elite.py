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
    is empty. Equal codes are one picture."""

    codes: Code
    sums: Tensor
    counts: Tensor

    @classmethod
    def empty(cls, units: int, places: int, like: Code) -> Elite:
        """No picture yet. like: a code `[1 or more, *code]`."""
        nothing = torch.zeros(units, places, dtype=torch.float64)
        return cls(like.new_zeros(units, places, *like.shape[1:]), nothing, nothing.clone())

    def shown(self, count: int, codes: Code) -> list[tuple[int, int]]:
        """(unit, place) of up to `count` pictures of each unit to show again, without those that are among `codes` anyway."""
        places = [(unit, place) for place in range(count) for unit in range(len(self.codes)) if self.counts[unit, place] > 0]
        return [(unit, place) for unit, place in places if _place_of(self.codes[unit, place], codes) is None]

    def after(self, generation: Generation, responses: Tensor) -> Elite:
        """The elite after the mean responses `[picture]` of a generation; NaN is no response."""
        sums, counts = self.sums.clone(), self.counts.clone()
        for (unit, place), value in zip(generation.again, responses[generation.fresh :].tolist(), strict=True):
            if value == value:
                sums[unit, place] += value
                counts[unit, place] += 1
        kept = [self._kept(unit, generation, responses, sums[unit], counts[unit]) for unit in range(len(sums))]
        codes, new_sums, new_counts = (torch.stack(column) for column in zip(*kept, strict=True))
        return Elite(codes, new_sums, new_counts)

    def _kept(
        self, unit: int, generation: Generation, responses: Tensor, sums: Tensor, counts: Tensor
    ) -> tuple[Code, Tensor, Tensor]:
        new = []
        for number in range(generation.fresh):
            value = float(responses[number])
            if generation.owners[number] != unit or value != value:
                continue
            known = _place_of(generation.codes[number], self.codes[unit][counts > 0])
            if known is None:
                new.append(number)
            else:
                place = int((counts > 0).nonzero()[known])
                sums[place] += value
                counts[place] += 1
        codes = torch.cat([self.codes[unit], generation.codes[new]])
        sums, counts = torch.cat([sums, responses[new]]), torch.cat([counts, torch.ones(len(new), dtype=counts.dtype)])
        means = torch.where(counts > 0, sums / counts.clamp(min=1), -torch.inf)
        order = means.argsort(descending=True, stable=True)[: self.sums.shape[1]]
        return codes[order.to(codes.device)], sums[order], counts[order]

    def best(self, unit: int) -> tuple[Code, float, int]:
        """(code, mean response, number of responses) of the best picture; of those measured twice or more where there are any."""
        counts = self.counts[unit]
        eligible = counts >= 2 if bool((counts >= 2).any()) else counts >= 1
        means = torch.where(eligible, self.sums[unit] / counts.clamp(min=1), -torch.inf)
        place = int(means.argmax())
        return self.codes[unit, place], float(means[place]), int(counts[place])


def _place_of(code: Code, codes: Code) -> int | None:
    """The first of `codes` `[picture, *code]` that is the code, if any is."""
    same = (codes == code).flatten(1).all(1).nonzero().flatten()
    return int(same[0]) if len(same) else None
