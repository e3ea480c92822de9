"""One LightningDataModule over every source: pictures of one size, cached in memory as uint8 when small, else streamed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from ppgn.conditions import class_groups
from ppgn.images import Size, height_and_width
from training.pictures import Pictures, augment, source_numbers
from training.resumable import plain_loader, shuffled_loader
from training.side_by_side import Draws, SourceOptions, draw_weights, side_by_side
from training.sources import Source, open_source

SourceName = Literal["folder", "packs", "table", "imagenette", "cifar10", "mnist", "fashion_mnist", "digits"]


class ImageData(LightningDataModule):
    """Batches of (pictures in [0, 1], class indices), with the pictures' features where a system keeps them.

    Args:
        name: the data set; `folder` reads `root/train/<class>/*` and `root/val/<class>/*` (or valid, validation, dev, eval,
            test, in any case), or `root/<class>/*` with a fixed split by hash of the file name; `packs` reads what
            scripts/pack_pictures.py wrote.
        root: its folder; `digits` needs none.
        image_size: height and width of the pictures, `[48, 80]`, or the side of a square, `64`. Pictures of another shape are
            scaled to cover it and their centre is kept.
        channels: 3 for RGB, 1 for grey.
        batch_size: pictures per step.
        workers: loader processes; 0 is best for a set cached in memory.
        flip: mirror training pictures at random; turn it off where left and right matter (digits, letters).
        shift: largest distance in pixels by which training pictures are moved at random.
        download: fetch the data set with torchvision where it is missing.
        cache_gib: a set whose decoded pictures fit in this many GiB is kept in memory, a larger one is streamed.
        validation_share: share held out of a folder without a split.
        split_seed: chooses the held-out pictures.
        table: of the data set `table`, pictures with several labels each: its file of JSON lines in `root`.
        labels: of `table`: the columns that are labels (group: column).
        least: of `table`: pictures that a value must have to be a class.
        merge: of `table`: values that count as another one (group: {class: [values]}).
        sources: several sources instead of `name` and `root`, each with the group of its classes, which are then called
            "group:name"; equal names in a group are one class.
        draws: what is drawn equally often in training: each picture, each source, or each class.
        margin: training pictures are kept so many times larger, and cut out at a random place at every draw.
    """

    def __init__(
        self,
        name: SourceName = "imagenette",
        root: Path = Path("data"),
        image_size: Size = 64,
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
        sources: list[SourceOptions] | None = None,
        draws: Draws = "pictures",
        margin: float = 1.0,
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(f"data.channels is {channels}, expected 3 for RGB or 1 for grey: choose one of them")
        image_size = image_size if isinstance(image_size, int) else height_and_width(image_size)  # a list, where JSON held it
        # All are given by name because, under LightningCLI, the argument-free form keeps only what a subclass declares. They are
        # plain types because a checkpoint that holds a Path cannot be read with weights_only.
        self.save_hyperparameters(
            {
                "name": name, "root": str(root), "image_size": image_size, "channels": channels, "batch_size": batch_size,
                "workers": workers, "flip": flip, "shift": shift, "download": download, "cache_gib": cache_gib,
                "validation_share": validation_share, "split_seed": split_seed, "table": table, "labels": labels, "least": least,
                "merge": merge, "draws": draws, "margin": margin,
                "sources": None if sources is None else [_plain(options) for options in sources],
            }
        )  # fmt: skip
        self.class_names: tuple[str, ...] = ()
        self.groups: tuple[str, ...] = ()
        self.train_pictures: Pictures | None = None
        self.validation_pictures: Pictures | None = None
        self.with_features: Dataset | None = None  # PicturesWithFeatures where a system keeps features

    @property
    def class_groups(self) -> dict[str, tuple[int, int]]:
        """Group -> (first, last + 1) of its classes."""
        return class_groups(self.class_names, self.groups)

    @property
    def picture_size(self) -> tuple[int, int]:
        """(height, width) of the pictures."""
        return height_and_width(self.hparams["image_size"])

    def setup(self, stage: str | None = None) -> None:
        if self.train_pictures is not None:
            return
        settings: Any = self.hparams
        source = self._open(settings.download)
        self.class_names, self.groups = source.class_names, source.groups
        shape = (self.picture_size, settings.channels, settings.cache_gib)
        mixed = torch.randperm(len(source.validation), generator=torch.Generator().manual_seed(0)).tolist()
        self.validation_pictures = Pictures(Subset(source.validation, mixed), *shape, "validation")
        self.train_pictures = Pictures(source.train, *shape, "training", settings.margin)

    def prepare_data(self) -> None:
        settings: Any = self.hparams
        if settings.download:
            self._open(True)

    def _open(self, download: bool) -> Source:
        chosen: Any = self.hparams
        split = (download, chosen.split_seed, chosen.validation_share)
        if chosen.sources is not None:
            several = [SourceOptions(Path(one["root"]), one["group"], one["name"]) for one in chosen.sources]
            return side_by_side(several, lambda one: open_source(one.name, one.root, *split))
        where = (chosen.name, Path(chosen.root), *split)
        return open_source(*where, chosen.table, chosen.labels, chosen.least, chosen.merge)

    def _loader(self, pictures: Any, shuffle: bool) -> DataLoader:
        settings: Any = self.hparams
        assert pictures is not None, "setup() comes first"
        reading = {
            "num_workers": settings.workers, "persistent_workers": settings.workers > 0, "collate_fn": _as_fetched,
        }  # fmt: skip
        if shuffle:
            return shuffled_loader(pictures, settings.batch_size, self._weights(), **reading)
        return plain_loader(pictures, settings.batch_size, **reading)

    def _weights(self) -> Tensor | None:
        """How often each training picture is drawn, an epoch as many as there are; None: each once."""
        draws: Any = self.hparams["draws"]
        if draws == "pictures":
            return None
        assert self.train_pictures is not None
        if self.train_pictures.cached is None:
            raise ValueError(f"data.draws {draws} needs the labels in memory, got a streamed set: raise data.cache_gib")
        return draw_weights(draws, self.train_pictures.cached[1], source_numbers(self.train_pictures.pairs))

    def train_dataloader(self) -> DataLoader:
        assert self.train_pictures is not None, "setup() comes first"
        plain = self.train_pictures if self.hparams["margin"] == 1 else self.train_pictures.random_crops()
        return self._loader(self.with_features or plain, True)

    def val_dataloader(self) -> DataLoader:
        return self._loader(self.validation_pictures, False)

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        pictures, labels, *features = batch
        pictures = pictures.float() / 255
        settings: Any = self.hparams
        if self.trainer is not None and self.trainer.training and not features:  # else mirrored already
            pictures = augment(pictures, settings.flip, settings.shift)
        return pictures, labels, *features


def _plain(options: Any) -> dict[str, str]:
    """One of several sources, as a checkpoint holds it and as it comes back from there."""
    given = options if isinstance(options, dict) else dataclasses.asdict(options)
    return {"name": "folder", **{key: str(value) for key, value in given.items()}}


def _as_fetched(batch: Any) -> Any:
    """The batch as it is: `__getitems__` has collated it."""
    return batch
