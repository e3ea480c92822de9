"""What a search for elites of classes has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from ppgn.illumination.lineage import Ancestor, ancestors
from ppgn.illumination.search import CurveRow, Search, thumbnails
from ppgn.types import Image


@dataclass(frozen=True, eq=False)
class Illuminated:
    """The elites of classes. names, classes: of each position; classes are the columns of the network."""

    names: tuple[str, ...]
    classes: tuple[int, ...]
    search: Search = field(repr=False)

    @property
    def confidences(self) -> Tensor:
        """The confidence of each elite `[class]`."""
        return torch.from_numpy(self.search.archive.confidences.copy()).clamp_min(0)

    @property
    def median(self) -> float:
        """The median confidence."""
        return self.search.curve[-1].median

    @property
    def curve(self) -> list[CurveRow]:
        """A row for each generation."""
        return list(self.search.curve)

    @property
    def born(self) -> Tensor:
        """The generation in which each elite was bred `[class]`."""
        return torch.tensor([member.generation for member in self.elites])

    @property
    def elites(self) -> list[Ancestor]:
        """The elite of each class; one picture may be that of several."""
        return [self.search.members[one] for one in self.search.archive.ids.tolist()]

    def share(self, least: float) -> float:
        """The share of classes with a confidence above `least`."""
        return float((self.confidences > least).double().mean())

    def genomes(self, which: Sequence[int] | None = None) -> list[Any]:
        """The genomes of elites. which: their positions, by default all."""
        elites = self.elites
        return [elites[one].genome for one in (range(len(elites)) if which is None else which)]

    def images(self, which: Sequence[int] | None = None) -> Image:
        """The pictures `[class, channel, height, width]` of elites. which: as in `genomes`; a thousand at 227 px take 620 MB."""
        return self.search.encoding.render(self.genomes(which))

    def ancestors(self, position: int) -> tuple[Ancestor, ...]:
        """The ancestors of an elite that are kept, the oldest first, each with its thumbnail."""
        found = ancestors(self.search.members, self.elites[position].id)
        living = [one for one in found if one.thumbnail is None]
        drawn = dict(
            zip([one.id for one in living], thumbnails(self.search.encoding, [one.genome for one in living]), strict=True)
        )
        return tuple(replace(one, thumbnail=drawn.get(one.id, one.thumbnail)) for one in found)
