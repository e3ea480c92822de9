"""`ppgn evaluate`: samples of a bundle, or pictures in a folder, scored beside real pictures: a table, JSON and a page."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor
from tqdm import tqdm

from ppgn import __version__, images, metrics, recipes
from ppgn.cli import evaluate_page
from ppgn.cli.evaluate_task import OWN, Task, check, task_of
from ppgn.cli.sample import changes_of, progress, report_stops, stops_without_warning
from ppgn.types import Image

COUNT, ALL = 10, 100
"""Samples of each class, where not given: COUNT, or fewer (2 at least) so that there are about ALL of them."""
SHOWN = 16
"""Most suspicious samples beside their nearest training pictures."""
ROW = 10
"""Pictures of a class that the page shows."""


@dataclass(frozen=True, eq=False)
class Made:
    """The pictures `[picture, channel, height, width]` that are scored, their classes within the group, and what it took to make
    them, None for those of a folder."""

    pictures: Image
    classes: Tensor
    cost: dict[str, Any] | None
    settings: dict[str, Any] | None


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, makes the samples, scores them and real pictures, writes the page and the JSON."""
    check(given)
    task = task_of(given)
    out = images.make_folder(given.out)
    begun = time.perf_counter()
    made = _made(given, task)
    chain = None if task.samples or given.chain_steps == 0 else _chain(given, task)
    told, pictures = _scored(given, task, made)
    told |= {"cost": made.cost, "chain": chain, "settings": made.settings, "seconds": time.perf_counter() - begun}
    told = metrics.finite({"ppgn": __version__, "bundle": task.bundle.name, **told})
    text = json.dumps(told, indent=2) + "\n"
    page = evaluate_page.page(told, pictures)
    images.write_atomically(out / "scores.json", lambda path: path.write_text(text))
    images.write_atomically(out / "index.html", lambda path: path.write_text(page, encoding="utf-8"))
    print(evaluate_page.markdown(told))
    print(f"\nwrote {out / 'scores.json'} and {out / 'index.html'}")
    return 0


def _made(given: argparse.Namespace, task: Task) -> Made:
    """Samples made now, or read from the folder."""
    if task.samples is not None:
        batches = tqdm(task.samples.batches(), "reading samples", leave=False)
        return Made(torch.cat(list(batches)), torch.tensor(task.samples.classes), None, None)
    count = given.count or min(COUNT, max(2, ALL // len(task.classes)))
    targets = [index for index in task.classes for _ in range(count)]
    seeds = [given.seed + number for _ in task.classes for number in range(count)]
    changes = changes_of(given)
    settings = recipes.settings_for(task.bundle, **changes)
    steps = settings.steps * -(-len(targets) // given.batch)
    begun = time.perf_counter()
    with stops_without_warning(), progress(steps) as watch, metrics.Passes(recipes.running(task.bundle, settings)) as passes:
        asked = [task.first + index for index in targets]
        samples = recipes.sample(task.bundle, asked, seed=seeds, batch=given.batch, watch=watch, **changes)
    seconds = time.perf_counter() - begun
    report_stops(samples.stopped)
    counts = {name: number / len(targets) for name, number in passes.counts.items() if number}
    cost = {"seconds_per_sample": seconds / len(targets), "passes_per_sample": counts, "stopped": len(samples.stopped)}
    return Made(
        samples.images.cpu().clamp(0, 1),
        torch.tensor(targets),
        cost,
        {"seed": given.seed, **dataclasses.asdict(samples.settings)},
    )


def _chain(given: argparse.Namespace, task: Task) -> dict[str, Any]:
    """One chain of each class that runs on for --chain-steps after the usual steps: how fast it forgets."""
    changes = changes_of(given)
    usual = recipes.settings_for(task.bundle, **changes).steps
    settings = recipes.settings_for(task.bundle, **{**changes, "steps": usual + given.chain_steps})
    asked = [task.first + index for index in task.classes]
    seeds = [given.seed + number for number in range(len(asked))]
    values: list[Tensor] = []
    features: list[Tensor] = []
    stopped: dict[int, str] = {}
    with stops_without_warning(), progress(settings.steps) as watch:
        for step, evaluation in enumerate(recipes.run(task.bundle, asked, seeds, settings), 1):
            watch(step, evaluation)
            stopped |= evaluation.stopped
            if step > usual:
                values.append(evaluation.log_probs.get("condition", evaluation.log_prob).cpu())
                features.append(task.judge(evaluation.image)[1].cpu())
    report_stops(stopped)
    whole = [number for number in range(len(asked)) if number not in stopped]
    if not whole:
        return {"chains": 0, "steps": given.chain_steps, "after": usual, "log_prob": None, "features": None}
    told = {"log_prob": torch.stack(values, 1)[whole], "features": torch.stack(features, 1)[whole]}
    mixed = {name: metrics.mixing(series) for name, series in told.items()}
    return {"chains": len(whole), "steps": given.chain_steps, "after": usual, **mixed}


def _judged(task: Task, batches: Iterable[Image], classes: Sequence[int] | Tensor, name: str) -> metrics.Judged:
    where = next(task.bundle.generator.parameters()).device
    moved = (batch.to(where) for batch in tqdm(batches, f"judging {name}", total=-(-len(classes) // 50), leave=False))
    return task.judge.judged(moved, classes)


def _scored(given: argparse.Namespace, task: Task, made: Made) -> tuple[dict[str, Any], dict[str, Any]]:
    """The scores, and the pictures of the page."""
    real_pictures = torch.cat(list(task.real.batches()))
    mine = _judged(task, made.pictures.split(50), made.classes, "samples")
    real = _judged(task, real_pictures.split(50), task.real.classes, "real pictures")
    half, other = metrics.halves(real.classes)
    ceiling = other[metrics.like(real.classes[other], mine.classes)]
    training = None if task.train is None else _judged(task, task.train.batches(), task.train.classes, "training pictures")
    found: dict[str, metrics.Copies | None] = dict.fromkeys(("samples", "real"))
    if training is not None:
        found = {name: metrics.copies(one.features, training.features) for name, one in (("samples", mine), ("real", real))}
    reference = real.features[half]
    steps = tqdm(total=2, desc="scoring", leave=False)
    told: dict[str, Any] = {"samples": metrics.report(mine, made.pictures, reference, None, found["samples"], given.lpips)}
    steps.update()
    told["real"] = metrics.report(real, real_pictures, reference, real.features[ceiling], found["real"], given.lpips)
    steps.close()
    told["activation"] = metrics.activation(mine.logits, mine.classes, real.logits, real.classes)
    told["compared"] = {"reference": len(half), "samples": len(mine.classes), "real": len(ceiling)}
    told["judge"] = {
        "name": given.judge, "weights": given.judge_weights, "held_out": given.judge != OWN, "layer": task.judge.layer,
        "features": mine.features.shape[1],
    }  # fmt: skip
    told["classes"] = list(task.names)
    told["training_pictures"] = 0 if training is None else len(training.classes)
    if task.inception is not None:
        _inception(task, told, {"samples": made.pictures, "real": real_pictures[ceiling]}, real_pictures[half])
    ratios = {name: one.ratio.tolist() for name, one in found.items() if one is not None}
    shown = {"samples": _rows(made.pictures, mine), "real": _rows(real_pictures, real)}
    shown["best"] = _best(task, (made.pictures, mine), (real_pictures, real))
    if found["samples"] is not None and task.train is not None:
        shown["copies"] = _suspicious(task, made.pictures, mine, found["samples"], task.train)
    return told, {"ratios": ratios, "shown": shown}


def _rows(pictures: Image, judged: metrics.Judged) -> Pillow.Image:
    """The first pictures of each class, a row each."""
    each = [pictures[judged.classes == index][:ROW] for index in judged.classes.unique()]
    width = max(len(own) for own in each)
    blank = torch.ones_like(pictures[:1])
    tiles = torch.cat([torch.cat([own, blank.expand(width - len(own), -1, -1, -1)]) for own in each])
    return images.grid(tiles, columns=width, scale=1 if pictures.shape[-1] >= 32 else None)


def _best(task: Task, made: tuple[Image, metrics.Judged], real: tuple[Image, metrics.Judged]) -> Pillow.Image:
    """For each class the sample of the highest logit, and below it the real picture of the highest logit."""
    tiles, labels = [], []
    classes = made[1].classes.unique().tolist()
    for name, (pictures, judged) in (("sample", made), ("real", real)):
        for index in classes:
            own = (judged.classes == index).nonzero()[:, 0]
            top = own[judged.logits[own, index].argmax()]
            tiles.append(pictures[top])
            labels.append(f"{name}, {task.names[index]} {float(judged.logits[top, index]):.1f}")
    return images.grid(tiles, labels, columns=len(classes))


def _suspicious(
    task: Task, pictures: Image, judged: metrics.Judged, found: metrics.Copies, train: metrics.ClassFolder
) -> Pillow.Image:
    """The samples of the least ratio, each beside its nearest training picture."""
    order = found.ratio.argsort()[:SHOWN]
    nearest = train.load(found.index[order])
    tiles = [picture for pair in zip(pictures[order], nearest, strict=True) for picture in pair]
    labels = []
    for sample, index in zip(order.tolist(), found.index[order].tolist(), strict=True):
        labels += [f"{task.names[judged.classes[sample]]} {float(found.ratio[sample]):.2f}", train.files[index].stem]
    return images.grid(tiles, labels, columns=min(8, len(tiles)))


def _inception(task: Task, told: dict[str, Any], sets: dict[str, Image], reference: Image) -> None:
    where = next(task.bundle.generator.parameters()).device

    def features(pictures: Image, name: str) -> Tensor:
        batches = tqdm(pictures.split(50), f"Inception, {name}", leave=False)
        return metrics.inception_features(task.inception, (batch.to(where) for batch in batches))

    real = features(reference, "reference")
    for name, pictures in sets.items():
        own = features(pictures, name)
        told[name]["inception_frechet"] = metrics.frechet_distance(real, own)
        told[name]["inception_kernel"] = metrics.kernel_distance(real, own)[0]
