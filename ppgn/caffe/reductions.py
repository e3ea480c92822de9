"""Layers of sums over axes: Reduction, and MVN, which brings each map to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ppgn.caffe.settings import Settings, Shape, axis_of, picture

REDUCE = {
    "SUM": lambda rows: rows.sum(-1),
    "ASUM": lambda rows: rows.abs().sum(-1),
    "SUMSQ": lambda rows: rows.square().sum(-1),
    "MEAN": lambda rows: rows.mean(-1),
}


class Reduction(nn.Module):
    """coeff times the sum, the sum of absolutes or of squares, or the mean, over all axes from `axis` on."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.operation, self.factor = settings.get("operation", "SUM"), settings.get("coeff", 1.0)
        self.axis = axis_of(settings.get("axis", 0), len(shapes[0]))
        if self.operation not in REDUCE:
            raise ValueError(f"operation is {self.operation}, expected {', '.join(REDUCE)}: correct the prototxt")
        if self.axis == 0:
            raise ValueError("axis is 0, expected at least 1, as the output would mix the pictures of a batch: set it to 1")

    def forward(self, bottom: Tensor) -> Tensor:
        return self.factor * REDUCE[self.operation](bottom.flatten(self.axis))


class Mvn(nn.Module):
    """(x - mean) / (std + eps) of each map, or of each picture with `across_channels`; x - mean without normalize_variance."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        picture(shapes[0])
        self.axes = (1, 2, 3) if settings.get("across_channels", False) else (2, 3)
        self.normalise, self.eps = settings.get("normalize_variance", True), settings.get("eps", 1e-9)

    def forward(self, bottom: Tensor) -> Tensor:
        centred = bottom - bottom.mean(self.axes, keepdim=True)
        if not self.normalise:
            return centred
        variance = centred.square().mean(self.axes, keepdim=True)
        varies = variance > 0
        deviation = torch.where(varies, torch.where(varies, variance, 1).sqrt(), 0)  # at 0 the gradient of the root is infinite
        return centred / (deviation + self.eps)
