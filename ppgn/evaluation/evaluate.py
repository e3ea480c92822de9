"""The evaluation of samples of a bundle beside real pictures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppgn import __version__
from ppgn.autocast import without_autocast
from ppgn.bundle import Bundle
from ppgn.evaluation.compare import compare
from ppgn.evaluation.evaluated import Evaluated
from ppgn.evaluation.options import EvaluationOptions, JudgeSource
from ppgn.evaluation.progress import OnProgress, ignore
from ppgn.evaluation.report import json_safe
from ppgn.evaluation.sampled import draw_samples, long_chains, read_samples
from ppgn.evaluation.task import Task, prepare
from ppgn.loaders import BUNDLE_CLASSIFIER
from ppgn.recipes import Recipe
from ppgn.requests import Plugged


def evaluate(
    bundle: Bundle | str | Path,
    real: str | Path,
    *,
    train: str | Path | None = None,
    samples: str | Path | None = None,
    classes: str | int | Sequence[str | int] = "all",
    network: str | Plugged | None = None,
    count: int | None = None,
    seed: int = 0,
    batch: int = 32,
    real_count: int = 40,
    train_count: int = 200,
    chain_steps: int | None = None,
    judge: str | JudgeSource = BUNDLE_CLASSIFIER,
    lpips: str | None = None,
    inception: bool = False,
    recipe: str | Recipe | None = None,
    on_progress: OnProgress = ignore,
    **changes: Any,
) -> Evaluated:
    """Scores samples of a bundle, or pictures in a folder, beside real pictures.

    real: a folder for each class, of pictures that nothing was trained on; or the folder of the table that the bundle was trained
    on, whose held-out pictures are taken. train: training pictures in the same form; samples are searched for copies of them.
    samples: pictures to score instead of sampling, of the same form or as `ppgn sample` writes them. classes: names or indices of
    a single group, "all" of the first group, or "GROUP:all". network: a plugged-in network whose classes are meant instead, "all"
    those with a folder in `real`; without a judge it judges, too. count: samples of each class; None: 10, fewer for more than ten
    classes, or a whole folder. seed: of the first chain of each class; the next ones count up. batch: chains at once. real_count,
    train_count: pictures of each class, 0 for all. chain_steps: steps of a long chain of each class, 0 for none, None for 100.
    judge: a network by name, or its description. lpips: "alex", "vgg" or "squeeze" adds that diversity. inception: adds FID and
    KID in Inception's features. Both need weights on this machine. recipe, changes: as in `ppgn.sample`. on_progress(stage, done,
    total): called as work goes on. Raises ValueError for what is missing or does not fit, before anything is sampled.
    """
    source = judge if isinstance(judge, JudgeSource) else JudgeSource(judge)
    plugged = Plugged(network) if isinstance(network, str) else network
    options = EvaluationOptions(
        train=train, samples=samples, classes=classes, network=plugged, count=count, seed=seed, batch=batch,
        real_count=real_count, train_count=train_count, chain_steps=chain_steps, judge=source, lpips=lpips,
        inception=inception, recipe=recipe, changes=changes,
    )  # fmt: skip
    return run(prepare(bundle, real, options), on_progress)


@without_autocast()
def run(task: Task, on_progress: OnProgress = ignore) -> Evaluated:
    """Runs a task from `prepare`: samples or reads, judges, and scores."""
    begun = time.perf_counter()
    sampled = draw_samples(task, on_progress) if task.samples is None else read_samples(task.samples, on_progress)
    chain, stopped = long_chains(task, on_progress)
    scores, pictures, ratios = compare(task, sampled.pictures, sampled.classes, on_progress)
    scores |= {
        "cost": sampled.cost,
        "chain": chain,
        "recipe": None if sampled.recipe is None else sampled.recipe.to_json(),
        "seed": None if sampled.recipe is None else task.options.seed,
        "seconds": time.perf_counter() - begun,
    }
    scores = json_safe({"ppgn": __version__, "bundle": task.bundle.name, **scores})
    return Evaluated(scores, pictures, ratios, (*sampled.stopped, *stopped))
