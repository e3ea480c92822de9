"""What the frozen encoder says of every training picture, computed once and memory-mapped beside the run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from training.data import Pictures

Storage = Literal["bfloat16", "float16", "float32"]
SAFETENSORS_NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
LAYOUT = 1  # of a row; another number makes all kept features stale
BATCH = 64


class RealFeatures:
    """Code and maps of each training picture, then of each mirrored one if the data mirror, read row by row from a file.

    The file is a safetensors file of one tensor `[row, value]`. A row is the code, then the maps as `[height, width, channel]`,
    so that they come out in channels_last without a copy. What fits into memory stays there as the system's cache of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with safe_open(path, framework="pt") as file:
            self.shapes: list[list[int]] = json.loads(file.metadata()["shapes"])
            self.dtype: torch.dtype = getattr(torch, file.metadata()["storage"])
            rows, values = file.get_slice("features").get_shape()
        self.row_bytes = values * self.dtype.itemsize
        self.start = path.stat().st_size - rows * self.row_bytes

    def rows(self, rows: Tensor) -> list[Tensor]:
        """Maps `[picture, channel, height, width]` from the trunk's first depth on, then the code `[picture, code]`."""
        features = [torch.empty(len(rows), *shape, dtype=self.dtype) for shape in self.shapes]
        places = [feature.flatten(1).view(torch.uint8).numpy() for feature in features]
        with self.path.open("rb", buffering=0) as file:  # opened for each batch: loader processes then share no position
            for index, row in enumerate(rows.tolist()):
                file.seek(self.start + row * self.row_bytes)
                if sum(file.readinto(place[index]) for place in places) != self.row_bytes:
                    raise ValueError(f"{self.path} ends before row {row}, expected whole rows: delete it and start again")
        code, *maps = features
        return [*(feature_map.permute(0, 3, 1, 2) for feature_map in maps), code]


class PicturesWithFeatures(Dataset):
    """Batches of (uint8 pictures, labels, features), pictures mirrored with probability one half where `flip` says so.

    Mirroring is drawn here and not after the batch is fetched, since a mirrored picture has features of its own.
    """

    def __init__(self, pictures: Pictures, features: RealFeatures, flip: bool) -> None:
        self.pictures, self.features, self.flip = pictures, features, flip

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor, list[Tensor]]:
        pictures, labels = self.pictures.__getitems__(indices)
        mirrored = torch.rand(len(indices)) < 0.5 if self.flip else torch.zeros(len(indices), dtype=torch.bool)
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
        return pictures, labels, self.features.rows(torch.tensor(indices) + mirrored * len(self.pictures))


@dataclass(frozen=True)
class Recipe:
    """All that the features depend on: encoder, pictures in their order, mirroring, type of storage, precision of the trainer."""

    encoder: Any
    pictures: Pictures
    flip: bool
    storage: Storage
    precision: str

    def key(self) -> str:
        """SHA-256; features of another key are stale."""
        settings = (LAYOUT, self.pictures.digest(), self.flip, self.storage, self.precision, repr(self.encoder.config))
        digest = hashlib.sha256(repr(settings).encode())
        for name, value in self.encoder.state_dict().items():
            digest.update(name.encode())
            digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
        return digest.hexdigest()


def keep_features(path: Path, recipe: Recipe, precision: Callable[[], AbstractContextManager[Any]]) -> None:
    """Computes the features and leaves them at `path`, unless they are there; `precision` is the context of the forward pass.

    Written to a temporary name and moved into place. Raises ValueError where the disk is too small, or where a stored type
    cannot hold the values.
    """
    key = recipe.key()
    if _key(path) == key:
        return
    if path.exists():
        rank_zero_info(f"{path} holds features of another encoder, of other pictures or settings: they are computed again")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(part, key, recipe, precision)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _key(path: Path) -> str | None:
    """Of the file at `path`; None where there is no such file or it is broken."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("key")
    except SafetensorError:
        return None


def _write(path: Path, key: str, recipe: Recipe, precision: Callable[[], AbstractContextManager[Any]]) -> None:
    count, start = len(recipe.pictures), 0
    with torch.inference_mode(), precision(), path.open("wb") as file:
        indices = range(0, count, BATCH)
        for begin in tqdm(indices, "features of the training pictures", leave=False, disable=count < 2000):
            pictures = recipe.pictures.__getitems__(list(range(begin, min(begin + BATCH, count))))[0]
            for variant, seen in enumerate((pictures, pictures.flip(-1))[: 1 + recipe.flip]):
                features = _features(recipe, seen)
                start = start or _write_header(file, key, recipe, features)
                rows = torch.cat([feature.flatten(1) for feature in features], 1).view(torch.uint8)
                file.seek(start + (variant * count + begin) * rows.shape[1])
                file.write(rows.numpy().tobytes())


def _features(recipe: Recipe, pictures: Tensor) -> list[Tensor]:
    """The code, then maps with their channels last, in the stored type."""
    encoder = recipe.encoder
    device = next(encoder.parameters()).device
    maps = encoder.maps((pictures.to(device).float() / 255).contiguous(memory_format=torch.channels_last))
    exact = [encoder.code_from_pool5(maps[-1]), *(feature_map.permute(0, 2, 3, 1) for feature_map in maps)]
    stored = [feature.to("cpu", getattr(torch, recipe.storage)).contiguous() for feature in exact]
    if not all(bool(feature.isfinite().all()) for feature in stored):
        raise ValueError(
            f"features of the training pictures, expected finite, are infinite or not a number in {recipe.storage}: "
            f"give --model.cache_features bfloat16 or float32"
        )
    return stored


def _write_header(file: BinaryIO, key: str, recipe: Recipe, features: list[Tensor]) -> int:
    """The safetensors header for all rows of such features; returns where the first row begins."""
    rows, values = len(recipe.pictures) * (1 + recipe.flip), sum(feature[0].numel() for feature in features)
    size = rows * values * features[0].itemsize
    _check_room(Path(file.name).parent, size)
    shapes = json.dumps([list(feature.shape[1:]) for feature in features])
    described = {"dtype": SAFETENSORS_NAMES[recipe.storage], "shape": [rows, values], "data_offsets": [0, size]}
    header = {"__metadata__": {"key": key, "shapes": shapes, "storage": recipe.storage}, "features": described}
    text = json.dumps(header).encode()
    return file.write(len(text).to_bytes(8, "little")) + file.write(text)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"features of the training pictures need {needed / 2**30:.1f} GiB, {folder} has {free / 2**30:.1f} GiB free: "
            f"point --trainer.default_root_dir at a larger disk, or leave --model.cache_features out"
        )
