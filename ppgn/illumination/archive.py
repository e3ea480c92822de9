"""MAP-Elites over classes (Mouret & Clune 2015; Nguyen et al. 2015): one elite for each class, and any picture may take any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppgn.errors import required


class Archive:
    """The elites of `classes` classes, kept by pyribs: of each the id of a picture and its confidence.

    A picture takes every class in which it is more confident than the elite; of equals the first stays. Raises ValueError where
    pyribs is missing.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._niches = _categorical(classes)
        self.ids = np.full(classes, -1, dtype=np.int64)
        """Of the elite of each class; -1 where there is none."""
        self.confidences = np.full(classes, -np.inf)
        """Of the elite of each class; minus infinity where there is none."""

    def offer(self, ids: Sequence[int], scores: np.ndarray) -> dict[int, list[int]]:
        """Offers pictures with scores `[picture, class]`, each to every class. Returns the classes that each picture took, the
        most confident first.

        Only the best picture of each class can enter, so pyribs sees these alone: 1000 classes cost milliseconds.
        """
        best = scores.argmax(0)
        highest = scores[best, np.arange(self.classes)]
        entering = np.flatnonzero(highest > self.confidences)
        if not len(entering):
            return {}
        chosen = np.asarray(ids, dtype=np.int64)[best[entering]]
        self.put(entering, chosen, highest[entering])
        taken: dict[int, list[int]] = {}
        for niche in entering[np.argsort(-highest[entering], kind="stable")]:
            taken.setdefault(int(self.ids[niche]), []).append(int(niche))
        return taken

    def put(self, niches: np.ndarray, ids: np.ndarray, confidences: np.ndarray) -> None:
        """Gives pyribs pictures for classes, each class once."""
        self._niches.add(ids, confidences, niches.astype(object)[:, None])
        held = self._niches.data(["index", "solution", "objective"])
        self.ids[held["index"]] = held["solution"]
        self.confidences[held["index"]] = held["objective"]


def _categorical(classes: int) -> Any:
    archives = required("ribs.archives", "the archive of elites needs pyribs", "ppgn[illumination]")
    return archives.CategoricalArchive(solution_dim=(), categories=[list(range(classes))], solution_dtype=np.int64)
