"""Scores of pictures from a judge's logits and features: accuracy, calibration, and distances between sets of pictures."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor, nn

BINS = 15
"""Bins of confidence, as in Guo et al. 2017, "On Calibration of Modern Neural Networks", section 5."""
KERNEL_SUBSETS, KERNEL_SUBSET = 50, 1000
"""The number of random subsets and the most pictures in each (Binkowski et al. 2018 take subsets of 1,000)."""


def classified(logits: Tensor, classes: Tensor) -> dict[str, Any]:
    """Compares a judge's logits `[picture, class]` with the class requested for each picture `[picture]`.

    Returns accuracy and its standard_error sqrt(a (1 - a) / n); per_class accuracies, None for a class without pictures; the
    confusion counts `[requested, judged]`; calibration_error = sum over bins of n_b / n |accuracy_b - confidence_b|, where the
    confidence is the largest softmax probability (Guo et al. 2017, Eq. 3); and reliability, the bins that hold pictures. Raises
    ValueError without pictures, for different numbers of logits and classes, and for fewer than two classes.
    """
    if len(logits) == 0 or len(logits) != len(classes):
        raise ValueError(
            f"got {len(logits)} logits for {len(classes)} classes, expected one class for each and at least one: pass pairs"
        )
    number = logits.shape[1]
    if number < 2:
        raise ValueError(f"got logits of {number} class, expected at least 2: a judge must choose between classes")
    from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError, MulticlassConfusionMatrix

    probabilities = logits.softmax(1)
    accuracy = float(MulticlassAccuracy(number, average="micro")(logits, classes))
    each = MulticlassAccuracy(number, average=None)(logits, classes).tolist()
    present = set(classes.tolist())
    return {
        "pictures": len(classes),
        "accuracy": accuracy,
        "standard_error": math.sqrt(accuracy * (1 - accuracy) / len(classes)),
        "per_class": [value if index in present else None for index, value in enumerate(each)],
        "confusion": MulticlassConfusionMatrix(number)(logits, classes).tolist(),
        "calibration_error": float(MulticlassCalibrationError(number, BINS, norm="l1")(probabilities, classes)),
        "reliability": _reliability(probabilities, classes),
    }


def _reliability(probabilities: Tensor, classes: Tensor) -> list[dict[str, float]]:
    confidence, judged = probabilities.max(1)
    correct = (judged == classes).float()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    members = [bins == index for index in bins.unique()]
    return [
        {"confidence": float(confidence[inside].mean()), "accuracy": float(correct[inside].mean()), "pictures": int(inside.sum())}
        for inside in members
    ]


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """|m_r - m_g|^2 + tr(C_r + C_g - 2 (C_r C_g)^(1/2)) of two sets of features `[picture, feature]`, m and C their means and
    covariances.

    This is FID (Heusel et al. 2017, Eq. 6) in the features of any network. It falls as the number of pictures grows, so only
    equal numbers of pictures compare. Raises ValueError for fewer than two pictures in a set.
    """
    _check_sets(real, generated)
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_identity(real.shape[1]))
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    return float(metric.compute())


def kernel_distance(real: Tensor, generated: Tensor, seed: int = 0) -> tuple[float, float]:
    """The unbiased squared MMD of two sets of features `[picture, feature]` with the kernel (x.y / d + 1)^3, d features.

    Returns its mean and standard deviation over random subsets that `seed` draws (KID, Binkowski et al. 2018, section 4). It is
    near 0, or a little below, for two sets from one distribution. Raises ValueError for fewer than two pictures in a set.
    """
    _check_sets(real, generated)
    from torchmetrics.image.kid import KernelInceptionDistance

    size = min(len(real), len(generated), KERNEL_SUBSET)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics warns that it keeps all features in memory
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(_identity(real.shape[1]), subsets=KERNEL_SUBSETS, subset_size=size)
        metric.update(real.double(), real=True)
        metric.update(generated.double(), real=False)
        mean, spread = metric.compute()
    return float(mean), float(spread)


def inception_score(logits: Tensor) -> float:
    """exp(mean over pictures of KL(p(class | picture) || p(class))) of logits `[picture, class]`, 1 to the number of classes.

    The formula of the Inception score (Salimans et al. 2016, section 4) with any classifier, in a single split.
    """
    from torchmetrics.image.inception import InceptionScore

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics warns that it keeps all logits, and of the single split
        metric = InceptionScore(_identity(logits.shape[1]), splits=1)
        metric.update(logits.double())
        return float(metric.compute()[0])


def activation(logits: Tensor, classes: Tensor, real_logits: Tensor, real_classes: Tensor) -> dict[str, Any]:
    """Compares the logit of the requested class of samples and of real pictures, logits `[picture, class]`, classes `[picture]`.

    DGN-AM (Nguyen et al. 2016) compares synthesised activations with those of real pictures in this way. per_class: for each
    class with samples, the mean and best logit of its samples and of its real pictures (None without real pictures).
    above_best_real: the fraction of samples above the best real picture of their class, None without real pictures.
    """
    requested = logits.gather(1, classes[:, None])[:, 0]
    real_requested = real_logits.gather(1, real_classes[:, None])[:, 0]
    rows, above = [], []
    for index in classes.unique().tolist():
        samples, real = requested[classes == index], real_requested[real_classes == index]
        row = {"class": index, "mean": float(samples.mean()), "best": float(samples.max()), "real_mean": None, "real_best": None}
        if len(real):
            row.update(real_mean=float(real.mean()), real_best=float(real.max()))
            above.append(samples > real.max())
        rows.append(row)
    return {"per_class": rows, "above_best_real": float(torch.cat(above).float().mean()) if above else None}


def _identity(features: int) -> nn.Module:
    """Stands in for torchmetrics' Inception: features come precomputed, so that one pass of the judge serves every score."""
    network: Any = nn.Identity()
    network.num_features = features
    return network


def _check_sets(real: Tensor, generated: Tensor) -> None:
    if min(len(real), len(generated)) < 2 or real.shape[1:] != generated.shape[1:]:
        raise ValueError(
            f"a distance between sets got features {list(real.shape)} and {list(generated.shape)}, expected at least 2 pictures "
            f"in each and equal numbers of features: add pictures"
        )
