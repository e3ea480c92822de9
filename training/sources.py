"""Where pictures come from: torchvision's data sets, scikit-learn's digits, or a folder; each as train and validation."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset, Subset
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS

from ppgn import images


@dataclass(frozen=True)
class Source:
    """Two map-style data sets of (PIL picture, class index) and the class names."""

    train: Any
    validation: Any
    class_names: tuple[str, ...]


def read_picture(path: str) -> Image.Image:
    """One decoded picture, upright, RGB or 8-bit grey; raises ValueError naming a file that cannot be read."""
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            if picture.mode not in ("RGB", "L"):  # transparency, palettes, 16-bit grey: as a chain's start is read
                picture = images.to_pil(images.load_image(path))
            return picture
    except images.BROKEN_FILE as fault:
        raise ValueError(f"broken picture {path} ({fault}): delete it or replace it") from fault


def folder(root: Path, split_seed: int, validation_share: float) -> Source:
    """`root/train/<class>/*` and `root/val/<class>/*`, or `root/<class>/*` with a fixed split by hash of the file name."""
    if not root.is_dir():
        raise ValueError(f"no folder of pictures at {root}: expected {root}/<class>/<picture> or {root}/train/<class>/<picture>")
    train_root = root / "train" if (root / "train").is_dir() else root
    train = _image_folder(train_root)
    names = tuple(name.replace("_", " ") for name in train.classes)
    for name in ("val", "validation", "valid", "test"):
        if train_root != root and (root / name).is_dir():
            validation = _image_folder(root / name)
            if validation.classes != train.classes:
                odd = sorted(set(validation.classes) ^ set(train.classes))
                raise ValueError(f"{root}/train and {root}/{name} must have the same class folders; they differ in {odd}")
            return Source(train, validation, names)
    places = np.array([_place(path, split_seed) for path, _ in train.samples])
    held_out = (places < validation_share) | (places == places.min())  # at least one picture of a small folder
    chosen, rest = np.flatnonzero(held_out).tolist(), np.flatnonzero(~held_out).tolist()
    if not rest:
        raise ValueError(f"{root} has only {len(train)} pictures, too few to hold {validation_share:.0%} out: add pictures")
    return Source(Subset(train, rest), Subset(train, chosen), names)


Merges: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Group -> class -> further values of the group's column that belong to this class."""


def table(
    root: Path,
    file: str,
    columns: Mapping[str, str],
    least: int,
    split_seed: int,
    validation_share: float,
    merge: Merges | None = None,
) -> Source:
    """Pictures with several labels each: a .jsonl table at `root/file`, a line {"file": path, column: value, ...} a picture.

    columns: group -> column, such as {"type": "articleType", "colour": "baseColour"}; the classes are then called
    "type:Handbags", "colour:Red", and a picture's label is a tuple, the index of one class of each group. merge: values that
    count as another, such as {"colour": {"Red": ["Maroon", "Rust"]}}. Values of then fewer than `least` pictures are left out
    with their pictures. The split is by hash of the file name.
    """
    path = root / file
    if not path.is_file():
        raise ValueError(f"no table of pictures at {path}: expected lines of JSON, one a picture (--data.root, --data.table)")
    if not columns:
        raise ValueError(f"which columns of {path} are labels? give --data.labels '{{type: articleType, colour: baseColour}}'")
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    lacking = [column for column in ("file", *columns.values()) if any(column not in row for row in rows)]
    if lacking or not rows:
        there = ", ".join(rows[0]) if rows else "no line"
        raise ValueError(
            f"{path} lacks the column {lacking[0] if lacking else 'file'!r} in some line, it has {there}: name another"
        )
    rows, values = _common([_merged(row, columns, merge or {}) for row in rows], tuple(columns.values()), least)
    names = [f"{group}:{value}" for group, column in columns.items() for value in values[column]]
    places = {name: index for index, name in enumerate(names)}
    labels = [tuple(places[f"{group}:{row[column]}"] for group, column in columns.items()) for row in rows]
    samples = [(str(root / row["file"]), label) for row, label in zip(rows, labels, strict=True)]
    held_out = [_place(sample, split_seed) < validation_share for sample, _ in samples]
    parts = [[sample for sample, out in zip(samples, held_out, strict=True) if out is wanted] for wanted in (False, True)]
    if not all(parts):
        raise ValueError(f"{path} has {len(samples)} pictures with common labels, too few to split: lower --data.least")
    return Source(_Listed(parts[0]), _Listed(parts[1]), tuple(names))


def _merged(row: dict, columns: Mapping[str, str], merge: Merges) -> dict:
    """The row with values replaced by the class that they belong to; ValueError for a group that is none."""
    if odd := set(merge) - set(columns):
        raise ValueError(
            f"got classes to merge in {', '.join(sorted(odd))}, expected groups among {', '.join(columns)}: correct it"
        )
    whole = {(columns[group], value): name for group, classes in merge.items() for name, own in classes.items() for value in own}
    return {**row, **{column: whole.get((column, row[column]), row[column]) for column in columns.values()}}


def _common(rows: list[dict], columns: Sequence[str], least: int) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows whose values all occur `least` times or more among them, and those values of each column, sorted."""
    while True:
        counts = {column: Counter(row[column] for row in rows) for column in columns}
        kept = [row for row in rows if all(counts[column][row[column]] >= least for column in columns)]
        if len(kept) == len(rows):
            return kept, {column: sorted(counts[column]) for column in columns}
        rows = kept


class _Listed(Dataset):
    """Pictures by path with their labels."""

    def __init__(self, samples: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, tuple[int, ...]]:
        path, label = self.samples[index]
        return read_picture(path), label


def _image_folder(root: Path) -> datasets.ImageFolder:
    classes = sorted(entry for entry in root.iterdir() if entry.is_dir())
    if not classes:
        raise ValueError(f"no class folders in {root}: put the pictures into {root}/<class>/")
    for entry in classes:
        if not any(path.suffix.lower() in IMG_EXTENSIONS for path in entry.rglob("*")):
            raise ValueError(f"no pictures in class folder {entry} (looked for {', '.join(IMG_EXTENSIONS)}): fill or delete it")
    return datasets.ImageFolder(str(root), loader=read_picture)


def _place(path: str, seed: int) -> float:
    """A number in [0, 1), the same for the same class and file name on every machine, wherever the folder lies."""
    name = f"{seed}/{Path(path).parent.name}/{Path(path).name}"
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


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
    except RuntimeError as fault:
        raise ValueError(f"no {name} in {root}: add --data.download true, or point --data.root at it ({fault})") from fault
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
    """The data set `name` at `root`; raises ValueError saying what is missing. file, columns, least, merge: of `table` only."""
    if name == "table":
        return table(root, file, columns or {}, least, split_seed, validation_share, merge)
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
        raise ValueError(f"unknown data set {name!r}: choose one of folder, table, digits, imagenette, {', '.join(sets)}")
    return _torchvision(lambda train: sets[name](str(root), train=train, download=download), root, name)
