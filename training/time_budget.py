"""A training that ends when its time is spent: the learning rate follows the clock, and the clock survives a kill."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer

RECORDS = 150
"""Points of a stage's curves, at most."""
WARM_UP = 0.03
"""Share of the time in which the rate rises."""
LEAST_RATE = 0.02
"""Share of the highest rate at the end."""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long a stage trains, and how its rate falls.

    seconds: of training, over all starts of the run. most_updates: end earlier after so many; None: time alone decides. rate: the
    highest learning rate. hold: share of the training at which it begins to fall, along a cosine.
    """

    seconds: float
    rate: float
    hold: float = 0.3
    most_updates: int | None = None

    def progress(self, spent: float, updates: int) -> float:
        """From 0 to 1, where the training ends."""
        made = updates / self.most_updates if self.most_updates else 0.0
        return min(1.0, max(spent / max(self.seconds, 1e-9), made))

    def rate_at(self, progress: float) -> float:
        """The learning rate at a share of the training."""
        falling = max(0.0, (progress - self.hold) / (1 - self.hold))
        fallen = 0.5 + 0.5 * math.cos(math.pi * falling)
        return self.rate * min(1.0, (progress + 1e-3) / WARM_UP) * max(LEAST_RATE, fallen)


class TimeBudget(Callback):
    """Ends a training with its time and lets the rate fall with it; goes on from a checkpoint with the time spent so far.

    Progress is time spent / time given. A number of updates computed from the speed of the first ones would be wrong as soon as
    the machine has other work. tell: called as tell(budget, metrics) after every batch.
    """

    sets_rates = True

    def __init__(self, pace: Pace, tell: Callable[[TimeBudget, Mapping[str, Any]], None] | None = None) -> None:
        self.pace, self.tell = pace, tell
        self.before, self.begun = 0.0, time.monotonic()  # made when the stage begins: reading pictures counts, too
        self.updates = 0
        self.history: list[dict[str, float]] = []

    @property
    def spent(self) -> float:
        """Seconds of this stage, those before the last checkpoint of an earlier start included."""
        return self.before + time.monotonic() - self.begun

    @property
    def progress(self) -> float:
        return self.pace.progress(self.spent, self.updates)

    @property
    def left(self) -> float:
        """Seconds that the stage still takes, where updates end it sooner by their speed."""
        return self.spent * (1 / max(self.progress, 1e-3) - 1) if self.updates else max(0.0, self.pace.seconds - self.spent)

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self.spent, "updates": self.updates, "history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.before, self.updates = state_dict["spent"], state_dict["updates"]
        self.history = list(state_dict["history"])

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        set_rate(trainer, pl_module, self.pace.rate_at(self.progress))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.updates += 1
        if not self.history or self.spent - self.history[-1]["seconds"] >= self.pace.seconds / RECORDS:
            self.record(trainer.callback_metrics)
        if self.tell:
            self.tell(self, trainer.callback_metrics)
        if self.progress >= 1:
            trainer.should_stop = True

    def record(self, metrics: Mapping[str, Any]) -> None:
        """Add a point to the curves."""
        losses = {name: float(value) for name, value in metrics.items()}
        self.history.append({"seconds": self.spent, "updates": float(self.updates), **losses})


def set_rate(trainer: Trainer, system: Any, rate: float) -> None:
    """The learning rate of the next update: of all optimizers, or of the settings from which a system takes it itself."""
    if not system.automatic_optimization:
        system.optimisation = dataclasses.replace(system.optimisation, learning_rate=rate)
        return
    for optimizer in trainer.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
