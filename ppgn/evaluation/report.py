"""All scores of a set of pictures, in one dictionary."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ppgn.evaluation.diversity import feature_diversity, perceptual_diversity, structure_diversity
from ppgn.evaluation.judge import Judged
from ppgn.evaluation.neighbours import Copies, manifold
from ppgn.evaluation.scores import classified, frechet_distance, inception_score, kernel_distance
from ppgn.types import Image

NEAREST = 5
"""Neighbours of `manifold`, as in Naeem et al. 2020."""


def split_halves(classes: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of two halves of real pictures of these classes `[picture]`, alternating within each class.

    One half is the reference; the other is compared with it as a perfect sampler would be.
    """
    members = [(classes == index).nonzero()[:, 0] for index in classes.unique()]
    return torch.cat([inside[::2] for inside in members]), torch.cat([inside[1::2] for inside in members])


def match_counts(classes: Tensor, wanted: Tensor) -> Tensor:
    """Indices into `classes` `[picture]` of as many pictures of each class as `wanted` has, or of all where there are fewer."""
    kept = [(classes == index).nonzero()[:, 0][: int((wanted == index).sum())] for index in wanted.unique()]
    return torch.cat(kept)


def report(
    judged: Judged,
    pictures: Image,
    reference: Tensor,
    compared: Tensor | None = None,
    copies: Copies | None = None,
    lpips: str | None = None,
) -> dict[str, Any]:
    """All scores of pictures `[picture, channel, height, width]` in [0, 1] that a judge saw as `judged`.

    reference: features `[picture, feature]` of real pictures, with which the set `compared` (features; by default those of
    `judged`) is compared. copies: the nearest training pictures, where they are known. lpips: the network of LPIPS, None for no
    LPIPS. The keys are those of `classified` and `set_distances`, inception_score, feature_diversity, structure_diversity, lpips
    and copies; None for what was left out or needs more pictures.
    """
    scores = classified(judged.logits, judged.classes)
    scores["inception_score"] = inception_score(judged.logits)
    scores.update(set_distances(reference, judged.features if compared is None else compared))
    scores["feature_diversity"] = feature_diversity(judged.features, judged.classes)
    scores["structure_diversity"] = structure_diversity(pictures, judged.classes)
    scores["lpips"] = None if lpips is None else perceptual_diversity(pictures, judged.classes, lpips)
    scores["copies"] = None if copies is None else copies.summary()
    return scores


def set_distances(reference: Tensor, generated: Tensor) -> dict[str, Any]:
    """frechet, kernel, kernel_spread, precision, recall, density and coverage of features `[picture, feature]`.

    Both sets are divided by the root mean square of the reference, so that the figures do not depend on the units of a network.
    A figure that needs more pictures is None.
    """
    names = ("frechet", "kernel", "kernel_spread", "precision", "recall", "density", "coverage")
    scores: dict[str, Any] = dict.fromkeys(names)
    scale = reference.square().mean().sqrt().clamp(min=torch.finfo(reference.dtype).tiny)
    reference, generated = reference / scale, generated / scale
    smaller = min(len(reference), len(generated))
    if smaller > 1:
        scores["frechet"] = frechet_distance(reference, generated)
        scores["kernel"], scores["kernel_spread"] = kernel_distance(reference, generated)
    if smaller > NEAREST:
        scores.update(manifold(reference, generated, NEAREST))
    return scores


def json_safe(value: Any) -> Any:
    """The value with None for every float that is NaN or infinite, in lists and dictionaries too: JSON has neither."""
    if isinstance(value, dict):
        return {key: json_safe(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
