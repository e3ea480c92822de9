"""Sources of pictures: torchvision's data sets, scikit-learn's digits, a folder, or a table; each as train and validation."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset, Subset
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS

from ppgn import images
from ppgn.images import Merges, read_table
from ppgn.requests import composed
from training.packs import Packs, open_packs
from training.splits import split_of


@dataclass(frozen=True)
class Source:
    """Two map-style data sets of (PIL picture, class index or a tuple of them), the class names and the groups they stand in."""

    train: Any
    validation: Any
    class_names: tuple[str, ...]
    groups: tuple[str, ...] = ()


def read_picture(path: str) -> Image.Image:
    """One decoded picture, upright, RGB or 8-bit grey. Raises ValueError with its path for a file that cannot be read."""
    try:
        with images.open_picture(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode not in ("RGB", "L"):  # transparency, palettes, 16-bit grey: read as the start of a chain is
                picture = images.to_pil(images.load_image(path))
            return picture
    except images.BROKEN_FILE as fault:
        raise ValueError(f"broken picture {path} ({fault}): delete it or replace it") from fault


def folder(root: Path, split_seed: int, validation_share: float) -> Source:
    """`root/train/<class>/*` and `root/val/<class>/*` (`split_of`), or `root/<class>/*` split by hash of the file name.

    validation_share: share of held-out pictures of a folder without a split; at least one picture. Raises ValueError for a
    missing or empty folder, for halves of different classes, and for too few pictures.
    """
    if not root.is_dir():
        raise ValueError(f"no folder of pictures at {root}: expected {root}/<class>/<picture> or {root}/train/<class>/<picture>")
    train_root, validation_root = split_of(root)
    train, names = _class_pictures(train_root)
    if validation_root is not None:
        validation, others = _class_pictures(validation_root)
        if names != others:
            odd = sorted(set(names) ^ set(others))
            raise ValueError(f"{train_root} and {validation_root} must have the same class folders; they differ in {odd}")
        return Source(_Listed(train), _Listed(validation), tuple(map(_spaced, names)))
    samples = [(path, (label,)) for path, label in train]
    least = min(images.split_position(path, split_seed) for path, _ in samples)  # at least one picture of a small folder
    held = images.held_out(samples, split_seed, max(validation_share, math.nextafter(least, 1)))
    chosen, rest = np.flatnonzero(held).tolist(), np.flatnonzero(~np.array(held)).tolist()
    if not chosen:
        raise ValueError(f"{root} has only {len(train)} pictures, too few to hold {validation_share:.0%} out: add pictures")
    return Source(Subset(_Listed(train), rest), Subset(_Listed(train), chosen), tuple(map(_spaced, names)))


def packs(root: Path) -> Source:
    """The parts that scripts/pack_pictures.py wrote to `root`. Raises ValueError where they or their classes are missing."""
    read = [open_packs(root, split) for split in ("train", "val")]
    return Source(Packed(read[0]), Packed(read[1]), read[0].class_names, read[0].groups)


class Packed(Dataset):
    """Pictures of data packs with a label per group."""

    def __init__(self, content: Packs) -> None:
        self.content, self.labels = content, content.group_labels().tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, tuple[int, ...]]:
        return Image.open(io.BytesIO(self.content.blobs[index])), tuple(self.labels[index])


class _Listed(Dataset):
    """Picture files with their labels."""

    def __init__(self, samples: Sequence[tuple[str, Any]]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        path, label = self.samples[index]
        return read_picture(path), label


def _class_pictures(root: Path) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    """The picture files in `root/<class>/` with their class indices, and the composed names of the classes.

    Classes stand in the order of those names, which is the same on every disk.
    """
    classes = sorted(images.class_folders(root), key=lambda entry: composed(entry.name))
    if not classes:
        raise ValueError(f"no class folders in {root}: put the pictures into {root}/<class>/")
    samples = []
    for label, entry in enumerate(classes):
        files = images.picture_files(entry, IMG_EXTENSIONS)
        if not files:
            raise ValueError(f"no pictures in class folder {entry} (looked for {', '.join(IMG_EXTENSIONS)}): fill or delete it")
        samples += [(str(path), label) for path in files]
    names = tuple(composed(entry.name) for entry in classes)
    if several := [name for name, count in Counter(map(_spaced, names)).items() if count > 1]:
        raise ValueError(f"{root} has several folders of the class {several[0]!r}, expected one for each: merge or rename them")
    return samples, names


def _spaced(name: str) -> str:
    return name.replace("_", " ")


class _Digits(Dataset):
    """scikit-learn's 1,797 embedded 8x8 digits, every fifth one for validation."""

    def __init__(self, train: bool) -> None:
        from sklearn.datasets import load_digits  # an extra of training; nothing is downloaded

        digits: Any = load_digits()
        chosen = (np.arange(len(digits.target)) % 5 != 0) == train
        self.pictures = np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8)
        self.labels = digits.target[chosen]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.fromarray(self.pictures[index]), int(self.labels[index])


def _torchvision(make: Callable[[bool], Any], root: Path, name: str) -> Source:
    try:
        train, validation = make(True), make(False)
    except (RuntimeError, OSError) as fault:  # not there, or no network to fetch it
        raise ValueError(f"no {name} in {root} ({fault}): set data.download to true, or data.root to its folder") from fault
    classes: Sequence[Any] = train.classes
    return Source(train, validation, tuple(entry if isinstance(entry, str) else entry[0] for entry in classes))


def open_source(
    name: str,
    root: Path,
    download: bool,
    split_seed: int = 0,
    validation_share: float = 0.1,
    file: str = "captions.jsonl",
    columns: Mapping[str, str] | None = None,
    least: int = 50,
    merge: Merges | None = None,
) -> Source:
    """The data set `name` at `root`.

    split_seed, validation_share: of `folder` and `table`. file, columns, least, merge: of `table`, see `images.read_table`.
    Raises ValueError for an unknown name and, with the reason, for a data set that is missing or cannot be trained on.
    """
    if name == "table":
        read = read_table(root, file, columns or {}, least, split_seed, validation_share, merge)
        return Source(_Listed(read.training), _Listed(read.held_out), read.class_names, read.groups)
    if name == "packs":
        return packs(root)
    if name == "folder":
        return folder(root, split_seed, validation_share)
    if name == "digits":
        return Source(_Digits(True), _Digits(False), tuple(str(digit) for digit in range(10)))
    if name == "imagenette":

        def imagenette(train: bool) -> Any:
            missing = not (root / "imagenette2-160").is_dir()
            split = "train" if train else "val"
            return datasets.Imagenette(str(root), split=split, size="160px", download=download and missing)

        return _torchvision(imagenette, root, "Imagenette")
    sets = {"cifar10": datasets.CIFAR10, "mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST}
    if name not in sets:
        known = ", ".join(("folder", "table", "digits", "imagenette", *sets, "packs"))
        raise ValueError(f"got the unknown data set {name!r}, expected one of {known}: choose from them")
    return _torchvision(lambda train: sets[name](str(root), train=train, download=download), root, name)
