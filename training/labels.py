"""Losses and scores of logits whose classes fall into groups with one softmax each: "type:Handbags", "colour:Red"."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.conditions import class_groups


def cross_entropy(logits: Tensor, labels: Tensor, class_names: Sequence[str], label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy, summed over groups. logits `[picture, class]`; labels `[picture]`, or `[picture, group]`."""
    columns = labels.reshape(len(labels), -1).unbind(1)
    losses = [
        functional.cross_entropy(logits[:, first:last], column - first, label_smoothing=label_smoothing)
        for column, (first, last) in zip(columns, class_groups(class_names).values(), strict=True)
    ]
    return torch.stack(losses).sum()


def accuracies(logits: Tensor, labels: Tensor, class_names: Sequence[str]) -> dict[str, Tensor]:
    """Group -> share of pictures whose likeliest class of the group is the labelled one; arguments as `cross_entropy`."""
    columns = labels.reshape(len(labels), -1).unbind(1)
    return {
        group: (logits[:, first:last].argmax(1) + first == column).float().mean()
        for column, (group, (first, last)) in zip(columns, class_groups(class_names).items(), strict=True)
    }
