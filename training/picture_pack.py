"""A folder of pictures, decoded once into one file: every stage and every start of a run reads it at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ppgn.errors import one_line
from ppgn.images import Size, class_folders, files_under, height_and_width, write_atomically
from training.data import ImageData
from training.pictures import Pictures, centre_crop
from training.sources import open_source
from training.splits import split_of

LEAST_OF_A_CLASS = 10
"""Training pictures that a class needs."""
PACK = "pictures.safetensors"


@dataclass(frozen=True)
class PictureFolder:
    """A folder of pictures, one sub-folder a class.

    root: `root/<class>/*`, or `root/train/<class>/*` and `root/val/<class>/*` (`split_of`). validation_share: share held out of
    a folder without a split. split_seed: chooses the held-out pictures.
    """

    root: Path
    validation_share: float = 0.1
    split_seed: int = 0


@dataclass(frozen=True)
class PackFacts:
    """What stands beside the pictures in a pack. digest: of the folder. broken: files that could not be read."""

    classes: tuple[str, ...]
    digest: str
    broken: tuple[str, ...]
    counts: tuple[int, int]


class PackedPictures(Pictures):
    """uint8 pictures `[picture, channel, height, width]` with their classes `[picture]`, in memory."""

    def __init__(self, pictures: Tensor, labels: Tensor) -> None:
        self.pairs, self.cached = range(len(labels)), (pictures, labels)
        self.channels, self.size = pictures.shape[1], (pictures.shape[2], pictures.shape[3])
        self.kept_size = self.size


class PackedData(ImageData):
    """ImageData of a pack. The arguments are those of ImageData."""

    def __init__(self, pack: Path, batch_size: int, flip: bool = True, shift: int = 0) -> None:
        self.pack = pack
        with safe_open(pack, framework="pt") as file:
            _, channels, *size = file.get_slice("train").get_shape()
        super().__init__("folder", pack.parent, tuple(size), channels, batch_size, flip=flip, shift=shift)

    def setup(self, stage: str | None = None) -> None:
        if self.train_pictures is not None:
            return
        self.class_names = read_facts(self.pack).classes
        with safe_open(self.pack, framework="pt") as file:
            of = {split: (file.get_tensor(split), file.get_tensor(f"{split}_labels")) for split in ("train", "validation")}
        self.train_pictures, self.validation_pictures = PackedPictures(*of["train"]), PackedPictures(*of["validation"])


def check_folder(folder: PictureFolder) -> None:
    """Raises ValueError for a folder that is missing, has fewer than two class folders, or one whose name is no class's."""
    root = folder.root
    if not root.is_dir():
        raise ValueError(f"no folder of pictures at {root}, expected {root}/<class>/<picture>: correct data.root")
    if not 0 < folder.validation_share < 1:
        raise ValueError(f"data.validation_share is {folder.validation_share}, expected a number between 0 and 1: correct it")
    inside, _ = split_of(root)
    classes = [entry.name for entry in class_folders(inside)]
    if len(classes) < 2:
        got = f"the class folder {classes[0]} alone" if classes else "no class folders"
        raise ValueError(f"{inside} has {got}, expected at least two: sort the pictures into {inside}/<class>/")


def pack_pictures(folder: PictureFolder, size: Size, place: Path, tell: Callable[[str], None]) -> PackFacts:
    """Decodes the folder's pictures, cut to their centre in that size, into `place`, unless it is there.

    Files that cannot be read are left out and counted. Raises ValueError where too few pictures of a class can be read, and where
    the folder has changed since `place` was written.
    """
    digest = folder_digest(folder.root)
    if place.is_file():
        found = read_facts(place)
        if found.digest != digest:
            raise ValueError(
                f"the pictures in {folder.root} have changed since this run began, expected the same files: undo that, "
                f"or begin another run under another name"
            )
        return found
    source = open_source("folder", folder.root, False, folder.split_seed, folder.validation_share)
    broken: list[str] = []
    tensors: dict[str, Tensor] = {}
    mixed = torch.randperm(len(source.validation), generator=torch.Generator().manual_seed(0)).tolist()
    for split, pairs, order in (("train", source.train, range(len(source.train))), ("validation", source.validation, mixed)):
        tensors[split], tensors[f"{split}_labels"] = _decoded(pairs, order, size, broken)
        tell(f"pictures: {len(tensors[split])} for {'training' if split == 'train' else split}")
    _check_counts(folder.root, source.class_names, tensors)
    if broken:
        tell(f"left out {len(broken)} files that could not be read, {broken[0]} first")
    facts = {"classes": list(source.class_names), "digest": digest, "broken": broken}
    write_atomically(place, lambda path: save_file(tensors, path, {"facts": json.dumps(facts)}))
    return read_facts(place)


def read_facts(place: Path) -> PackFacts:
    """The facts of a pack. Raises ValueError for a file that is none, or not whole."""
    try:
        with safe_open(place, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
            counts = tuple(file.get_slice(f"{split}_labels").get_shape()[0] for split in ("train", "validation"))
        return PackFacts(tuple(facts["classes"]), facts["digest"], tuple(facts["broken"]), (counts[0], counts[1]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError) as fault:
        raise ValueError(f"{place} is no whole pack of pictures ({one_line(fault)}): delete it, and run again") from fault


def folder_digest(root: Path) -> str:
    """SHA-256 of the names and sizes of `files_under` a folder."""
    digest = hashlib.sha256()
    for path in sorted(files_under(root), key=lambda path: (path.parent.parts, path.name)):
        digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _decoded(pairs: Any, order: Any, size: Size, broken: list[str]) -> tuple[Tensor, Tensor]:
    pictures, labels = [], []
    for index in order:
        try:
            picture, label = pairs[index]
            pictures.append(centre_crop(picture, size, 3))
            labels.append(label)
        except (ValueError, OSError) as fault:
            broken.append(str(fault))
    empty = torch.empty(0, 3, *height_and_width(size), dtype=torch.uint8)
    return (torch.stack(pictures) if pictures else empty), torch.tensor(labels, dtype=torch.long)


def _check_counts(root: Path, classes: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    counts = torch.bincount(tensors["train_labels"], minlength=len(classes)).tolist()
    fewest = min(range(len(classes)), key=counts.__getitem__)
    if counts[fewest] < LEAST_OF_A_CLASS:
        raise ValueError(
            f"class {classes[fewest]!r} of {root} has {counts[fewest]} pictures to train on, expected at least "
            f"{LEAST_OF_A_CLASS}: add pictures, or take its folder away"
        )
    if not len(tensors["validation_labels"]):
        raise ValueError(f"{root} leaves no picture for validation, expected at least one: raise data.validation_share")
