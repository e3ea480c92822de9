"""The best pictures of each unit so far, by responses that may be noisy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ppgn.types import Code

if TYPE_CHECKING:
    from ppgn.experiment.evolution import Generation

PLACES = 8
"""Pictures that are kept at least, so that one which a lucky picture displaces can return."""
MEMORY = 0.8
"""Share of the past in the level of the centre, after a few generations."""
MOST_DOUBT = 100.0


@dataclass(frozen=True, eq=False)
class Elite:
    """Pictures by falling estimate of their true response, (sum + doubt * expected) / (count + doubt).

    That is the mean of the posterior where noise has `doubt` times the variance with which pictures differ (empirical Bayes). The
    noise is measured on pictures that were shown more than once; doubt is 0 until it is known. expected: what a picture of its
    kind gives, which is the mean of its generation, or for the centre of the search that of recent centres. codes
    `[unit, place, *code]`; sums, counts, expected `[unit, place]`, with a count of 0 where a place is empty; noise `[unit, 2]`,
    sum and number of squares; level, age and doubt `[unit]`, of the centre and of the last generation. Equal codes are one
    picture.
    """

    codes: Code
    sums: Tensor
    counts: Tensor
    expected: Tensor
    noise: Tensor
    level: Tensor
    age: Tensor
    doubt: Tensor

    @classmethod
    def empty(cls, units: int, places: int, like: Code) -> Elite:
        """No picture yet. like: a code `[1 or more, *code]`."""
        rows, columns = torch.zeros(units, dtype=torch.float64), torch.zeros(units, max(places, PLACES), dtype=torch.float64)
        codes = like.new_zeros(*columns.shape, *like.shape[1:])
        return cls(codes, columns, columns.clone(), columns.clone(), rows.new_zeros(units, 2), rows, rows.clone(), rows.clone())

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Elite:
        """From `tensors()`. Raises KeyError where one is lacking."""
        return cls(**{one.name: tensors[one.name] for one in fields(cls)})

    def tensors(self) -> dict[str, Tensor]:
        """All that the elite knows, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def shown(self, count: int, codes: Code) -> list[tuple[int, int]]:
        """(unit, place) of up to `count` pictures of each unit to show again, without those that are among `codes` anyway."""
        places = [(unit, place) for place in range(count) for unit in range(len(self.codes)) if self.counts[unit, place] > 0]
        return [(unit, place) for unit, place in places if _place_of(self.codes[unit, place], codes) is None]

    def after(self, generation: Generation, responses: Tensor) -> Elite:
        """The elite after the mean responses `[picture]` of a generation; NaN is no response."""
        known = self._copy()
        for (unit, place), value in zip(generation.again, responses[generation.fresh :].tolist(), strict=True):
            known._count(unit, place, value)
        kept = [known._of_unit(unit, generation, responses) for unit in range(len(self.codes))]
        codes, sums, counts, expected = (torch.stack(column) for column in zip(*kept, strict=True))
        return replace(known, codes=codes, sums=sums, counts=counts, expected=expected)

    def best(self, unit: int) -> tuple[Code, float, int]:
        """(code, mean response, number of responses) of the best picture."""
        return self.codes[unit, 0], float(self.sums[unit, 0] / self.counts[unit, 0].clamp(min=1)), int(self.counts[unit, 0])

    def _copy(self) -> Elite:
        return Elite(**{name: value.clone() for name, value in self.tensors().items()})

    def _count(self, unit: int, place: int, value: float) -> None:
        """Adds a response to a picture that is known, in place, and what it says of the noise."""
        if value != value:
            return
        count = float(self.counts[unit, place])
        off = value - float(self.sums[unit, place]) / count
        self.noise[unit] += torch.tensor([off * off * count / (count + 1), 1.0], dtype=torch.float64)
        self.sums[unit, place] += value
        self.counts[unit, place] += 1

    def _of_unit(self, unit: int, generation: Generation, responses: Tensor) -> tuple[Code, Tensor, Tensor, Tensor]:
        """The places of a unit with the new pictures of a generation, in place for what all pictures share."""
        own = [number for number in range(generation.fresh) if generation.owners[number] == unit]
        told = [number for number in own if not bool(responses[number].isnan())]
        samples = responses[[number for number in told if number not in generation.centres] or told]
        new, prior = [], []
        for number in told:
            value = float(responses[number])
            if number in generation.centres:
                self.level[unit] += (value - self.level[unit]) * max(1 - MEMORY, 1 / (1 + float(self.age[unit])))
                self.age[unit] += 1
            filled = (self.counts[unit] > 0).nonzero().flatten()
            known = _place_of(generation.codes[number], self.codes[unit][filled])
            if known is None:
                new.append(number)
                prior.append(float(self.level[unit] if number in generation.centres else samples.mean()))
            else:
                self._count(unit, int(filled[known]), value)
        self.doubt[unit] = _doubt(self.noise[unit], samples)
        columns = (self.codes[unit], self.sums[unit], self.counts[unit], self.expected[unit])
        added = (generation.codes[new], responses[new], torch.ones(len(new)), torch.tensor(prior))
        codes, sums, counts, expected = (torch.cat([old, more.to(old)]) for old, more in zip(columns, added, strict=True))
        doubt = self.doubt[unit]
        estimate = torch.where(counts > 0, (sums + doubt * expected) / (counts + doubt).clamp(min=1), -torch.inf)
        order = estimate.argsort(descending=True, stable=True)[: self.sums.shape[1]]
        return codes[order.to(codes.device)], sums[order], counts[order], expected[order]


def _doubt(noise: Tensor, samples: Tensor) -> Tensor:
    """Variance of the noise over that of true responses, whose sum is that of a generation's responses; 0 where it is unknown."""
    variance = noise[0] / noise[1].clamp(min=1)
    among = samples.var(correction=0) - variance
    return (variance / among.clamp(min=1e-12)).clamp(max=MOST_DOUBT) if float(variance) > 0 else torch.zeros_like(variance)


def _place_of(code: Code, codes: Code) -> int | None:
    """The first of `codes` `[picture, *code]` that is the code, if any is."""
    same = (codes == code).flatten(1).all(1).nonzero().flatten()
    return int(same[0]) if len(same) else None
