"""Several sources of pictures as one: classes called "group:name", equal ones merged; a picture counts in its own group only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from training.labels import UNLABELLED
from training.sources import Source

Draws = Literal["pictures", "sources", "classes"]


@dataclass(frozen=True)
class SourceOptions:
    """One of several sources: its folder, the group of its classes ("object", "scene"), and its kind (as ImageData's `name`)."""

    root: Path
    group: str
    name: str = "folder"


class Relabelled(Dataset):
    """Pairs of (picture, class) whose class becomes a row of labels, one per group."""

    def __init__(self, pairs: Any, rows: Sequence[tuple[int, ...]]) -> None:
        self.pairs, self.rows = pairs, rows

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, tuple[int, ...]]:
        picture, label = self.pairs[index]
        return picture, self.rows[int(label)]


def side_by_side(sources: Sequence[SourceOptions], open_one: Callable[[SourceOptions], Source]) -> Source:
    """The sources in a row. Classes are sorted within their group, in small letters; groups keep the order of the sources.

    A label is a row `[group]` of class indices, UNLABELLED in the groups that a picture has no label in. Equal names of two
    sources in one group are one class. Raises ValueError without sources and for a source that already has groups.
    """
    if not sources:
        raise ValueError("got no sources, expected at least one: name data.sources")
    opened = [open_one(options) for options in sources]
    grouped: dict[str, set[str]] = {}
    for options, source in zip(sources, opened, strict=True):
        if source.groups:
            raise ValueError(f"the classes of {options.root} have groups already, expected plain names: open it alone")
        grouped.setdefault(options.group, set()).update(map(str.lower, source.class_names))
    names = tuple(f"{group}:{name}" for group, members in grouped.items() for name in sorted(members))
    places, groups = {name: index for index, name in enumerate(names)}, list(grouped)
    halves: tuple[list[Any], list[Any]] = ([], [])
    for options, source in zip(sources, opened, strict=True):
        rows = [
            tuple(places[f"{group}:{name.lower()}"] if group == options.group else UNLABELLED for group in groups)
            for name in source.class_names
        ]
        halves[0].append(Relabelled(source.train, rows))
        halves[1].append(Relabelled(source.validation, rows))
    return Source(ConcatDataset(halves[0]), ConcatDataset(halves[1]), names, tuple(groups))


def draw_weights(draws: Draws, labels: Tensor, sources: Tensor) -> Tensor:
    """How likely each picture is drawn, `[picture]`, in sum 1: "sources" draws from all sources equally often, "classes" from all
    classes. labels: `[picture]` or `[picture, group]`; sources: their numbers, `[picture]`."""
    if draws == "pictures":
        kinds = torch.zeros(len(labels), dtype=torch.long)
    elif draws == "sources":
        kinds = sources
    else:
        kinds = labels.reshape(len(labels), -1).unique(dim=0, return_inverse=True)[1]
    counts = kinds.bincount()
    return 1 / (counts[kinds] * (counts > 0).sum())
