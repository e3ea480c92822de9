"""The search in the ask / tell form: pictures out, confidences in, a generation at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn import images
from ppgn.illumination.archive import Archive
from ppgn.illumination.encoding import Encoding
from ppgn.illumination.lineage import THUMBNAIL, Ancestor, thinned
from ppgn.seeds import Stream, check_seeds, generator
from ppgn.types import Image, plain_number, shown


@dataclass(frozen=True)
class CurveRow:
    """After a generation: the median confidence over classes, 0 for one without an elite, and the shares of classes above 0.5,
    0.9 and 0.99."""

    generation: int
    median: float
    above_half: float
    above_ninety: float
    above_ninety_nine: float


class Search:
    """MAP-Elites over classes by mutation alone, a pure function of the seed and of what it is told.

    Each generation has `population` pictures: at first random ones, then children of elites that are drawn uniformly over the
    classes, as in the released code. encoding: what pictures are bred as. classes: columns of the scores.
    """

    def __init__(self, encoding: Encoding[Any], classes: int, *, population: int = 200, seed: int = 0) -> None:
        self.encoding = encoding
        self.population, self.seed = _count("population", population), check_seeds([seed])[0]
        self.archive = Archive(_count("classes", classes))
        self.generation = 0
        self.curve: list[CurveRow] = []
        self.members: dict[int, Ancestor] = {}
        """The living elites and their ancestors, by id."""
        self._asked: tuple[list[Any], list[int]] | None = None

    def candidates(self) -> list[Any]:
        """The genomes of this generation; the same until `tell`."""
        if self._asked is None:
            rng = generator(self.seed, self.generation, Stream.ILLUMINATION)
            niches = np.flatnonzero(self.archive.ids >= 0)
            if self.generation == 0 or not len(niches):
                self._asked = self.encoding.random(self.population, rng), [-1] * self.population
            else:
                parents = self.archive.ids[niches[rng.integers(0, len(niches), self.population)]].tolist()
                genomes = [self.members[parent].genome for parent in parents]
                self._asked = self.encoding.children(genomes, rng, self.generation), parents
        return self._asked[0]

    def ask(self) -> Image:
        """The pictures of this generation `[picture, channel, height, width]`; the same until `tell`."""
        return self.encoding.render(self.candidates())

    def tell(self, scores: Tensor | np.ndarray) -> CurveRow:
        """Takes the confidences `[picture, class]` of the pictures that were asked for, and begins the next generation. Raises
        ValueError for another shape, and for NaN or infinity."""
        genomes = self.candidates()
        values = _checked(scores, len(genomes), self.archive.classes)
        first = self.generation * self.population
        taken = self.archive.offer(range(first, first + len(genomes)), values)
        parents = self._asked[1] if self._asked is not None else []
        for one, niches in sorted(taken.items()):
            place = one - first
            depth = 0 if parents[place] < 0 else self.members[parents[place]].depth + 1
            confidence = float(values[place, niches[0]])
            self.members[one] = Ancestor(one, parents[place], self.generation, niches[0], confidence, depth, genomes[place])
        if taken:
            self._bury()
        self.curve.append(self._row())
        self.generation += 1
        self._asked = None
        return self.curve[-1]

    def _bury(self) -> None:
        """Forgets whom no living elite descends from; other dead ones keep a small picture in the place of their genome."""
        living = {one for one in self.archive.ids.tolist() if one >= 0}
        self.members = thinned(self.members, living)
        dead = [one for one in self.members.values() if one.id not in living and one.genome is not None]
        for member, picture in zip(dead, thumbnails(self.encoding, [one.genome for one in dead]), strict=True):
            self.members[member.id] = replace(member, genome=None, thumbnail=picture)

    def _row(self) -> CurveRow:
        held = np.maximum(self.archive.confidences, 0)
        shares = [float((held > least).mean()) for least in (0.5, 0.9, 0.99)]
        return CurveRow(self.generation, float(np.median(held)), *shares)


def thumbnails(encoding: Encoding[Any], genomes: Sequence[Any]) -> list[Tensor]:
    """Small pictures uint8 `[channel, side, side]`."""
    found = []
    for genome in genomes:
        picture = images.resize(encoding.render([genome]), THUMBNAIL)
        found.append((picture[0].clamp(0, 1) * 255).round().to("cpu", torch.uint8))
    return found


def _checked(scores: Any, pictures: int, classes: int) -> np.ndarray:
    values = scores.detach().cpu().double().numpy() if isinstance(scores, Tensor) else np.asarray(scores, dtype=np.float64)
    if values.shape != (pictures, classes):
        raise ValueError(
            f"got scores of shape {list(values.shape)}, expected [{pictures}, {classes}]: one for each picture and class"
        )
    if not np.isfinite(values).all():
        raise ValueError("got scores with NaN or infinity, expected finite numbers: look at the network's output")
    return values


def _count(what: str, value: Any) -> int:
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"got {what} {shown(value)}, expected a whole number of at least 1: give one")
    return number
