"""Pictures of classes on the disk: a folder for each class, or the pictures and samples.json of `ppgn sample`."""

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
from ppgn.conditions import split_group
from ppgn.errors import one_line
from ppgn.requests import composed, same_name
from ppgn.types import Image, ImageSpec


@dataclass(frozen=True, eq=False)
class ClassFolder:
    """Picture files and the class of each, read at the height, width and channels of `image`, cropped to its shape."""

    files: tuple[Path, ...]
    classes: tuple[int, ...]
    image: ImageSpec

    def __len__(self) -> int:
        return len(self.files)

    def load(self, chosen: Sequence[int] | Tensor) -> Image:
        """The pictures with these indices, `[picture, channel, height, width]`; ValueError for a file that is no picture."""
        files = [self.files[int(index)] for index in chosen]
        return torch.stack([images.load_image(file, self.image.size, self.image.channels) for file in files])

    def batches(self, batch: int = 50) -> Iterator[Image]:
        """All pictures in their order, `batch` at a time."""
        for first in range(0, len(self), batch):
            yield self.load(range(first, min(first + batch, len(self))))


def class_folder(
    root: str | Path,
    names: Sequence[str],
    classes: Sequence[int],
    count: int,
    image: ImageSpec,
    listed: Mapping[str, Sequence[Path]] | None = None,
    groups: Sequence[str] = (),
) -> ClassFolder:
    """Up to `count` pictures (0: all) of each of `classes`, indices into `names`, spread evenly over the sorted files of a class.

    The files of a class stand in `root/<class>/`, found as `requests.same_name` finds a class, and other folders are ignored;
    or in the samples.json that `ppgn sample` wrote into `root`; or in `listed`, files by class name, which goes first. image: the
    height, width and channels to read them at. groups: those of the names (`Bundle.groups`), without which a class is found, too.
    Raises ValueError for a folder or class without pictures, and for a class of
    several folders.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"there is no folder {root}: check the path")
    if listed is not None:
        by_class = {name: list(files) for name, files in listed.items()}
    else:
        by_class = _sampled(root, names) if (root / "samples.json").is_file() else _subfolders(root)
    files: list[Path] = []
    owners: list[int] = []
    bare = [split_group(name, groups)[1] for name in names]
    owners_of = {key: same_name(names, key) or same_name(bare, key) for key in by_class}
    for index in classes:
        own = [key for key in by_class if index in owners_of[key]]
        if len(own) > 1 or any(len(owners_of[key]) > 1 for key in own):
            claimed = sorted({one for key in own for one in owners_of[key]})
            raise ValueError(
                f"{root} has {' and '.join(own)} for the classes {', '.join(f'{one} {names[one]}' for one in claimed)}, expected "
                f"one folder for one class: merge or rename them, or evaluate other classes"
            )
        available = by_class[own[0]] if own else []
        if not available:
            found = ", ".join(sorted(by_class)[:10]) or "none"
            raise ValueError(
                f"{root} has no pictures of the class {names[index]!r}, expected a folder of that name among {found}: add one, "
                f"or evaluate other classes"
            )
        step = max(1, len(available) // count) if count else 1
        taken = available[::step][: count or None]
        files += taken
        owners += [index] * len(taken)
    return ClassFolder(tuple(files), tuple(owners), image)


def _subfolders(root: Path) -> dict[str, list[Path]]:
    """Name of a folder -> its picture files, sorted."""
    readable = Pillow.registered_extensions()
    found = {}
    for folder in images.class_folders(root):
        if files := images.picture_files(folder, readable):
            found[folder.name] = files
    return found


def _sampled(root: Path, names: Sequence[str]) -> dict[str, list[Path]]:
    """Class name -> the picture files that samples.json lists for it, alone or as one of several ("type:Bag & colour:Red")."""
    found: dict[str, list[Path]] = {}
    try:
        rows: list[dict[str, Any]] = json.loads((root / "samples.json").read_text(encoding="utf-8-sig"))["samples"]
        for row in rows:
            asked = row["class"]
            for name in [asked] if same_name(names, asked) else asked.split(" & "):
                found.setdefault(composed(name), []).append(root / row["file"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ValueError(
            f"cannot read {root / 'samples.json'} ({one_line(fault)}), expected samples of classes as `ppgn sample` writes them: "
            f"sample again, or sort the pictures into a folder for each class"
        ) from fault
    return found
