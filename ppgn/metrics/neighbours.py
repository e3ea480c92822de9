"""Scores from nearest neighbours in a judge's features: fidelity and variety apart, and copies of training pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ROWS = 256  # distances are computed so many pictures at a time


def distances(one: Tensor, other: Tensor) -> Tensor:
    """Euclidean `[one, other]`, of the differences themselves, so that a copy is at 0 exactly."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


def manifold(real: Tensor, made: Tensor, nearest: int = 5) -> dict[str, float]:
    """Precision, recall, density and coverage of two sets of features `[picture, feature]`.

    B(x) is the ball around x with the distance to its `nearest`-th neighbour in its own set. precision: the fraction of made
    pictures inside the ball of any real one; recall: of real pictures inside that of any made one (Kynkaanniemi et al. 2019);
    density: how many balls of real pictures hold a made one, on average, over `nearest` (can pass 1); coverage: the fraction
    of real balls with a made picture in it (Naeem et al. 2020, Eq. 3 to 7). Raises ValueError unless both have more than
    `nearest` pictures.
    """
    if min(len(real), len(made)) <= nearest:
        raise ValueError(
            f"precision and recall got {len(real)} real and {len(made)} made pictures, expected more than {nearest} each, the "
            f"neighbours that count: add pictures"
        )
    real_radius, made_radius = (distances(own, own).kthvalue(nearest + 1, 1).values for own in (real, made))
    between = distances(real, made)
    inside = between < real_radius[:, None]
    return {
        "precision": float(inside.any(0).float().mean()),
        "recall": float((between < made_radius).any(1).float().mean()),
        "density": float(inside.sum(0).float().mean() / nearest),
        "coverage": float(inside.any(1).float().mean()),
    }


@dataclass(frozen=True, eq=False)
class Copies:
    """Of each picture: index `[picture]` of the nearest training picture, its distance, and the ratio of that distance to the
    training picture's own distance to its nearest other training picture."""

    index: Tensor
    distance: Tensor
    ratio: Tensor

    def told(self) -> dict[str, Any]:
        """below_one: the fraction nearer to its training picture than that is to any other; least and median ratio."""
        return {
            "below_one": float((self.ratio < 1).float().mean()),
            "least_ratio": float(self.ratio.min()),
            "median_ratio": float(self.ratio.median()),
        }


def copies(features: Tensor, training: Tensor) -> Copies:
    """Whether pictures `[picture, feature]` are copies of training pictures `[training, feature]`.

    ratio = d(x, t) / d(t, t'), t the nearest training picture of x, t' the nearest other one of t: 0 for a copy, about 1 for
    what is as far from training pictures as they are from each other. Where t has a twin (d(t, t') = 0) it is infinite, unless x
    is that picture too. Raises ValueError for fewer than two training pictures.
    """
    if len(training) < 2 or len(features) == 0:
        raise ValueError(
            f"memorisation got {len(features)} pictures and {len(training)} training pictures, expected 1 and 2 or more: add some"
        )
    found = [distances(part, training).min(1) for part in features.split(ROWS)]
    index = torch.cat([one.indices for one in found])
    distance = torch.cat([one.values for one in found])
    known, place = index.unique(return_inverse=True)
    own = torch.cat([_to_others(part, training) for part in known.split(ROWS)])[place]
    return Copies(index, distance, torch.where(distance == 0, 0.0, distance / own))


def _to_others(index: Tensor, training: Tensor) -> Tensor:
    """The distance of training pictures to their nearest other one."""
    between = distances(training[index], training)
    return between.scatter(1, index[:, None], torch.inf).min(1).values
