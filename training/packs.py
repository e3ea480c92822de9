"""Data packs: pictures of several sources in a few files that travel to an accelerator and are decoded there in seconds."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ppgn.conditions import class_groups
from ppgn.errors import one_line
from ppgn.images import Size, height_and_width, write_atomically
from ppgn.progress import bar
from training.labels import UNLABELLED
from training.pictures import centre_crop, source_numbers

PART_MIB = 60
"""Largest size of a part; many stores refuse larger files."""
QUALITY, METHOD = 70, 6
"""Of WebP: at 128 px a picture takes 2.5 KB, and its codes hardly differ."""
FULL = 0.97
"""How full a part is planned, as parts differ."""
CHUNK = 256
"""Pictures that a process decodes at once."""


@dataclass(frozen=True)
class Packs:
    """The pictures of a split: encoded files, `[picture, 3]` of (group, class within the group, source), and the classes."""

    blobs: list[bytes]
    labels: Tensor
    class_names: tuple[str, ...]
    groups: tuple[str, ...] = ()

    def first(self, count: int) -> Packs:
        """The first `count` pictures; 0: all."""
        return Packs(self.blobs[:count], self.labels[:count], self.class_names, self.groups) if count else self

    @property
    def class_groups(self) -> dict[str, tuple[int, int]]:
        """Group -> (first, last + 1) of its classes."""
        return class_groups(self.class_names, self.groups)

    def group_labels(self) -> Tensor:
        """`[picture, group]` of class indices, UNLABELLED but in the picture's own group."""
        groups = self.class_groups
        firsts = torch.tensor([first for first, _ in groups.values()])
        own = torch.arange(len(groups)) == self.labels[:, :1]
        return torch.where(own, firsts[self.labels[:, 0]][:, None] + self.labels[:, 1:2], UNLABELLED)


def open_packs(folder: Path, split: str) -> Packs:
    """The parts of a split ("train", "val") in `folder`. Raises ValueError where they or classes.json are missing."""
    paths = sorted(folder.glob(f"{split}*.npz"), key=lambda path: (len(path.name), path.name))
    classes = folder / "classes.json"
    if not paths or not classes.is_file():
        raise ValueError(f"no data packs in {folder}, expected classes.json and {split}0.npz: make them with pack_pictures.py")
    blobs, labels = [], []
    for path in paths:
        try:
            some, rows = _read_part(path)
        except Exception as fault:  # zipfile and NumPy can raise anything on bytes that are no archive
            raise ValueError(f"{path} is no whole part of a pack ({one_line(fault)}): copy or make it again") from fault
        blobs += some
        labels.append(rows)
    found = Packs(blobs, torch.cat(labels), *read_classes(classes))
    _check_labels(found, folder)
    return found


def _read_part(path: Path) -> tuple[list[bytes], Tensor]:
    """The encoded pictures of a part and their labels `[picture, 3]`."""
    with np.load(path) as part:
        data, sizes = part["data"].tobytes(), part["sizes"].astype(np.int64)
        rows = torch.from_numpy(part["labels"].astype(np.int64))
    if sizes.ndim != 1 or (sizes < 0).any() or sizes.sum() != len(data) or rows.shape != (len(sizes), 3):
        raise ValueError("its pictures, their sizes and labels do not fit each other")
    return [data[end - size : end] for size, end in zip(sizes, np.cumsum(sizes), strict=True)], rows


def _check_labels(packs: Packs, folder: Path) -> None:
    """Raises ValueError where a picture has a class that classes.json does not name."""
    sizes = torch.tensor([last - first for first, last in packs.class_groups.values()])
    group, within = packs.labels[:, 0], packs.labels[:, 1]
    known = (group >= 0) & (group < len(sizes)) & (within >= 0)
    known &= within < sizes[group.clamp(0, max(0, len(sizes) - 1))] if len(sizes) else False
    if not bool(known.all()):
        raise ValueError(f"pictures in {folder} have classes that its classes.json does not name: copy both again")


def read_classes(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The class names and their groups in a classes.json, {group: names}; the group "" is that of classes without groups.

    Raises ValueError for a file of another kind.
    """
    try:
        grouped = json.loads(file.read_text(encoding="utf-8-sig"))
        if not (isinstance(grouped, dict) and grouped and all(map(_are_names, grouped.values()))):
            raise ValueError("not that")
    except (OSError, ValueError, RecursionError) as fault:
        raise ValueError(
            f"{file} cannot be read ({one_line(fault)}), expected JSON as {{group: [names]}}: pack the pictures again"
        ) from fault
    if list(grouped) == [""]:
        return tuple(grouped[""]), ()
    return tuple(f"{group}:{name}" for group, names in grouped.items() for name in names), tuple(grouped)


def _are_names(members: Any) -> bool:
    return isinstance(members, list) and bool(members) and all(isinstance(name, str) for name in members)


def decode(packs: Packs, size: Size, processes: int = 1) -> Tensor:
    """uint8 `[picture, 3, height, width]` of all pictures, scaled to cover `size` (bicubic) and cut to their centre."""
    height, width = height_and_width(size)
    chunks = [(packs.blobs[first : first + CHUNK], (height, width)) for first in range(0, len(packs.blobs), CHUNK)]
    pictures = np.empty((len(packs.blobs), 3, height, width), np.uint8)
    with ExitStack() as stack:
        work = map if processes < 2 else stack.enter_context(ProcessPoolExecutor(processes)).map
        for number, part in enumerate(work(_decode_chunk, chunks)):
            pictures[number * CHUNK : number * CHUNK + len(part)] = part
    return torch.from_numpy(pictures)


def _decode_chunk(chunk: tuple[Sequence[bytes], tuple[int, int]]) -> np.ndarray:
    blobs, size = chunk
    return np.stack([centre_crop(Image.open(io.BytesIO(blob)), size, 3).numpy() for blob in blobs])


def pack(data: Any, out: Path, part_mib: float = PART_MIB, quality: int = QUALITY, workers: int = 2) -> list[Path]:
    """Write both splits of an ImageData of several sources to `out`; returns the paths of the parts.

    A part holds `data` (WebP files in a row), `sizes` (their bytes) and `labels` (group, class within the group, source). The
    pictures are mixed, so that each part is a sample of all.
    """
    out.mkdir(parents=True, exist_ok=True)
    groups = data.class_groups
    members = {
        group: [name.removeprefix(f"{group}:") if group else name for name in data.class_names[first:last]]
        for group, (first, last) in groups.items()
    }
    write_atomically(out / "classes.json", lambda path: path.write_text(json.dumps(members)))
    paths = []
    for split, pictures in (("train", data.train_pictures), ("val", data.validation_pictures)):
        order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0)).tolist()
        with ThreadPoolExecutor(workers) as pool:
            jobs = pool.map(lambda index, pictures=pictures: _encode(pictures, index, quality), order)
            blobs, rows = zip(*bar(f"packing {split} pictures", jobs, unit="picture", total=len(order), leave=False), strict=True)
        labels = _columns(torch.stack(rows), source_numbers(pictures.pairs)[order], [first for first, _ in groups.values()])
        parts = -(-sum(map(len, blobs)) // int(part_mib * 2**20 * FULL))
        for number in range(parts):
            paths.append(out / f"{split}{number}.npz")
            mine = blobs[number::parts]
            content = {"data": np.frombuffer(b"".join(mine), np.uint8), "sizes": np.array([*map(len, mine)], np.int32)}
            write_atomically(paths[-1], partial(_save, content={**content, "labels": labels[number::parts]}))
    return paths


def _encode(pictures: Any, index: int, quality: int) -> tuple[bytes, Tensor]:
    pixels, labels = pictures.__getitems__([index])
    buffer = io.BytesIO()
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(buffer, "WEBP", quality=quality, method=METHOD)
    return buffer.getvalue(), labels[0].reshape(-1)


def _columns(rows: Tensor, sources: Tensor, firsts: list[int]) -> np.ndarray:
    """(group, class within the group, source) of label rows `[picture, group]`."""
    group = (rows != UNLABELLED).int().argmax(1)
    within = rows.gather(1, group[:, None])[:, 0] - torch.tensor(firsts)[group]
    return torch.stack([group, within, sources], 1).numpy().astype(np.int16)


def _save(path: Path, content: dict[str, np.ndarray]) -> None:
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **content)
