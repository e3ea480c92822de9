"""The LightningCLI behind scripts/train_*.py: a run folder, TensorBoard, and a checkpoint every few minutes to resume from."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger

from ppgn.errors import one_line
from ppgn.images import alone_in, make_folder, temporary_beside, write_atomically
from training.checkpoints import read_checkpoint
from training.data import ImageData
from training.progress import LinesOfProgress, silence_what_is_in_order
from training.resumable import UndisturbedTraining
from training.scripts import check_configs, one_sentence

CHECKPOINT_MINUTES = 3.0
"""Default minutes between two checkpoints."""
FOUND_BY_LIGHTNING = ("last", "best", "hpc")
"""What stands for a checkpoint that Lightning looks for itself."""


class LastCheckpoint(ModelCheckpoint):
    """`last.ckpt` every few minutes and once more when training ends, written to a temporary name and then moved.

    Lightning 2.6 ignores its own time interval under manual optimisation, which the generator needs. This stays a
    ModelCheckpoint because `--ckpt_path last` looks for one.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        super().__init__(folder, save_last=True, save_top_k=0)
        self.seconds, self.saved_at = 60 * minutes, time.monotonic()

    def save(self, trainer: Trainer) -> None:
        path = Path(str(self.dirpath)) / "last.ckpt"
        place = trainer.strategy.broadcast(temporary_beside(path))
        try:
            trainer.save_checkpoint(place, weights_only=False)  # optimisers too, to resume from
            trainer.strategy.barrier("checkpoint")
            if trainer.is_global_zero:
                os.replace(place, path)
        except (OSError, RuntimeError) as fault:  # torch's writer raises RuntimeError on a full disk
            place.unlink(missing_ok=True)
            raise ValueError(f"cannot write {path}: {one_line(fault)}; free some space, then resume from the last one") from fault
        self.saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        due = time.monotonic() - self.saved_at >= self.seconds
        if trainer.strategy.broadcast(due):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing: time decides, not epochs."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Does nothing: time decides, not validation."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.save(trainer)


class SaveConfig(SaveConfigCallback):
    """`config.yaml` in the log folder, written in one move: a full disk leaves that of the run's start."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = trainer.log_dir  # on all processes, as they agree on it
        if folder is not None and trainer.is_global_zero and not self.already_saved:
            text = self.parser.dump(self.config, skip_none=False)
            place = make_folder(folder) / self.config_filename
            write_atomically(place, lambda path: path.write_text(text, encoding="utf-8"))
        self.already_saved = True


class TrainingCLI(LightningCLI):
    """Puts logs and checkpoints of a run under `trainer.default_root_dir`, where `--ckpt_path last` finds them."""

    def add_arguments_to_parser(self, parser: Any) -> None:
        parser.add_argument(
            "--checkpoint_minutes", type=float, default=CHECKPOINT_MINUTES, help="minutes between two checkpoints"
        )
        parser.set_defaults({"trainer.default_root_dir": "runs/default", "seed_everything": 0})

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Looks at the checkpoint to resume from before anything else does."""
        super().parse_arguments(parser, args)
        given = self.config.get(str(self.config.get("subcommand"))) or {}
        if given.get("ckpt_path") and given["ckpt_path"] not in FOUND_BY_LIGHTNING:
            read_checkpoint(Path(given["ckpt_path"]))

    def before_validate(self) -> None:
        """Reads checkpoints as tensors and plain types only, so that resuming never unpickles code."""
        self.config_init[str(self.subcommand)]["weights_only"] = True

    before_test = before_validate

    def before_fit(self) -> None:
        """Keeps the run folder for this training. Raises ValueError where another one is in it."""
        self.before_validate()
        self.kept = ExitStack()
        if self.trainer.is_global_zero:
            self.kept.enter_context(alone_in(Path(self.trainer.default_root_dir)))

    def after_fit(self) -> None:
        self.kept.close()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        root = make_folder(self._get(self.config_init, "trainer.default_root_dir"))
        minutes = self._get(self.config_init, "checkpoint_minutes")
        if self._get(self.config_init, "trainer.logger") is None:
            kwargs["logger"] = TensorBoardLogger(root, name="", version="")
        if self._get(self.config_init, "trainer.strategy") == "auto" and self._several_devices():
            kwargs["strategy"] = "ddp_find_unused_parameters_true"  # each adversary's turn leaves the other's weights alone
        callbacks = [*(self._get(self.config_init, "trainer.callbacks") or [])]
        if self._get(self.config_init, "trainer.enable_progress_bar") is None and not sys.stderr.isatty():
            kwargs["enable_progress_bar"] = False
            callbacks.append(LinesOfProgress())
        kwargs["callbacks"] = [*callbacks, UndisturbedTraining(), LastCheckpoint(make_folder(root / "checkpoints"), minutes)]
        return super().instantiate_trainer(**kwargs)

    def _several_devices(self) -> bool:
        devices = str(self._get(self.config_init, "trainer.devices"))
        return torch.cuda.device_count() > 1 if devices in ("auto", "-1") else devices not in ("1", "[0]")


def train(system: type[LightningModule], data: type[LightningDataModule] = ImageData) -> None:
    """Run `fit`, `validate` or `test` from the command line; a user's mistake ends in one sentence and exit status 2."""
    silence_what_is_in_order()
    with one_sentence():
        check_configs(sys.argv[1:])
        TrainingCLI(system, data, save_config_callback=SaveConfig)
