"""One stage of a run: trained until its time is spent, or on from its checkpoint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything

from training.commands import LastCheckpoint
from training.export import CHECKPOINT
from training.resumable import UndisturbedTraining
from training.stages import Stage
from training.time_budget import Pace, TimeBudget

VALIDATIONS = 8
"""Validations of a stage."""
QUIET: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}

Tell = Callable[[str, TimeBudget, Mapping[str, Any]], None]
Look = Callable[[str, LightningModule], None]


class Watched(Callback):
    """Calls look(stage, system) after each validation."""

    def __init__(self, stage: str, look: Look) -> None:
        self.stage, self.look = stage, look

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit":
            self.look(self.stage, pl_module)


def train_stage(stage: Stage, run: Path, seconds: float, minutes: float, seed: int, tell: Tell, look: Look) -> dict[str, Any]:
    """Trains a stage and returns what it found: "seconds" spent, "updates", "history" of the curves, and "scores".

    seconds: for the stage, over all its starts. minutes: between two checkpoints. tell: called after every update. look: after
    every validation.
    """
    pace = Pace(seconds, stage.rate, stage.hold, stage.most_updates)
    budget = TimeBudget(pace, lambda budget, metrics: tell(stage.name, budget, metrics))
    folder, checkpoint = run / stage.name, run / stage.name / CHECKPOINT
    with quietly():
        seed_everything(seed, verbose=False)
        data, system = stage.data(), stage.system()
        trainer = Trainer(
            default_root_dir=folder, devices=1, max_epochs=-1, max_steps=-1, precision=precision(),
            val_check_interval=timedelta(seconds=max(5.0, seconds / VALIDATIONS)), check_val_every_n_epoch=None,
            limit_val_batches=stage.validation_batches, num_sanity_val_steps=0,
            callbacks=[
                budget, Watched(stage.name, look), UndisturbedTraining(),
                LastCheckpoint(folder / "checkpoints", min(minutes, seconds / 240)),
            ],
            **QUIET,
        )  # fmt: skip
        before = str(checkpoint) if checkpoint.is_file() else None
        trainer.fit(system, datamodule=data, ckpt_path=before, weights_only=True)
        trainer.validate(system, datamodule=data, verbose=False)
    budget.record(trainer.callback_metrics)
    return {
        "seconds": round(budget.spent, 1),
        "updates": budget.updates,
        "history": [{name: _short(value) for name, value in point.items()} for point in budget.history],
        "scores": {name: _short(float(value)) for name, value in trainer.callback_metrics.items()},
    }


def precision() -> Any:
    """bfloat16 where an accelerator has it. On a processor without units of its own for it, float32 made an update of the
    generator on EfficientNet-Lite0 in a third of the time."""
    return "bf16-mixed" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "32-true"


def _short(value: float) -> float:
    return float(f"{value:.5g}")


@contextmanager
def quietly() -> Iterator[None]:
    """Without Lightning's remarks about devices and loaders, which say nothing about this run."""
    logger = logging.getLogger("lightning.pytorch")
    level, found = logger.level, logging.getLogger("lightning.fabric")
    fabric = found.level
    logger.setLevel(logging.ERROR)
    found.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        logger.setLevel(level)
        found.setLevel(fabric)
