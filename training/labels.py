"""Losses and scores of logits whose classes fall into groups with one softmax each: "type:Handbags", "colour:Red"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Groups: TypeAlias = Mapping[str, tuple[int, int]]
"""Group -> (first, last + 1) of its classes."""
UNLABELLED = -1
"""The label of a picture in a group of classes that says nothing about it."""


def cross_entropy(logits: Tensor, labels: Tensor, groups: Groups, label_smoothing: float = 0.0) -> Tensor:
    """The mean cross-entropy over pictures, summed over groups; a picture counts nothing where it is UNLABELLED.

    logits `[picture, class]`; labels `[picture]`, or `[picture, group]`; groups as `ppgn.conditions.class_groups` finds them.
    """
    columns = labels.reshape(len(labels), -1).unbind(1)
    settings: dict[str, Any] = {"label_smoothing": label_smoothing, "ignore_index": UNLABELLED, "reduction": "sum"}
    losses = [
        functional.cross_entropy(logits[:, first:last], _within(column, first), **settings) / len(labels)
        for column, (first, last) in zip(columns, groups.values(), strict=True)
    ]
    return torch.stack(losses).sum()


def accuracies(logits: Tensor, labels: Tensor, groups: Groups) -> dict[str, Tensor]:
    """Group -> share of labelled pictures whose likeliest class of the group is the labelled one; groups without any are left
    out. Arguments as `cross_entropy`."""
    columns = labels.reshape(len(labels), -1).unbind(1)
    return {
        group: (logits[:, first:last].argmax(1) + first == column)[column != UNLABELLED].float().mean()
        for column, (group, (first, last)) in zip(columns, groups.items(), strict=True)
        if bool((column != UNLABELLED).any())
    }


def _within(column: Tensor, first: int) -> Tensor:
    """Class indices counted from the group's first one; UNLABELLED stays."""
    return torch.where(column == UNLABELLED, UNLABELLED, column - first)
