"""What an evolved picture predicts: do real pictures nearer to it evoke more (Ponce et al. 2019)?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.types import Image

SHOWN = 5
"""Pictures of the figure that are nearest, in the middle, and farthest."""
DRAWS, COVERED = 1000, 0.95
"""Resamplings of the pictures, and the share of them that the interval covers."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """distance: `[picture]` of real pictures to the evolved one, from 0 to 2. correlation: Spearman's, of nearness and
    response; low, high: the percentile interval of `DRAWS` bootstrap draws of the pictures."""

    distance: Tensor
    correlation: float
    low: float
    high: float


def predicted(evolved: Tensor, real: Tensor, responses: Tensor, seed: int = 0) -> Prediction:
    """Distances in a space, codes or features of a network, and how they rank responses.

    distance = 1 - cos(real - mean, evolved - mean), mean over the real pictures: an evolved picture lies far out, where Euclidean
    distances say more about the lengths of the real ones than about their directions. evolved `[*space]`, real
    `[picture, *space]`, responses `[picture]`; NaN is no response. Raises ValueError for fewer than three responses.
    """
    flat = real.flatten(1).double()
    mean = flat.mean(0)
    distance = 1 - torch.cosine_similarity(flat - mean, (evolved.flatten().double() - mean)[None])
    there = ~responses.isnan()
    if int(there.sum()) < 3:
        raise ValueError(f"got {int(there.sum())} responses, expected at least 3 to rank: show more real pictures")
    near, told = (-distance[there]).numpy(), responses[there].double().numpy()
    random = np.random.default_rng(seed)
    drawn = [spearman(near[rows], told[rows]) for rows in random.integers(0, len(near), (DRAWS, len(near)))]
    known = [one for one in drawn if one == one]
    low, high = np.quantile(known, [(1 - COVERED) / 2, (1 + COVERED) / 2]) if known else (np.nan, np.nan)
    return Prediction(distance, spearman(near, told), float(low), float(high))


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of ranks, equal values sharing their mean rank; NaN where either has a single value."""
    first, second = (_ranks(values) for values in (one, other))
    spread = first.std() * second.std()
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread) if spread > 0 else float("nan")


def prediction_figure(evolved: Image, real: Image, responses: Tensor, spaces: Mapping[str, Prediction]) -> Pillow.Image:
    """A row for each space: the evolved picture `[channel, height, width]`, then the real pictures `[picture, channel, height,
    width]` nearest to it, in the middle and farthest, with their responses."""
    tiles, labels = [], []
    for name, found in spaces.items():
        order = found.distance.argsort()
        shown = max(1, min(SHOWN, len(order) // 3))
        middle = (len(order) - shown) // 2
        tiles.append(evolved)
        labels.append(f"{name}\nrank correlation {found.correlation:.2f}\n({found.low:.2f} to {found.high:.2f})")
        chosen = {"near": order[:shown], "middle": order[middle : middle + shown], "far": order[-shown:]}
        for word, places in chosen.items():
            tiles += [real[place] for place in places.tolist()]
            labels += [f"{word}\n{float(responses[place]):.3g}" for place in places.tolist()]
    return images.grid(torch.stack(tiles), labels, columns=1 + 3 * max(1, min(SHOWN, len(real) // 3)))


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2 - 1)[inverse]
