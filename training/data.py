"""One LightningDataModule over every source: square pictures, cached in memory as uint8 when small, streamed when large."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset
from tqdm import tqdm

from training.sources import Source, open_source

SourceName = Literal["folder", "table", "imagenette", "cifar10", "mnist", "fashion_mnist", "digits"]


def square(picture: Image.Image, size: int, channels: int) -> Tensor:
    """uint8 `[channel, size, size]`: shorter side scaled to `size`, centre crop, grey or RGB."""
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (size, size):
        scale = size / min(picture.size)
        width, height = (max(size, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - size) // 2, (height - size) // 2
        picture = picture.crop((left, top, left + size, top + size))
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if channels == 1 else pixels.permute(2, 0, 1).contiguous()


class Pictures(Dataset):
    """Batches of (uint8 pictures `[picture, channel, size, size]`, class indices `[picture]`, or `[picture, group]` of a table),
    fetched by lists of indices."""

    def __init__(self, pairs: Any, size: int, channels: int, cache_gib: float, title: str) -> None:
        self.pairs, self.size, self.channels = pairs, size, channels
        self.cached: tuple[Tensor, Tensor] | None = None
        if len(pairs) * channels * size**2 <= cache_gib * 2**30:
            indices = tqdm(range(len(pairs)), f"decoding {title} pictures", leave=False, disable=len(pairs) < 2000)
            self.cached = self._decode(indices)

    def __len__(self) -> int:
        return len(self.pairs)

    def _decode(self, indices: Any) -> tuple[Tensor, Tensor]:
        pictures, labels = zip(*(self.pairs[index] for index in indices), strict=True)
        return torch.stack([square(picture, self.size, self.channels) for picture in pictures]), torch.tensor(labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        pictures, labels = self.__getitems__([index])
        return pictures[0], labels[0]

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """What the loader calls for a whole batch at once."""
        if self.cached is None:
            return self._decode(indices)
        return self.cached[0][indices], self.cached[1][indices]

    def digest(self) -> str:
        """SHA-256 of the pictures in their order: of all where they are in memory, else of their number and 256 of them."""
        count = len(self)
        chosen = range(count) if self.cached is not None else torch.linspace(0, count - 1, min(256, count)).long().tolist()
        digest = hashlib.sha256(f"{count} {self.size} {self.channels}".encode())
        for index in chosen:
            digest.update(self.__getitems__([index])[0].numpy().tobytes())
        return digest.hexdigest()


def augment(pictures: Tensor, flip: bool, shift: int) -> Tensor:
    """Each picture mirrored with probability one half, and moved by up to `shift` pixels with its border reflected."""
    if flip:
        mirrored = torch.rand(len(pictures), device=pictures.device) < 0.5
        pictures = torch.where(mirrored[:, None, None, None], pictures.flip(-1), pictures)
    if shift:
        size = pictures.shape[-1]
        padded = functional.pad(pictures, (shift,) * 4, mode="reflect")
        offsets = torch.randint(0, 2 * shift + 1, (len(pictures), 2)).tolist()
        moved = [p[:, y : y + size, x : x + size] for p, (y, x) in zip(padded, offsets, strict=True)]
        pictures = torch.stack(moved)
    return pictures


class ImageData(LightningDataModule):
    """Batches of (pictures in [0, 1], class indices), and the features of the real pictures where a system asks for them.

    Args:
        name: which data set; `folder` reads `root/train/<class>/*` and `root/val/<class>/*`, or `root/<class>/*` with a
            fixed split by hash of the file name.
        root: where it lies; `digits` needs none.
        image_size: side of the square pictures.
        channels: 3 for RGB, 1 for grey.
        batch_size: pictures a step.
        workers: loader processes; 0 is best for a set cached in memory.
        flip: mirror training pictures at random; turn it off where left and right matter (digits, letters).
        shift: move training pictures by up to this many pixels.
        download: fetch the data set with torchvision where it is missing.
        cache_gib: a set whose decoded pictures fit in this many GiB is kept in memory, a larger one is streamed.
        validation_share: share held out of a folder without a split.
        split_seed: changes which pictures those are.
        table, labels, least: of the data set `table`, pictures with several labels each: its file of JSON lines in `root`, which
            columns are labels (group: column), and how many pictures a value must have to be a class.
        merge: of `table`: values that count as another (group: {class: [values]}).
    """

    def __init__(
        self,
        name: SourceName = "imagenette",
        root: Path = Path("data"),
        image_size: int = 64,
        channels: int = 3,
        batch_size: int = 48,
        workers: int = 0,
        flip: bool = True,
        shift: int = 0,
        download: bool = False,
        cache_gib: float = 2.0,
        validation_share: float = 0.1,
        split_seed: int = 0,
        table: str = "captions.jsonl",
        labels: dict[str, str] | None = None,
        least: int = 50,
        merge: dict[str, dict[str, list[str]]] | None = None,
    ) -> None:
        super().__init__()
        # All by name: under LightningCLI the argument-free form keeps only what a subclass declares. Plain types: a
        # checkpoint that holds a Path cannot be read with weights_only.
        self.save_hyperparameters(
            {
                "name": name, "root": str(root), "image_size": image_size, "channels": channels, "batch_size": batch_size,
                "workers": workers, "flip": flip, "shift": shift, "download": download, "cache_gib": cache_gib,
                "validation_share": validation_share, "split_seed": split_seed, "table": table, "labels": labels, "least": least,
                "merge": merge,
            }
        )  # fmt: skip
        self.class_names: tuple[str, ...] = ()
        self.train_pictures: Pictures | None = None
        self.validation_pictures: Pictures | None = None
        self.with_features: Dataset | None = None  # training.cached.PicturesWithFeatures where a system asks for it

    def setup(self, stage: str | None = None) -> None:
        if self.train_pictures is not None:
            return
        settings: Any = self.hparams
        source = self._open(settings.download)
        self.class_names = source.class_names
        shape = (settings.image_size, settings.channels, settings.cache_gib)
        mixed = torch.randperm(len(source.validation), generator=torch.Generator().manual_seed(0)).tolist()
        self.validation_pictures = Pictures(Subset(source.validation, mixed), *shape, "validation")
        self.train_pictures = Pictures(source.train, *shape, "training")

    def prepare_data(self) -> None:
        settings: Any = self.hparams
        if settings.download:
            self._open(True)

    def _open(self, download: bool) -> Source:
        chosen: Any = self.hparams
        where = (chosen.name, Path(chosen.root), download, chosen.split_seed, chosen.validation_share)
        return open_source(*where, chosen.table, chosen.labels, chosen.least, chosen.merge)

    def _loader(self, pictures: Any, shuffle: bool) -> DataLoader:
        settings: Any = self.hparams
        assert pictures is not None, "setup() comes first"
        return DataLoader(
            pictures,
            batch_size=min(settings.batch_size, len(pictures)),
            shuffle=shuffle,
            drop_last=shuffle,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            collate_fn=_as_fetched,
        )

    def train_dataloader(self) -> DataLoader:
        return self._loader(self.with_features or self.train_pictures, True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation_pictures, False)

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        pictures, labels, *features = batch
        pictures = pictures.float() / 255
        settings: Any = self.hparams
        if self.trainer is not None and self.trainer.training and not features:  # with features: mirrored when fetched
            pictures = augment(pictures, settings.flip, settings.shift)
        return pictures, labels, *features


def _as_fetched(batch: Any) -> Any:
    """What __getitems__ gives is a batch already."""
    return batch
