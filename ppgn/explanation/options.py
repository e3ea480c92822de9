"""How much a report shows."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ppgn.recipes import PIONEERS
from ppgn.seeds import check_seeds
from ppgn.types import at_least_one

STRONGEST = 1e6
"""Strength of a sweep; a few dozen drive a chain out of the prior, and beyond float32 there is nothing."""


@dataclass(frozen=True)
class ExplainOptions:
    """How much a report shows.

    top: real pictures of each kind. facets: of the synthetic part, each `per_facet` pictures, looked
    for among that share of the real pictures, the most exciting ones. method: of pixels, of
    `recipes.PIONEERS`, or "" for none, with `method_steps`. strengths: lambda of the sweep in nats per standard deviation of the
    real responses; chains, steps and step_size of each (`sweep.sweep`). nearby: pictures that are changed, and `nearby_steps`.
    where: pictures of each kind that get maps. pictures: at most so many real ones. seed: of the first chain.
    """

    top: int = 9
    facets: int = 4
    per_facet: int = 2
    facet_steps: int = 32
    facet_share: float = 0.15
    method: str = "lucid"
    method_steps: int = 64
    strengths: tuple[float, ...] = (2.0, 8.0, 24.0)
    chains: int = 4
    steps: int = 16
    step_size: float = 0.4
    nearby: int = 3
    nearby_steps: int = 16
    where: int = 2
    pictures: int = 800
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "top",
            "per_facet",
            "facet_steps",
            "method_steps",
            "chains",
            "steps",
            "nearby_steps",
            "pictures",
            "facets",
            "nearby",
            "where",
        ):
            at_least_one(name, getattr(self, name), "ask for one or more")
        if not self.strengths or not all(0 < one <= STRONGEST for one in self.strengths):
            raise ValueError(
                f"got the strengths {list(self.strengths)}, expected numbers above 0, at most {STRONGEST:g}: "
                f"give some, such as 2, 8, 32"
            )
        check_seeds([self.seed, self.seed + max(self.chains, self.facets * self.per_facet, self.pictures) - 1])
        if not 0 < self.step_size < 1:
            raise ValueError(f"got step_size {self.step_size}, expected it between 0 and 1: pass 0.3, say")
        if not 0 < self.facet_share <= 1:
            raise ValueError(f"got facet_share {self.facet_share}, expected it above 0, at most 1: pass 0.15, say")
        if self.method and self.method not in PIONEERS:
            raise ValueError(f"got the method {self.method!r}, expected {', '.join(PIONEERS)}: choose one, or none")


def options_of(given: Mapping[str, Any], others: Collection[str] | None = None) -> ExplainOptions:
    """The options with these values. others: names besides them that somebody may have meant. Raises ValueError for a name that
    there is not, with the nearest."""
    known = [field.name for field in dataclasses.fields(ExplainOptions)]
    if unknown := [name for name in given if name not in known]:
        (nearest,) = difflib.get_close_matches(unknown[0], [*known, *(others or ())], 1, cutoff=0)
        raise ValueError(f"a report has no option {unknown[0]!r}, expected one such as {nearest}: correct it")
    return ExplainOptions(**given)
