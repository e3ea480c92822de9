"""The comparison of samples with real pictures: scores and sheets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn.evaluation.inception import inception_features
from ppgn.evaluation.judge import Judged
from ppgn.evaluation.neighbours import Copies, copies
from ppgn.evaluation.pictures import best_of_each, class_rows, most_suspicious
from ppgn.evaluation.progress import OnProgress, tracked
from ppgn.evaluation.report import match_counts, report, split_halves
from ppgn.evaluation.scores import activation, frechet_distance, kernel_distance
from ppgn.evaluation.task import Task
from ppgn.types import Image

BATCH = 50
"""Pictures that the judge sees at once."""


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures `[picture, channel, height, width]`, what the judge saw, and their nearest training pictures where known."""

    pictures: Image
    judged: Judged
    copies: Copies | None


def compare(
    task: Task, pictures: Image, classes: Tensor, on_progress: OnProgress
) -> tuple[dict[str, Any], dict[str, Pillow.Image], dict[str, list[float]]]:
    """Scores, sheets and distance ratios of samples of these classes `[picture]` beside the real pictures (see `Evaluated`).

    Half of the real pictures are the reference. The samples are compared with it as a set, and so are as many pictures of each
    class from the other half, which stand for a perfect sampler.
    """
    real_pictures = torch.cat(list(tracked(task.real.batches(BATCH), "reading", -(-len(task.real) // BATCH), on_progress)))
    judged = judge_pictures(task, pictures.split(BATCH), classes, "samples", on_progress)
    real_judged = judge_pictures(task, real_pictures.split(BATCH), task.real.classes, "real pictures", on_progress)
    nearest: tuple[Copies | None, Copies | None] = (None, None)
    if task.train is not None:
        batches = task.train.batches(BATCH)
        training = judge_pictures(task, batches, task.train.classes, "training pictures", on_progress).features
        nearest = copies(judged.features, training), copies(real_judged.features, training)
    samples, real = PictureSet(pictures, judged, nearest[0]), PictureSet(real_pictures, real_judged, nearest[1])
    half, other = split_halves(real_judged.classes)
    ceiling = other[match_counts(real_judged.classes[other], judged.classes)]
    scores = {
        **_reports(task, samples, real, half, ceiling, on_progress),
        "activation": activation(judged.logits, judged.classes, real_judged.logits, real_judged.classes),
        "compared": {"reference": len(half), "samples": len(judged.classes), "real": len(ceiling)},
        "judge": _judge_facts(task, judged),
        "classes": list(task.names),
        "training_pictures": 0 if task.train is None else len(task.train),
    }
    ratios = {name: one.copies.ratio.tolist() for name, one in (("samples", samples), ("real", real)) if one.copies is not None}
    return scores, _sheets(task, samples, real), ratios


def judge_pictures(
    task: Task, batches: Iterable[Image], classes: Sequence[int] | Tensor, name: str, on_progress: OnProgress
) -> Judged:
    """The judge's logits and features of pictures of these classes, BATCH at a time, on the bundle's device."""
    moved = (batch.to(task.bundle.device) for batch in batches)
    return task.judge.judged(tracked(moved, f"judging {name}", -(-len(classes) // BATCH), on_progress), classes)


def _reports(
    task: Task, samples: PictureSet, real: PictureSet, half: Tensor, ceiling: Tensor, on_progress: OnProgress
) -> dict[str, dict[str, Any]]:
    """The scores of both sets, with `real[half]` as the reference and `real[ceiling]` compared with it."""
    reference, lpips = real.judged.features[half], task.options.lpips
    reports = {}
    compared = {"samples": (samples, None), "real": (real, real.judged.features[ceiling])}
    for name, (one, features) in tracked(compared.items(), "scoring", len(compared), on_progress):
        reports[name] = report(one.judged, one.pictures, reference, features, one.copies, lpips)
    if task.inception is not None:
        sets = {"reference": real.pictures[half], "samples": samples.pictures, "real": real.pictures[ceiling]}
        for name, distances in _inception(task, sets, on_progress).items():
            reports[name] |= distances
    return reports


def _inception(task: Task, sets: dict[str, Image], on_progress: OnProgress) -> dict[str, dict[str, float]]:
    """Fréchet and kernel distance of every set but the reference from the reference, in Inception's features."""
    features = {}
    for name, pictures in sets.items():
        batches = (batch.to(task.bundle.device) for batch in pictures.split(BATCH))
        total = -(-len(pictures) // BATCH)
        features[name] = inception_features(task.inception, tracked(batches, f"Inception, {name}", total, on_progress))
    reference = features.pop("reference")
    return {
        name: {
            "inception_frechet": frechet_distance(reference, own),
            "inception_kernel": kernel_distance(reference, own)[0],
        }
        for name, own in features.items()
    }


def _judge_facts(task: Task, judged: Judged) -> dict[str, Any]:
    source = task.options.judge
    return {
        "name": source.name,
        "weights": None if source.weights is None else str(source.weights),
        "held_out": source.held_out and (task.options.network is None or source.name != task.options.network.name),
        "layer": task.judge.layer,
        "features": judged.features.shape[1],
    }


def _sheets(task: Task, samples: PictureSet, real: PictureSet) -> dict[str, Pillow.Image]:
    """The sheets of pictures that the page shows, by name."""
    both = {"sample": (samples.pictures, samples.judged), "real": (real.pictures, real.judged)}
    sheets = {
        "samples": class_rows(samples.pictures, samples.judged),
        "real": class_rows(real.pictures, real.judged),
        "best": best_of_each(both, task.names),
    }
    if samples.copies is not None and task.train is not None:
        sheets["copies"] = most_suspicious(samples.pictures, samples.judged, samples.copies, task.train, task.names)
    return sheets
