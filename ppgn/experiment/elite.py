"""The best pictures of each unit so far, by responses that may be noisy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ppgn.types import Code

if TYPE_CHECKING:
    from ppgn.experiment.evolution import Generation

PLACES = 8
"""Pictures that are kept at least, so that one which a lucky picture displaces can return."""
MEMORY, VARIANCE_MEMORY = 0.8, 0.95
"""Share of the past, a generation later, in the level of the centre, and in what is known of variances."""
MOST_DOUBT = 100.0
"""Beyond it a response counts for nothing anyway."""


@dataclass(frozen=True, eq=False)
class Elite:
    """Pictures by falling estimate of their true response, (sum + doubt * expected) / (count + doubt).

    That is the mean of the posterior where noise has `doubt` times the variance with which pictures differ (empirical Bayes).
    Noise is measured on repeats, and on pictures of the elite that are shown once more, without the first showing, by which they
    were chosen; doubt is 0 until it is known. expected: what a picture of its kind gives, which is the mean of its generation, or
    for the centre of the search that of recent centres.

    codes `[unit, place, *code]`; sums and counts of all showings, first (sum of the first ones), seen (their count) and expected
    `[unit, place]`, with a count of 0 where a place is empty. noise and spread `[unit, 2]`: sums of squares within a picture and
    between pictures, and their degrees of freedom. level, age and doubt `[unit]`, of the centre and of the last generation. Equal
    codes are one picture.
    """

    codes: Code
    sums: Tensor
    counts: Tensor
    first: Tensor
    seen: Tensor
    expected: Tensor
    noise: Tensor
    spread: Tensor
    level: Tensor
    age: Tensor
    doubt: Tensor

    @classmethod
    def empty(cls, units: int, places: int, like: Code) -> Elite:
        """No picture yet. like: a code `[1 or more, *code]`."""
        columns = torch.zeros(5, units, max(places, PLACES), dtype=torch.float64)
        rows = torch.zeros(3, units, dtype=torch.float64)
        codes = like.new_zeros(*columns.shape[1:], *like.shape[1:])
        return cls(codes, *columns.unbind(), *torch.zeros(2, units, 2, dtype=torch.float64).unbind(), *rows.unbind())

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
        """The elite after the responses `[repeat, picture]` of a generation, of each picture's own unit; NaN is no response."""
        after = Elite(**{name: value.clone() for name, value in self.tensors().items()})
        after.noise.mul_(VARIANCE_MEMORY)
        after.spread.mul_(VARIANCE_MEMORY)
        told = _Told.of(responses)
        for number, (unit, place) in enumerate(generation.again, generation.fresh):
            after._add(unit, place, told, number)
        for unit in range(len(self.codes)):
            after._take(unit, generation, told)
        return after

    def best(self, unit: int) -> tuple[Code, float, int]:
        """(code, mean response, number of showings with a response) of the best picture."""
        return self.codes[unit, 0], float(self.sums[unit, 0] / self.counts[unit, 0].clamp(min=1)), int(self.counts[unit, 0])

    def _add(self, unit: int, place: int, told: _Told, number: int) -> None:
        """Adds, in place, the responses to a picture that is known, and what they say of the noise."""
        count = told.counts[number]
        if count == 0:
            return
        later = self.counts[unit, place] - self.seen[unit, place]
        if later > 0:
            off = told.sums[number] / count - (self.sums[unit, place] - self.first[unit, place]) / later
            self.noise[unit] += torch.stack([off.square() * count * later / (count + later), torch.ones_like(off)])
        self.noise[unit] += torch.stack([told.squares[number], count - 1])
        self.sums[unit, place] += told.sums[number]
        self.counts[unit, place] += count

    def _take(self, unit: int, generation: Generation, told: _Told) -> None:
        """Gives the places of a unit, in place, to the best of their pictures and the new ones of a generation."""
        new: list[int] = []
        for number in [one for one in range(generation.fresh) if generation.owners[one] == unit and told.counts[one] > 0]:
            filled = (self.counts[unit] > 0).nonzero().flatten()
            known = _place_of(generation.codes[number], self.codes[unit][filled])
            twin = _place_of(generation.codes[number], generation.codes[new])
            if known is not None:
                self._add(unit, int(filled[known]), told, number)
            elif twin is not None:
                told.join(new[twin], number)
            else:
                new.append(number)
        self.noise[unit] += torch.stack([told.squares[new].sum(), (told.counts[new] - 1).sum()])
        centres = [number for number in new if number in generation.centres]
        samples = [number for number in new if number not in centres] or new
        for number in centres:
            share = max(1 - MEMORY, 1 / (1 + float(self.age[unit])))
            self.level[unit] += (told.means[number] - self.level[unit]) * share
            self.age[unit] += 1
        mean = told.means[samples].mean()
        self.spread[unit] += torch.stack([(told.means[samples] - mean).square().sum(), mean.new_tensor(max(0, len(samples) - 1))])
        self.doubt[unit] = _doubt(self.noise[unit], self.spread[unit], told.counts[samples])
        expected = torch.stack([self.level[unit] if number in centres else mean for number in new]) if new else told.means[:0]
        added = (generation.codes[new], *(told.sums[new], told.counts[new]) * 2, expected)
        columns = (self.codes, self.sums, self.counts, self.first, self.seen, self.expected)
        together = [torch.cat([column[unit], more.to(column)]) for column, more in zip(columns, added, strict=True)]
        estimate = (together[1] + self.doubt[unit] * together[5]) / (together[2] + self.doubt[unit]).clamp(min=1)
        order = estimate.where(together[2] > 0, -torch.inf).argsort(descending=True, stable=True)[: self.sums.shape[1]]
        for column, whole in zip(columns, together, strict=True):
            column[unit] = whole[order.to(whole.device)]


@dataclass(frozen=True)
class _Told:
    """Responses to the pictures of a generation, `[picture]`: sums, counts, means, and sums of squares around the means."""

    sums: Tensor
    counts: Tensor
    means: Tensor
    squares: Tensor

    @classmethod
    def of(cls, responses: Tensor) -> _Told:
        sums, counts = responses.nansum(0), responses.isfinite().sum(0).double()
        means = sums / counts.clamp(min=1)
        return cls(sums, counts, means, (responses - means).square().nansum(0))

    def join(self, one: int, other: int) -> None:
        """Counts the responses to the picture `other` as those of `one`, in place: they are the same."""
        counts = self.counts[one] + self.counts[other]
        apart = (self.means[one] - self.means[other]).square() * self.counts[one] * self.counts[other] / counts
        self.squares[one] += self.squares[other] + apart
        self.sums[one] += self.sums[other]
        self.counts[one] = counts
        self.means[one] = self.sums[one] / counts


def _doubt(noise: Tensor, spread: Tensor, counts: Tensor) -> Tensor:
    """Variance of the noise of a showing over that of true responses, whose sum is that of means of `counts` showings; 0 where
    it is unknown."""
    variance = noise[0] / noise[1].clamp(min=1e-3)
    if not 0 < float(variance) < float("inf") or float(spread[1]) == 0:
        return torch.zeros_like(variance)
    among = spread[0] / spread[1] - (variance / counts).mean()
    return variance / among.clamp(min=variance / MOST_DOUBT)


def _place_of(code: Code, codes: Code) -> int | None:
    """The first of `codes` `[picture, *code]` that is the code, if any is."""
    same = (codes == code).flatten(1).all(1).nonzero().flatten()
    return int(same[0]) if len(same) else None
