"""What a training says where no terminal shows its bar: a line a minute; and without the warnings about what is in order."""

from __future__ import annotations

import math
import sys
import time
import warnings
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

EVERY = 60.0
"""Seconds between two lines."""
IN_ORDER = {
    r"`isinstance\(treespec, LeafSpec\)`": "Lightning's own use of torch",
    r"The number of training batches .* is smaller than the logging interval": "a small data set; validation logs each epoch",
    r"Found \d+ module\(s\) in eval mode": "the frozen encoder and the averaged weights stay so",
    r"Checkpoint directory .* exists and is not empty": "a run that is resumed",
    r"The dirpath has changed from": "a run folder that was moved",
    r"The '\w+_dataloader' does not have many workers": "cached pictures need none",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint": "checkpoints of other callbacks",
    r"Trying to infer the `batch_size`": "the first tensor of a batch is the pictures",
}
"""Beginning of a warning -> why nobody needs to act on it."""


def silence_what_is_in_order() -> None:
    """Leaves IN_ORDER out of the warnings of this process."""
    for message in IN_ORDER:
        warnings.filterwarnings("ignore", message=message)


class LinesOfProgress(Callback):
    """Prints update, losses and time left to stderr, after the first update and then every EVERY seconds."""

    def __init__(self) -> None:
        self.begun = self.said_at = -math.inf
        self.at_start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.begun, self.at_start = time.monotonic(), _done(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        now = time.monotonic()
        if now - self.said_at < EVERY or not trainer.is_global_zero:
            return
        self.said_at = now
        losses = ", ".join(f"{name} {float(value):.3g}" for name, value in trainer.callback_metrics.items())
        print(
            f"update {trainer.fit_loop.epoch_loop.total_batch_idx + 1:,}  {losses}{self._left(trainer)}",
            file=sys.stderr,
            flush=True,
        )

    def _left(self, trainer: Trainer) -> str:
        done = _done(trainer)
        if done <= self.at_start:
            return ""
        seconds = (time.monotonic() - self.begun) * (1 - done) / (done - self.at_start)
        return f"  {done:.0%} done, {duration(seconds)} left"


def _updates(trainer: Trainer) -> int:
    return trainer.fit_loop.epoch_loop.total_batch_idx + 1


def _done(trainer: Trainer) -> float:
    automatic = trainer.lightning_module.automatic_optimization
    return share_done(trainer, _updates(trainer), 1 if automatic else len(trainer.optimizers))


def share_done(trainer: Trainer, updates: int, steps: int = 1) -> float:
    """The share of a training that is over: by `trainer.max_time` where it is set, else by epochs or steps; 0 without a limit.

    steps: of optimisers in an update, each of which Lightning counts.
    """
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Timer) and (left := callback.time_remaining()) is not None:
            spent = callback.time_elapsed()
            return spent / max(spent + left, 1e-9)
    limits = [trainer.max_steps / steps] if trainer.max_steps > 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        limits.append(trainer.max_epochs * trainer.num_training_batches)
    return min(1.0, updates / max(1, min(limits))) if limits else 0.0


def duration(seconds: float) -> str:
    """About so long, in words."""
    seconds = max(0.0, seconds)
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
