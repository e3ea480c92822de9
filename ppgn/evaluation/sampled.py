"""The samples of an evaluation, drawn now with their cost or read from a folder, and long chains that show how fast they mix."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn import recipes, sampling
from ppgn.evaluation.chains import PassCounter, mixing
from ppgn.evaluation.folders import ClassFolder
from ppgn.evaluation.progress import OnProgress, tracked
from ppgn.evaluation.task import Task
from ppgn.recipes import Recipe
from ppgn.types import Evaluation, Image

READ = 50
"""Pictures that are read from a folder at once."""


@dataclass(frozen=True, eq=False)
class Sampled:
    """Pictures to score, `[picture, channel, height, width]` in [0, 1] on the CPU, and the class of each, `[picture]`.

    classes: indices into the task's names. recipe: of the chains. cost: seconds_per_sample, passes_per_sample by network, and the
    number stopped. stopped: the reason for each chain that stopped. Pictures from a folder have neither recipe nor cost.
    """

    pictures: Image
    classes: Tensor
    recipe: Recipe | None = None
    cost: dict[str, Any] | None = None
    stopped: tuple[str, ...] = ()


def read_samples(folder: ClassFolder, on_progress: OnProgress) -> Sampled:
    """The pictures in a folder of samples."""
    batches = tracked(folder.batches(READ), "reading samples", -(-len(folder) // READ), on_progress)
    return Sampled(torch.cat(list(batches)), torch.tensor(folder.classes))


def draw_samples(task: Task, on_progress: OnProgress) -> Sampled:
    """Samples of each class from the seeds seed, seed + 1, ..., and their cost: time, and passes with those of the starts."""
    options, count = task.options, task.count
    classes = [index for index in task.classes for _ in range(count)]
    seeds = [options.seed + number for _ in task.classes for number in range(count)]
    request = task.request(classes)
    total = task.recipe.steps * -(-len(classes) // options.batch)
    done = 0
    on_progress("sampling", 0, total)

    def watch(step: int, evaluation: Evaluation) -> None:
        nonlocal done
        done += 1
        on_progress("sampling", done, max(done, total))  # the total does not count chains that begin anew

    setup = recipes.prepare(task.bundle, task.recipe, request)
    begun = time.perf_counter()
    with PassCounter(setup.networks) as counter:
        samples = sampling.sample(task.bundle, request, seed=seeds, batch=options.batch, watch=watch, recipe=setup.recipe)
    seconds = time.perf_counter() - begun
    passes = {name: number / len(classes) for name, number in counter.counts.items() if number}
    cost = {"seconds_per_sample": seconds / len(classes), "passes_per_sample": passes, "stopped": len(samples.stopped)}
    pictures = samples.images.cpu().clamp(0, 1)
    return Sampled(pictures, torch.tensor(classes), samples.recipe, cost, tuple(samples.stopped.values()))


def long_chains(task: Task, on_progress: OnProgress) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """Mixing of a chain of each class over further steps after those of a sample, and the reason for each chain that stopped.

    The mixing is that of the log-probability and of the judge's features, None where every chain stopped. All of it is None where
    the task wants no long chains.
    """
    steps, after = task.options.long_chain_steps, task.recipe.steps
    if steps == 0:
        return None, ()
    recipe = task.recipe.changed(steps=after + steps)
    request = task.request(task.classes)
    setup = recipes.prepare(task.bundle, recipe, request)
    seeds = [task.options.seed + number for number in range(len(request))]
    evaluations = sampling.evaluations(setup, recipes.objective(setup, request), seeds)
    log_probs: list[Tensor] = []
    features: list[Tensor] = []
    stopped: dict[int, str] = {}
    for step, evaluation in enumerate(tracked(evaluations, "long chains", recipe.steps, on_progress), 1):
        stopped |= evaluation.stopped
        if step > after:
            log_probs.append(evaluation.log_prob.cpu())
            features.append(task.judge(evaluation.image)[1].cpu())
    finite = [chain for chain in range(len(request)) if chain not in stopped]
    series = {"log_prob": log_probs, "features": features}
    mixed = {name: mixing(torch.stack(values, 1)[finite]) if finite else None for name, values in series.items()}
    return {"chains": len(finite), "steps": steps, "after": after, **mixed}, tuple(stopped.values())
