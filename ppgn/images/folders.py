"""Folders of pictures, walked through links, without what operating systems and editors leave in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ppgn.errors import printable
from ppgn.images.files import picture_extensions

CLUTTER = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
"""Folders that a system makes by itself, beside hidden ones such as `.ipynb_checkpoints`."""

_log = logging.getLogger("ppgn")
_told: set[Path] = set()


@dataclass
class _Inside:
    """What stands in a folder, without clutter: files, folders, links to folders, and links that lead nowhere."""

    files: list[Path] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    nowhere: list[Path] = field(default_factory=list)


def class_folders(root: Path) -> list[Path]:
    """The folders in `root` that hold a class each, sorted, without links to `root` or a folder above it.

    Links that are left out are told once, as in `files_under`. Raises ValueError for a folder that cannot be listed.
    """
    inside = _look(root)
    round_about = [link for link in inside.links if _real(root).is_relative_to(_real(link))]
    _tell(root, round_about, inside.nowhere)
    return sorted({*inside.folders, *inside.links} - {*round_about})


def files_under(folder: Path) -> list[Path]:
    """All files under a folder at any depth, sorted, through links to files and to folders.

    A link to a folder that is walked already, or to one above the folder or above the link, is not followed, so that links that
    go round come to an end and no file comes twice. Such links, and those that lead nowhere, are told once, in a line of the log.
    Raises ValueError for a folder that cannot be listed.
    """
    found: list[Path] = []
    round_about: list[Path] = []
    nowhere: list[Path] = []
    walked = set()
    folders: list[tuple[Path, tuple[Path, ...]]] = [(folder, ())]  # with the real folders on the way to them
    links: list[tuple[Path, tuple[Path, ...]]] = []
    while folders or links:
        place, way = folders.pop() if folders else links.pop(0)  # real folders first: a link to one of them is the second way
        real = _real(place)
        if real in walked or any(one.is_relative_to(real) for one in way):
            round_about.append(place)
            continue
        walked.add(real)
        inside = _look(place)
        further = (*way, real) if way else (_real(folder.absolute().parent), real)
        folders += [(one, further) for one in inside.folders]
        links += [(one, further) for one in inside.links]
        found += inside.files
        nowhere += inside.nowhere
    _tell(folder, round_about, nowhere)
    return sorted(found)


def picture_files(folder: Path, extensions: Collection[str]) -> list[Path]:
    """Those of `files_under` with one of these extensions (lower case, with the dot)."""
    return [path for path in files_under(folder) if path.suffix.lower() in extensions]


def pictures_in(folder: Path, purpose: str) -> list[Path]:
    """All pictures under a folder, sorted. purpose: what they are for, "to show". Raises ValueError where there are none."""
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}, expected pictures {purpose}: check the path")
    files = picture_files(folder, picture_extensions())
    if not files:
        raise ValueError(f"there are no pictures in {folder}, expected some {purpose}: correct the folder")
    return files


def spread(count: int, most: int) -> list[int]:
    """At most `most` evenly spread indices of `count` things."""
    return torch.linspace(0, count - 1, min(most, count)).long().tolist()


def _look(folder: Path) -> _Inside:
    inside = _Inside()
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = folder / entry.name
                if entry.name.startswith(".") or entry.name in CLUTTER:
                    continue
                if entry.is_symlink():
                    place = inside.links if path.is_dir() else inside.files if path.is_file() else inside.nowhere
                    place.append(path)
                elif entry.is_dir():
                    inside.folders.append(path)
                elif entry.is_file():  # not a pipe or a device
                    inside.files.append(path)
    except OSError as fault:
        raise ValueError(f"cannot look into {folder} ({fault.strerror}): correct its permissions, or take it away") from fault
    return inside


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _tell(folder: Path, round_about: Sequence[Path], nowhere: Sequence[Path]) -> None:
    _tell_once(folder, round_about, "to folders that are read already or stand above")
    _tell_once(folder, nowhere, "to files that are not there")


def _tell_once(folder: Path, links: Sequence[Path], what: str) -> None:
    if new := {*links} - _told:
        _told.update(new)
        links_left = "1 link" if len(new) == 1 else f"{len(new)} links"
        _log.warning(printable(f"{folder}: left out {links_left} {what}, {min(new)} first"))
