"""The learning rate that most trainings use."""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule
from torch import nn


def unfrozen(system: LightningModule) -> list[nn.Parameter]:
    """The weights of a system that are trained."""
    return [weights for weights in system.parameters() if weights.requires_grad]


class OneCycle(torch.optim.lr_scheduler.OneCycleLR):
    """OneCycleLR that takes the place of a checkpoint's in a training of another length."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        mine = {name: getattr(self, name) for name in ("total_steps", "_schedule_phases")}
        super().load_state_dict({**state_dict, **mine})


def one_cycle(system: LightningModule, optimizer: torch.optim.Optimizer, learning_rate: float) -> Any:
    """An optimizer whose rate rises to `learning_rate` and falls again over the whole training, as Lightning takes it.

    Where a callback of the trainer sets the rates (`TimeBudget`), whose training has no known number of steps: the optimizer.
    """
    if any(getattr(callback, "sets_rates", False) for callback in system.trainer.callbacks):  # type: ignore[attr-defined]
        return optimizer
    steps = int(system.trainer.estimated_stepping_batches)
    schedule = OneCycle(optimizer, learning_rate, total_steps=steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
