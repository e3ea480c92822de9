"""All scores of a set of pictures beside those of real ones."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ppgn.metrics.diversity import feature_diversity, perceptual_diversity, structure_diversity
from ppgn.metrics.judge import Judged
from ppgn.metrics.neighbours import Copies, manifold
from ppgn.metrics.scores import classified, frechet_distance, inception_score, kernel_distance
from ppgn.types import Image

NEAREST = 5
"""Neighbours of `manifold` (Naeem et al. 2020 take 5)."""


def halves(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of two halves of real pictures, alternating within each class: what is compared with, and what stands for a
    perfect sampler."""
    first = [(classes == index).nonzero()[:, 0] for index in classes.unique()]
    return torch.cat([own[::2] for own in first]), torch.cat([own[1::2] for own in first])


def like(classes: Tensor, wanted: Tensor) -> Tensor:
    """Indices into `classes` of as many pictures of each class as `wanted` has, where there are as many."""
    kept = [(classes == index).nonzero()[:, 0][: int((wanted == index).sum())] for index in wanted.unique()]
    return torch.cat(kept)


def report(
    made: Judged,
    pictures: Image,
    reference: Tensor,
    compared: Tensor | None = None,
    found: Copies | None = None,
    lpips: str | None = None,
) -> dict[str, Any]:
    """Scores of pictures `[picture, channel, height, width]` judged as `made`, in one dictionary.

    reference: features `[picture, feature]` of real pictures, with which `compared` (by default all of `made`) are compared as a
    set. found: nearest training pictures, if known. lpips: its network, if asked for. Keys are those of `classified` and
    `between`, and what is named here; None for what was not asked for or needs more pictures.
    """
    told = classified(made.logits, made.classes)
    told["inception_score"] = inception_score(made.logits)
    told.update(between(reference, made.features if compared is None else compared))
    told["feature_diversity"] = feature_diversity(made.features, made.classes)
    told["structure_diversity"] = structure_diversity(pictures, made.classes)
    told["lpips"] = None if lpips is None else perceptual_diversity(pictures, made.classes, lpips)
    told["copies"] = None if found is None else found.told()
    return told


def between(reference: Tensor, made: Tensor) -> dict[str, Any]:
    """frechet, kernel, kernel_spread, precision, recall, density, coverage of features `[picture, feature]`; None for what needs
    more pictures. Both sets are divided by the root mean square of the reference, so that figures do not hang on a
    network's units."""
    names = ("frechet", "kernel", "kernel_spread", "precision", "recall", "density", "coverage")
    told: dict[str, Any] = dict.fromkeys(names)
    scale = reference.square().mean().sqrt().clamp(min=torch.finfo(reference.dtype).tiny)
    reference, made = reference / scale, made / scale
    least = min(len(reference), len(made))
    if least > 1:
        told["frechet"] = frechet_distance(reference, made)
        told["kernel"], told["kernel_spread"] = kernel_distance(reference, made)
    if least > NEAREST:
        told.update(manifold(reference, made, NEAREST))
    return told


def finite(value: Any) -> Any:
    """The same of lists and dictionaries, None for what is no finite number: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
