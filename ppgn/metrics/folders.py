"""Pictures of classes on the disk: a folder for each class, or what `ppgn sample --save-images` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.metrics.judge import plain
from ppgn.types import Image


@dataclass(frozen=True, eq=False)
class ClassFolder:
    """Files of pictures, the class of each, and how to read them: the centre square at `size` pixels."""

    files: tuple[Path, ...]
    classes: tuple[int, ...]
    size: int
    channels: int

    def __len__(self) -> int:
        return len(self.files)

    def load(self, chosen: Sequence[int] | Tensor) -> Image:
        """Some of the pictures, by index."""
        return torch.stack([images.load_image(self.files[int(one)], self.size, self.channels) for one in chosen])

    def batches(self, batch: int = 50) -> Iterator[Image]:
        """All of them in order; ValueError for a file that is no picture."""
        for first in range(0, len(self), batch):
            yield self.load(range(first, min(first + batch, len(self))))


def class_folder(
    root: str | Path,
    names: Sequence[str],
    classes: Sequence[int],
    count: int,
    size: int,
    channels: int,
    listed: Mapping[str, Sequence[Path]] | None = None,
) -> ClassFolder:
    """Up to `count` pictures (0: all) of each of `classes`, evenly spread over the sorted files of `root/<class>/`.

    A folder's name fits a class whatever its case, with underscores or spaces; other folders are left alone. A folder
    with samples.json is read as `ppgn sample --save-images` wrote it. listed: the files of each class by its name, where
    something else than folders tells (a table). Raises ValueError when the folder, that of a class, or
    its pictures are not there.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: check the path")
    if listed is not None:
        by_class = {plain(name): list(own) for name, own in listed.items()}
    else:
        by_class = _listed(root) if (root / "samples.json").is_file() else _folders(root)
    files: list[Path] = []
    owners: list[int] = []
    for index in classes:
        own = by_class.get(plain(names[index]), [])
        if not own:
            there = ", ".join(sorted(by_class)[:10]) or "none"
            raise ValueError(
                f"{root} has no pictures of the class {names[index]!r}: expected a folder of that name, it has {there}"
            )
        step = max(1, len(own) // count) if count else 1
        taken = own[::step][: count or None]
        files += taken
        owners += [index] * len(taken)
    return ClassFolder(tuple(files), tuple(owners), size, channels)


def _folders(root: Path) -> dict[str, list[Path]]:
    readable = Pillow.registered_extensions()
    found = {}
    for folder in sorted(root.iterdir()):
        if folder.is_dir():
            files = sorted(file for file in folder.rglob("*") if file.suffix.lower() in readable and file.is_file())
            if files:
                found[plain(folder.name)] = files
    return found


def _listed(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    try:
        rows: list[dict[str, Any]] = json.loads((root / "samples.json").read_text())["samples"]
        for row in rows:
            found.setdefault(plain(row["class"]), []).append(root / row["file"])
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ValueError(
            f"cannot read {root / 'samples.json'} ({type(fault).__name__}: {fault}), expected what `ppgn sample --class ... "
            f"--save-images` wrote: sample again, or sort the pictures into a folder for each class"
        ) from fault
    return found
