"""Folders of pictures, without what operating systems and editors leave in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch

CLUTTER = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that a system makes by itself, beside hidden ones such as `.ipynb_checkpoints`."""


def class_folders(root: Path) -> list[Path]:
    """The folders in `root` that hold a class each, sorted."""
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not _clutter(entry.name))


def picture_files(folder: Path, extensions: Collection[str]) -> list[Path]:
    """The files of these extensions (lower case, with the dot) under a folder, at any depth, sorted."""
    return [path for path in sorted(folder.rglob("*")) if is_picture_file(path, folder, extensions)]


def is_picture_file(path: Path, root: Path, extensions: Collection[str]) -> bool:
    """Whether a path under `root` is a file of these extensions that no system left there, such as `._photo.jpg`."""
    inside = path.relative_to(root).parts
    return path.suffix.lower() in extensions and not any(_clutter(name) for name in inside) and path.is_file()


def spread(count: int, most: int) -> list[int]:
    """At most `most` evenly spread indices of `count` things."""
    return torch.linspace(0, count - 1, min(most, count)).long().tolist()


def _clutter(name: str) -> bool:
    return name.startswith(".") or name in CLUTTER
