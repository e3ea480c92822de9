"""Maps and codes of every training picture by the frozen encoder, computed once and kept in a file in the run folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_info
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import Dataset

from ppgn.errors import one_line
from ppgn.images import write_atomically
from ppgn.networks import TrunkConfig
from ppgn.progress import bar
from training.pictures import FEW, Pictures

Storage = Literal["bfloat16", "float16", "float32"]
Kept = Literal["maps and code", "code", "pool5"]
SAFETENSORS_NAMES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
LAYOUT = 1
"""Version of a row's layout; another number makes all kept features stale."""
BATCH = 64
"""Pictures in a pass of the encoder."""


class RealFeatures:
    """Code and maps of each training picture, then of each mirrored one where the data mirror, read row by row from a file.

    It is a safetensors file of one tensor `[row, value]`. A row is the code, then the maps as `[height, width, channel]`, so
    that they come out in channels_last without a copy; or the code alone, or pool5 flat. The system keeps rows in memory that fit
    there, as for any file. Raises ValueError for a file that holds no features.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with safe_open(path, framework="pt") as file:
                self.shapes: list[list[int]] = json.loads(file.metadata()["shapes"])
                self.dtype: torch.dtype = getattr(torch, {*SAFETENSORS_NAMES}.intersection([file.metadata()["storage"]]).pop())
                rows, values = file.get_slice("features").get_shape()
            if sum(map(math.prod, self.shapes)) != values:
                raise ValueError(f"rows of {values} values for the shapes {self.shapes}")
        except (SafetensorError, OSError, ValueError, LookupError, TypeError, RecursionError) as fault:
            raise ValueError(
                f"{path} holds no features of pictures ({one_line(fault)}): delete it, and they are computed again"
            ) from fault
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
    """Batches of (uint8 pictures, labels, features). flip: mirror each picture with probability one half.

    Mirroring is drawn here and not after the batch is fetched, because a mirrored picture has other features.
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
class CacheKey:
    """Everything that features depend on: encoder, pictures in order, mirroring, type of storage, the trainer's precision, and
    which features are kept."""

    encoder: Any
    pictures: Pictures
    flip: bool
    storage: Storage
    precision: str
    kept: Kept = "maps and code"

    def digest(self) -> str:
        """SHA-256 of it; features of another digest are stale. Of pool5's, the head above it is no part."""
        network, config = self.encoder, self.encoder.config
        if self.kept == "pool5":
            network = network.trunk
            config = {field.name: getattr(config, field.name) for field in dataclasses.fields(TrunkConfig)}
        settings = (LAYOUT, self.pictures.digest(), self.flip, self.storage, self.precision, repr(config))
        if self.kept != "maps and code":
            settings = (*settings, self.kept)
        found = hashlib.sha256(repr(settings).encode())
        for name, value in network.state_dict().items():
            found.update(name.encode())
            found.update(value.detach().cpu().float().contiguous().numpy().tobytes())
        return found.hexdigest()


def check_cacheable(data: Mapping[str, Any], others: Mapping[str, float] | None = None) -> None:
    """Raises ValueError when settings of the data, or others that must be 0, make a picture's features differ at every step."""
    given = {**(others or {}), "data.shift": data["shift"]}
    moving = [f"{name} {value:g}" for name, value in given.items() if value]
    if moving:
        raise ValueError(
            f"model.cache_features needs the same maps of a picture at every step, expected no noise and no shift, "
            f"got {', '.join(moving)}: set it to 0 or leave model.cache_features out"
        )
    if data.get("margin", 1.0) != 1:
        raise ValueError(
            f"model.cache_features needs the same pictures at every step, expected no random crops, got data.margin "
            f"{data['margin']:g}: set it to 1 or leave model.cache_features out"
        )


def training_features(trainer: Trainer, encoder: Any, data: Any, storage: Storage, kept: Kept) -> PicturesWithFeatures:
    """The training pictures of `data` with their features, which one process per machine computes while the others wait."""
    pictures, flip = data.train_pictures, data.hparams.flip
    path = Path(trainer.default_root_dir) / "features.safetensors"
    if trainer.local_rank == 0:
        key = CacheKey(encoder, pictures, flip, storage, str(trainer.precision), kept)
        keep_features(path, key, trainer.precision_plugin.forward_context)
    trainer.strategy.barrier("features")
    return PicturesWithFeatures(pictures, RealFeatures(path), flip)


def keep_features(path: Path, key: CacheKey, precision: Callable[[], AbstractContextManager[Any]]) -> None:
    """Compute the features and leave them at `path`, unless they are there.

    precision: makes the context of the forward passes. The file is written under a temporary name and moved into place. Raises
    ValueError when the disk is too small and when the stored type cannot hold the values.
    """
    digest = key.digest()
    if _digest(path) == digest:
        return
    if path.exists():
        rank_zero_info(f"{path} holds features of another encoder, of other pictures or settings: computing them again")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda place: _write(place, digest, key, precision))


def _digest(path: Path) -> str | None:
    """The digest of the features at `path`; None where there is no file or a broken one."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("digest")
    except (SafetensorError, OSError):
        return None


def _write(path: Path, digest: str, key: CacheKey, precision: Callable[[], AbstractContextManager[Any]]) -> None:
    count, start = len(key.pictures), 0
    with torch.inference_mode(), precision(), path.open("wb") as file:
        indices = range(0, count, BATCH)
        for begin in bar("features of the training pictures", indices, unit="batch", leave=False, disable=count < FEW):
            pictures = key.pictures.__getitems__(list(range(begin, min(begin + BATCH, count))))[0]
            for variant, seen in enumerate((pictures, pictures.flip(-1))[: 1 + key.flip]):
                features = _features(key, seen)
                start = start or _write_header(file, digest, key, features)
                rows = torch.cat([feature.flatten(1) for feature in features], 1).view(torch.uint8)
                file.seek(start + (variant * count + begin) * rows.shape[1])
                file.write(rows.numpy().tobytes())


def _features(key: CacheKey, pictures: Tensor) -> list[Tensor]:
    """The codes `[picture, code]`, then the maps `[picture, height, width, channel]`, or one of them, in the stored type."""
    encoder = key.encoder
    device = next(encoder.parameters()).device
    maps = encoder.maps((pictures.to(device).float() / 255).contiguous(memory_format=torch.channels_last))
    if key.kept == "pool5":
        exact = [maps[-1].flatten(1)]
    else:
        shown = maps if key.kept == "maps and code" else []
        exact = [encoder.code_from_pool5(maps[-1]), *(feature_map.permute(0, 2, 3, 1) for feature_map in shown)]
    stored = [feature.to("cpu", getattr(torch, key.storage)).contiguous() for feature in exact]
    if not all(bool(feature.isfinite().all()) for feature in stored):
        raise ValueError(
            f"features of the training pictures are infinite or not a number in {key.storage}, expected finite ones: "
            f"set model.cache_features to bfloat16 or float32"
        )
    return stored


def _write_header(file: BinaryIO, digest: str, key: CacheKey, features: list[Tensor]) -> int:
    """Write the safetensors header of all rows of such features; returns the position of the first row in the file."""
    rows, values = len(key.pictures) * (1 + key.flip), sum(feature[0].numel() for feature in features)
    size = rows * values * features[0].itemsize
    _check_room(Path(file.name).parent, size)
    shapes = json.dumps([list(feature.shape[1:]) for feature in features])
    described = {"dtype": SAFETENSORS_NAMES[key.storage], "shape": [rows, values], "data_offsets": [0, size]}
    header = {"__metadata__": {"digest": digest, "shapes": shapes, "storage": key.storage}, "features": described}
    text = json.dumps(header).encode()
    return file.write(len(text).to_bytes(8, "little")) + file.write(text)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"features of the training pictures need {needed / 2**30:.1f} GiB, {folder} has {free / 2**30:.1f} GiB free: "
            f"set trainer.default_root_dir to a folder on a larger disk, or leave model.cache_features out"
        )
