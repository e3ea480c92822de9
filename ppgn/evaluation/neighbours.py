"""Scores from nearest neighbours in a judge's features: fidelity apart from variety, and copies of training pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROWS = 256
"""Pictures whose distances are computed at once, so that the table of all distances is never in memory."""


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean distances `[one, other]`, computed from differences, so that the distance of a copy is exactly 0."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


def manifold(real: Tensor, generated: Tensor, nearest: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of two sets of features `[picture, feature]`.

    B(x) is the ball around x whose radius is the distance to the `nearest`-th neighbour of x in its set. precision: the fraction
    of generated pictures inside the ball of any real one. recall: the fraction of real pictures inside the ball of any generated
    one (Kynkaanniemi et al. 2019). density: the mean number of real balls around a generated picture, over `nearest`; it can
    exceed 1. coverage: the fraction of real balls that hold a generated picture (Naeem et al. 2020, Eq. 3 to 7). Raises
    ValueError unless both sets have more than `nearest` pictures.
    """
    if min(len(real), len(generated)) <= nearest:
        raise ValueError(
            f"precision and recall got {len(real)} real and {len(generated)} generated pictures, expected more than {nearest} of "
            f"each, the number of neighbours: add pictures"
        )
    real_radius, generated_radius = (distances(both, both).kthvalue(nearest + 1, 1).values for both in (real, generated))
    between = distances(real, generated)
    inside = between < real_radius[:, None]
    return {
        "precision": float(inside.any(0).float().mean()),
        "recall": float((between < generated_radius).any(1).float().mean()),
        "density": float(inside.sum(0).float().mean() / nearest),
        "coverage": float(inside.any(1).float().mean()),
    }


@dataclass(frozen=True, eq=False)
class Copies:
    """The nearest training picture of each picture, all `[picture]`.

    index: of that training picture. distance: to it. ratio: this distance over the distance of the training picture to its
    nearest other training picture.
    """

    index: Tensor
    distance: Tensor
    ratio: Tensor

    def summary(self) -> dict[str, Any]:
        """below_one, the fraction of pictures whose ratio is below 1; least_ratio and median_ratio."""
        return {
            "below_one": float((self.ratio < 1).float().mean()),
            "least_ratio": float(self.ratio.min()),
            "median_ratio": float(self.ratio.median()),
        }


def copies(features: Tensor, training: Tensor) -> Copies:
    """Looks for copies of training pictures `[training, feature]` among pictures `[picture, feature]`.

    ratio = d(x, t) / d(t, t'), where t is the nearest training picture of x and t' the nearest other training picture of t. It is
    0 for a copy and about 1 for a picture as far from training pictures as they are from each other. Where t has a twin
    (d(t, t') = 0) the ratio is infinite, or 0 where x is that picture too. Raises ValueError without pictures or with fewer than
    two training pictures.
    """
    if len(training) < 2 or len(features) == 0:
        raise ValueError(
            f"the search for copies got {len(features)} pictures and {len(training)} training pictures, expected at least 1 and "
            f"2: add pictures"
        )
    nearest = [distances(part, training).min(1) for part in features.split(ROWS)]
    index = torch.cat([part.indices for part in nearest])
    distance = torch.cat([part.values for part in nearest])
    known, inverse = index.unique(return_inverse=True)
    spacing = torch.cat([_nearest_other(part, training) for part in known.split(ROWS)])[inverse]
    return Copies(index, distance, torch.where(distance == 0, 0.0, distance / spacing))


def _nearest_other(index: Tensor, training: Tensor) -> Tensor:
    """The distance of each of these training pictures to its nearest other one, `[index]`."""
    between = distances(training[index], training)
    return between.scatter(1, index[:, None], torch.inf).min(1).values
