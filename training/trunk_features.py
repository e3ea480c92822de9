"""The last map of a frozen trunk of every picture, computed once: the encoder's head then trains without the trunk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ppgn.images import write_atomically
from training.encoder import EncoderSystem
from training.picture_pack import PackedData
from training.weight_files import read_tensors

POOLED_SPLITS = ("train", "mirrored", "validation")
BATCH = 32
"""Pictures in a pass of the trunk."""
EVERY = 30.0
"""Seconds between two lines."""


class HeadSystem(EncoderSystem):
    """EncoderSystem on batches of PooledData: fc6 to fc8 on the trunk's last map. The arguments are those of EncoderSystem."""

    def pool5(self, pictures: Tensor, features: list[Tensor] | None = None) -> Tensor:
        """The pictures, which are pool5 already."""
        return pictures


class PooledPictures(Dataset):
    """Batches of (pool5 `[picture, channel, height, width]`, class indices), each of a picture or of its mirror.

    variants: pool5 of the pictures, then of their mirrors where there are any.
    """

    def __init__(self, variants: list[Tensor], labels: Tensor) -> None:
        self.variants, self.labels = torch.stack(variants), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        drawn = torch.randint(len(self.variants), (len(indices),))
        return self.variants[drawn, indices].float(), self.labels[indices]


class PooledData(PackedData):
    """PackedData whose pictures are the last maps that `keep_pooled` left in a file."""

    def __init__(self, pack: Path, pooled: Path, batch_size: int) -> None:
        super().__init__(pack, batch_size)
        self.pooled = pooled

    def setup(self, stage: str | None = None) -> None:
        super().setup(stage)
        (train, mirrored, validation), labels = read_tensors(self.pooled, *POOLED_SPLITS), {}
        for split, pictures in (("train", self.train_pictures), ("validation", self.validation_pictures)):
            labels[split] = pictures.cached[1]  # type: ignore[union-attr, index]
        self.with_features = PooledPictures([train, mirrored], labels["train"])
        self.held_out = PooledPictures([validation], labels["validation"])

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.held_out, False)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch


def keep_pooled(encoder: Any, data: PackedData, place: Path, tell: Callable[[str], None]) -> None:
    """Leaves pool5 of all pictures in `place`: "train", "mirrored" and "validation", in float16."""
    data.setup()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = encoder.to(device, memory_format=torch.channels_last)
    train: Any = data.train_pictures
    splits: Any = (("train", train, False), ("mirrored", train, True), ("validation", data.validation_pictures, False))
    total, done, said = sum(len(pictures) for _, pictures, _ in splits), 0, time.monotonic()
    maps: dict[str, Tensor] = {}
    for split, pictures, mirror in splits:
        found = []
        for first in range(0, len(pictures), BATCH):
            batch = pictures.__getitems__(list(range(first, min(first + BATCH, len(pictures)))))[0].float() / 255
            seen = (batch.flip(-1) if mirror else batch).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                found.append(encoder.maps(seen.to(device))[-1].half().cpu().contiguous())
            done += len(batch)
            if time.monotonic() - said > EVERY:
                said = time.monotonic()
                tell(f"features of the pictures {done / total:4.0%}")
        maps[split] = torch.cat(found)
    encoder.cpu()
    write_atomically(place, lambda path: save_file(maps, path))
