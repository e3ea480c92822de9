"""A second loss of the encoder's head: the code shall keep what a picture looks like, not only what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from training.labels import Groups, cross_entropy

LEAST_DEVIATION = 0.05
"""Least standard deviation by which a unit of pool5 is divided."""


class Pool5Keeper(nn.Module):
    """mean (W code + b - (pool5 - mean) / std)^2: what a linear map from the code leaves of pool5's variance.

    Cross-entropy alone throws away all that no class needs; a generator then lacks it. 1 is the error of a code that says
    nothing, 0 that of one from which pool5 can be read. mean and std are those of each unit of pool5 over pictures (`fit`).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, code_size: int, units: int) -> None:
        super().__init__()
        self.back = nn.Linear(code_size, units)
        self.register_buffer("mean", torch.zeros(units))
        self.register_buffer("std", torch.ones(units))

    @torch.no_grad()
    def fit(self, pool5: Tensor) -> Pool5Keeper:
        """Take mean and standard deviation from pool5 of pictures `[picture, ...]`; returns itself."""
        flat = pool5.flatten(1).float()
        self.mean.copy_(flat.mean(0))
        self.std.copy_(flat.std(0).clamp_min(LEAST_DEVIATION))
        return self

    def forward(self, code: Tensor, pool5: Tensor) -> Tensor:
        """The error of codes `[picture, code]` and pool5 `[picture, ...]`, one number."""
        wanted = (pool5.flatten(1).float() - self.mean) / self.std
        return (self.back(code).float() - wanted).square().mean()


def head_losses(
    encoder: Any, pool5: Tensor, labels: Tensor, groups: Groups, keeper: Pool5Keeper | None, smoothing: float = 0.0
) -> dict[str, Tensor]:
    """The losses of a head: "classes" (softmax within a group) and, with a keeper, "pool5_lost". encoder: an Fc6Encoder."""
    code = encoder.code_from_pool5(pool5)
    losses = {"classes": cross_entropy(encoder.logits_from_code(code).float(), labels, groups, smoothing)}
    return losses if keeper is None else losses | {"pool5_lost": keeper(code, pool5)}


def train_head(
    encoder: Any,
    keeper: Pool5Keeper,
    variants: Sequence[Tensor],
    labels: Tensor,
    groups: Groups,
    precision: Callable[[], AbstractContextManager[Any]],
    epochs: float = 12,
    batch: int = 256,
    learning_rate: float = 1e-3,
    keep_pool5: float = 0.5,
) -> dict[str, float]:
    """Train fc6 to fc8 on kept pool5, all of it in memory; returns the last losses.

    variants: pool5 `[picture, channel, height, width]` of the pictures, of their mirrors, ..., one of which is drawn. AdamW with
    weight decay 0.05 and a one-cycle rate, as EncoderSystem has them.
    """
    keeper.fit(variants[0])
    weights = [*(one for one in encoder.parameters() if one.requires_grad), *keeper.parameters()]
    optimizer = torch.optim.AdamW(weights, learning_rate, weight_decay=0.05)
    steps = max(2, round(epochs * len(labels) / batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    encoder.train()
    encoder.trunk.eval()
    losses: dict[str, Tensor] = {}
    for _ in range(steps):
        chosen = torch.randint(len(labels), (batch,), device=labels.device)
        drawn = torch.randint(len(variants), (batch, 1, 1, 1), device=labels.device)
        pool5 = variants[0][chosen]
        for number, variant in enumerate(variants[1:], 1):
            pool5 = torch.where(drawn == number, variant[chosen], pool5)
        with precision():
            losses = head_losses(encoder, pool5.float(), labels[chosen], groups, keeper)
        optimizer.zero_grad()
        (losses["classes"] + keep_pool5 * losses["pool5_lost"]).backward()
        optimizer.step()
        schedule.step()
    encoder.eval()
    return {name: float(value.detach()) for name, value in losses.items()}
