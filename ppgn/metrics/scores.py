"""Scores of pictures from a judge's logits and features: right, calibrated, and near to real ones as a set."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

BINS = 15
"""Of confidence, as in Guo et al. 2017, "On Calibration of Modern Neural Networks", section 5."""
KERNEL_SUBSETS, KERNEL_SUBSET = 50, 1000
"""Random subsets of at most so many pictures (Binkowski et al. 2018 take subsets of 1,000)."""


def classified(logits: Tensor, classes: Tensor) -> dict[str, Any]:
    """What a judge's logits `[picture, class]` say of the classes `[picture]` that were asked for.

    accuracy, and its standard error sqrt(a (1 - a) / n); per_class, None for a class without pictures; confusion
    `[asked, judged]`, counts; calibration_error = sum over bins of n_b / n |accuracy_b - confidence_b|, the confidence being the
    largest softmax probability (Guo et al. 2017, Eq. 3), and reliability, the bins that hold pictures. Raises ValueError for no
    picture, or another number of classes than pictures.
    """
    if len(logits) == 0 or len(logits) != len(classes):
        raise ValueError(f"got {len(logits)} logits for {len(classes)} classes, expected as many and at least one: pass pairs")
    number = logits.shape[1]
    if number < 2:
        raise ValueError(f"got logits of {number} class, expected at least 2: a judge must choose between classes")
    probabilities = logits.softmax(1)
    accuracy = float(MulticlassAccuracy(number, average="micro")(logits, classes))
    each = MulticlassAccuracy(number, average=None)(logits, classes).tolist()
    there = set(classes.tolist())
    return {
        "pictures": len(classes),
        "accuracy": accuracy,
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / len(classes)),
        "per_class": [value if index in there else None for index, value in enumerate(each)],
        "confusion": MulticlassConfusionMatrix(number)(logits, classes).tolist(),
        "calibration_error": float(MulticlassCalibrationError(number, BINS, norm="l1")(probabilities, classes)),
        "reliability": _reliability(probabilities, classes),
    }


def _reliability(probabilities: Tensor, classes: Tensor) -> list[dict[str, float]]:
    confidence, said = probabilities.max(1)
    right = (said == classes).float()
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    bins = [place == one for one in place.unique()]
    return [
        {"confidence": float(confidence[own].mean()), "accuracy": float(right[own].mean()), "pictures": int(own.sum())}
        for own in bins
    ]


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """|m_r - m_m|^2 + tr(C_r + C_m - 2 (C_r C_m)^(1/2)) of two sets of features `[picture, feature]` (FID, Heusel et al.
    2017, Eq. 6, there in Inception's features). It falls with the number of pictures: compare equal numbers only.

    Raises ValueError for fewer than two pictures.
    """
    _check_sets(real, made)
    metric = FrechetInceptionDistance(_given(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return float(metric.compute())


def kernel_distance(real: Tensor, made: Tensor, seed: int = 0) -> tuple[float, float]:
    """(mean, standard deviation over random subsets) of the unbiased squared MMD with the kernel (x.y / d + 1)^3 of two sets of
    features `[picture, feature]` (KID, Binkowski et al. 2018, section 4). Near 0, or a little below, for sets of one kind.

    Raises ValueError for fewer than two pictures.
    """
    _check_sets(real, made)
    size = min(len(real), len(made), KERNEL_SUBSET)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps the features
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(_given(real.shape[1]), subsets=KERNEL_SUBSETS, subset_size=size)
        metric.update(real.double(), real=True)
        metric.update(made.double(), real=False)
        mean, spread = metric.compute()
    return float(mean), float(spread)


def inception_score(logits: Tensor) -> float:
    """exp of the mean over pictures of KL(p(class | picture) || p(class)), of logits `[picture, class]`: 1 to the number of
    classes (Salimans et al. 2016, section 4, there by Inception), in one split."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps the logits, and that one split has no spread
        metric = InceptionScore(_given(logits.shape[1]), splits=1)
        metric.update(logits.double())
        return float(metric.compute()[0])


def activation(logits: Tensor, classes: Tensor, real_logits: Tensor, real_classes: Tensor) -> dict[str, Any]:
    """The logit of the class asked for: of samples against that of real pictures (Nguyen et al. 2016, DGN-AM, compare
    synthesised activations with those of real pictures).

    per_class: for each class with samples, their mean and best, and the mean and best of the real pictures (None where there is
    none). above_best_real: the fraction of samples above the best real picture of their class.
    """
    own = logits.gather(1, classes[:, None])[:, 0]
    real_own = real_logits.gather(1, real_classes[:, None])[:, 0]
    rows, above = [], []
    for index in classes.unique().tolist():
        made, real = own[classes == index], real_own[real_classes == index]
        row = {"class": index, "mean": float(made.mean()), "best": float(made.max()), "real_mean": None, "real_best": None}
        if len(real):
            row.update(real_mean=float(real.mean()), real_best=float(real.max()))
            above.append(made > real.max())
        rows.append(row)
    return {"per_class": rows, "above_best_real": float(torch.cat(above).float().mean()) if above else None}


def _given(size: int) -> nn.Module:
    """Stands where torchmetrics has Inception: the features are given, so that one pass of the judge serves every score."""
    network: Any = nn.Identity()
    network.num_features = size
    return network


def _check_sets(real: Tensor, made: Tensor) -> None:
    if min(len(real), len(made)) < 2 or real.shape[1:] != made.shape[1:]:
        raise ValueError(
            f"a distance of two sets got features {list(real.shape)} and {list(made.shape)}, expected at least 2 pictures each "
            f"and as many features: add pictures"
        )
