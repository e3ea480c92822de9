"""Sheets of pictures for the page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from PIL import Image as Pillow

from ppgn import images
from ppgn.evaluation.folders import ClassFolder
from ppgn.evaluation.judge import Judged
from ppgn.evaluation.neighbours import Copies
from ppgn.types import Image

SUSPICIOUS = 16
"""Samples shown beside their nearest training pictures."""
EACH = 10
"""Pictures shown of each class."""
LARGE = 32
"""Width in pixels from which pictures are shown at their size; narrower ones are enlarged."""


def class_rows(pictures: Image, judged: Judged) -> Pillow.Image:
    """The first pictures `[picture, channel, height, width]` of each class, a row for each class."""
    rows = [pictures[judged.classes == index][:EACH] for index in judged.classes.unique()]
    width = max(len(row) for row in rows)
    blank = torch.ones_like(pictures[:1])
    tiles = torch.cat([torch.cat([row, blank.expand(width - len(row), -1, -1, -1)]) for row in rows])
    return images.grid(tiles, columns=width, scale=1 if pictures.shape[-1] >= LARGE else None)


def best_of_each(sets: Mapping[str, tuple[Image, Judged]], names: Sequence[str]) -> Pillow.Image:
    """For each class of the first set the picture with the highest logit of that class, a row for each set, with its logit.

    sets: pictures and what the judge saw, by the label of the set. names: of the classes.
    """
    classes = next(iter(sets.values()))[1].classes.unique().tolist()
    tiles, labels = [], []
    for label, (pictures, judged) in sets.items():
        for index in classes:
            members = (judged.classes == index).nonzero()[:, 0]
            best = members[judged.logits[members, index].argmax()]
            tiles.append(pictures[best])
            labels.append(f"{label}, {names[index]} {float(judged.logits[best, index]):.1f}")
    return images.grid(tiles, labels, columns=len(classes))


def most_suspicious(pictures: Image, judged: Judged, copies: Copies, training: ClassFolder, names: Sequence[str]) -> Pillow.Image:
    """The pictures with the least distance ratios, each beside its nearest training picture."""
    order = copies.ratio.argsort()[:SUSPICIOUS]
    nearest = training.load(copies.index[order])
    tiles = [picture for pair in zip(pictures[order], nearest, strict=True) for picture in pair]
    labels = []
    for sample, index in zip(order.tolist(), copies.index[order].tolist(), strict=True):
        labels += [f"{names[int(judged.classes[sample])]} {float(copies.ratio[sample]):.2f}", training.files[index].stem]
    return images.grid(tiles, labels, columns=min(8, len(tiles)))
