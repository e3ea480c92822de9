"""The generator's losses, in the published scaling and in ours; each is one number for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Distance = Literal["l1_mean", "half_square_sum", "unit_channel_square"]


@dataclass(frozen=True)
class LossWeights:
    """Weights of the generator's losses and the distance each uses.

    Published (Dosovitskiy & Brox 2016; Caffe's EuclideanLoss is "half_square_sum" on pixels of 255): image 2e-6 * 255^2,
    feature 0.01, adversarial 100 with "cross_entropy". Tuned: 1, 1, 0.1 with "hinge".
    """

    image: float = 1.0
    image_distance: Distance = "l1_mean"
    feature: float = 1.0
    feature_distance: Distance = "unit_channel_square"
    code: float = 0.0
    adversarial: float = 0.1
    adversarial_loss: Literal["hinge", "cross_entropy"] = "hinge"


def distance(kind: Distance, made: Tensor, real: Tensor) -> Tensor:
    """Distance of two batches `[picture, channel, ...]`.

    l1_mean: mean |a - b|. half_square_sum: sum (a - b)^2 / (2 N) over N pictures, Caffe's EuclideanLoss.
    unit_channel_square: sum over channels of (a/|a| - b/|b|)^2, |.| along channels, mean over pictures and places.
    """
    if kind == "l1_mean":
        return (made - real).abs().mean()
    if kind == "half_square_sum":
        return (made - real).square().sum() / (2 * len(made))
    return (unit_channels(made) - unit_channels(real)).square().sum(1).mean()


def unit_channels(feature_map: Tensor) -> Tensor:
    """The map scaled to length one along its channels at every place."""
    return functional.normalize(feature_map.float(), dim=1, eps=1e-6)


def discriminator_loss(kind: str, on_real: Tensor, on_made: Tensor) -> Tensor:
    """Hinge (Lim & Ye 2017), or the cross-entropy of "this is real" (Goodfellow 2014), of scores of any shape."""
    if kind == "hinge":
        return torch.relu(1 - on_real).mean() + torch.relu(1 + on_made).mean()
    return functional.softplus(-on_real).mean() + functional.softplus(on_made).mean()


def adversarial_loss(kind: str, on_made: Tensor) -> Tensor:
    """What the generator lowers: -score (hinge), or -log of the probability of "real"."""
    return -on_made.mean() if kind == "hinge" else functional.softplus(-on_made).mean()
