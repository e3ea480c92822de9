"""The course of chains: what a run shows on its way, step by step, for the page of its samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.types import Code, Evaluation, Image

FRAMES, TILES, SIDE = 50, 16, 96
"""At most so many frames of a film (twice as many beyond the recipe's end), of so many chains, of so many pixels a side."""


class Course:
    """Watches the first batch of a run (`sampling.OnStep`): numbers at every step, and frames of a film.

    steps: of the recipe; chains may go on beyond it. values, gaps, moves: a list for each step of one number for each chain: the
    condition's value, the root mean square of the prior's direction R(h) - h, and that of the code's last move, both in code
    units.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.values: list[list[float]] = []
        self.gaps: list[list[float]] = []
        self.moves: list[list[float]] = []
        self.frames: list[Pillow.Image] = []
        self._kept: list[int] = []
        self._every = -(-steps // FRAMES)
        self._code: Code | None = None

    def __call__(self, step: int, evaluation: Evaluation) -> None:
        """Keeps a step; those of later batches, and of chains that begin anew, are not kept."""
        if step != len(self.values) + 1:
            return
        self.values.append(evaluation.log_probs.get("condition", evaluation.log_prob).tolist())
        self.gaps.append(_size(evaluation.direction))
        if self._code is not None:
            self.moves.append(_size(evaluation.code - self._code))
        self._code = evaluation.code
        if (self.steps - step) % self._every == 0:
            self.frames.append(_tiles(evaluation.image))
            self._kept.append(step)
        if len(self.frames) > 2 * FRAMES:  # of chains that go on beyond their recipe
            self._every *= 2
            even = [place for place, kept in enumerate(self._kept) if (self.steps - kept) % self._every == 0]
            self.frames, self._kept = [self.frames[place] for place in even], [self._kept[place] for place in even]

    @property
    def chains(self) -> int:
        """The number of chains that were watched."""
        return len(self.values[0]) if self.values else 0


def _size(values: Tensor) -> list[float]:
    """Root mean square over all but the first axis."""
    return values.detach().flatten(1).square().mean(1).sqrt().tolist()


def _tiles(image: Image) -> Pillow.Image:
    shown = image[:TILES].detach().float().clamp(0, 1).cpu()
    return images.grid(torch.stack([images.at_most(one, SIDE) for one in shown]), scale=1)


def by_chain(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    """Numbers for each step, of each chain -> for each chain, of each step. A chain ends before a number that is not finite."""
    found = []
    for chain in range(len(rows[0]) if rows else 0):
        series = [row[chain] for row in rows]
        broken = next((place for place, value in enumerate(series) if not math.isfinite(value)), len(series))
        found.append(series[:broken])
    return found
