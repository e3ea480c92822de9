"""What `ppgn evaluate` is asked for, checked before anything runs: bundle, judge, classes and folders."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ppgn import metrics, named, recipes
from ppgn.bundle import Bundle, load_bundle
from ppgn.cli.asked import classes_asked
from ppgn.cli.sample import changes_of, device
from ppgn.tables import Labelled, table_of

OWN = "bundle:classifier"
CHAIN_STEPS = 100
"""Steps of a long chain, where not given."""
JUDGE_OPTIONS = ("weights", "size", "mean", "std", "bgr")


@dataclass(frozen=True, eq=False)
class Task:
    """What the options ask for, checked: the bundle, the judge, the group's classes (the first one's place among the bundle's,
    all names), those in question as places in the group, and the folders."""

    bundle: Bundle
    judge: metrics.Judge
    first: int
    names: tuple[str, ...]
    classes: tuple[int, ...]
    real: metrics.ClassFolder
    train: metrics.ClassFolder | None
    samples: metrics.ClassFolder | None
    inception: Any


def check(given: argparse.Namespace) -> None:
    for name, least in {"count": 1, "batch": 1, "real_count": 0, "train_count": 0, "chain_steps": 0}.items():
        value = getattr(given, name)
        if value is not None and value < least:
            raise ValueError(f"got --{name.replace('_', '-')} {value}, expected at least {least}: pass a larger number")
    if given.chain_steps == 1:
        raise ValueError(
            "got --chain-steps 1, expected at least 2, or 0 for no long chain: one step has no time to correlate over"
        )
    changed = [name for name, value in changes_of(given).items() if value is not None]
    changed += ["chain_steps"] if given.chain_steps is not None else []
    if given.samples is not None and changed:
        listed = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise ValueError(f"got --samples with {listed}, expected one of them: pictures in a folder are made already")
    loose = [f"--judge-{name}" for name in JUDGE_OPTIONS if getattr(given, f"judge_{name}") not in (None, False)]
    if loose and given.judge == OWN:
        raise ValueError(f"got {', '.join(loose)} without --judge, expected the network they describe: add --judge NAME")
    if given.lpips is not None:
        metrics.check_lpips(given.lpips)
    given.chain_steps = CHAIN_STEPS if given.chain_steps is None else given.chain_steps


def task_of(given: argparse.Namespace) -> Task:
    loaded = load_bundle(given.bundle, device(given.device))
    recipes.settings_for(loaded, **changes_of(given))
    asked = classes_asked(given.classes or ["all"], loaded)
    single = [one for one in asked if isinstance(one, int)]
    group = [span for span in loaded.class_groups.values() if single and span[0] <= single[0] < span[1]]
    if len(single) < len(asked) or not all(group[0][0] <= one < group[0][1] for one in single):
        raise ValueError(
            f"{loaded.name} was asked for classes of several groups, expected those of one: evaluate each on its own"
        )
    first, last = group[0]
    names = loaded.class_names[first:last]
    classes = tuple(dict.fromkeys(one - first for one in single))
    sizes = {"size": loaded.image_size, "channels": loaded.channels}
    judge = _judge(given, loaded, range(first, last))
    inception = metrics.inception_network().to(device(given.device)) if given.inception else None
    real, train, samples = (
        None if root is None else metrics.class_folder(root, names, classes, count, **sizes, listed=own)
        for root, count, own in (
            (given.real, given.real_count, _rows(loaded, given.real, group[0], "held_out")),
            (given.train, given.train_count, _rows(loaded, given.train, group[0], "training")),
            (given.samples, given.count or 0, None),
        )
    )
    assert real is not None, "--real is required"
    if min(real.classes.count(index) for index in classes) < 2:
        raise ValueError(
            f"{given.real} has a class with one picture, expected at least 2 of each: add some, or raise --real-count"
        )
    return Task(loaded, judge, first, names, classes, real, train, samples, inception)


def _rows(loaded: Bundle, root: str | None, group: tuple[int, int], half: str) -> dict[str, list[Path]] | None:
    """The files of each class of a group in one half of the table that the bundle was trained on; None where root has none."""
    table = None if root is None else table_of(loaded.info, Path(root))
    if table is None:
        return None
    rows: tuple[Labelled, ...] = getattr(table, half)
    listed: dict[str, list[Path]] = {loaded.class_names[index]: [] for index in range(*group)}
    for path, label in rows:
        listed[next(loaded.class_names[one] for one in label if group[0] <= one < group[1])].append(Path(path))
    return listed


def _judge(given: argparse.Namespace, loaded: Bundle, group: range) -> metrics.Judge:
    options = {name: getattr(given, f"judge_{name}") for name in JUDGE_OPTIONS}
    seen = named.network(given.judge, **options, bundle=loaded)
    seen.network.to(next(loaded.generator.parameters()).device)
    channels = named.input_channels(seen.network, loaded.channels)
    try:
        with torch.no_grad():
            black = next(loaded.generator.parameters()).new_zeros(1, channels, loaded.image_size, loaded.image_size)
            outputs = seen(black).shape[-1]
    except (RuntimeError, TypeError, AttributeError, IndexError) as fault:
        reason = " ".join(str(fault).split())[:200]
        raise ValueError(
            f"{given.judge} failed on a picture ({type(fault).__name__}: {reason}): check --judge-size and --judge-mean"
        ) from fault
    layer = given.judge_layer or _layer(given, loaded, seen, channels, outputs)
    return metrics.Judge(seen, _columns(given, loaded, group, outputs), layer, channels)


def _layer(given: argparse.Namespace, loaded: Bundle, seen: Any, channels: int, outputs: int) -> str:
    trunk = dict(seen.network.named_children()).get("trunk") if given.judge == OWN else None
    if trunk is not None:
        return f"trunk.{[name for name, _ in trunk.named_children()][-1]}"  # pool5, as in benchmarks/heldout.py
    return metrics.feature_layer(seen, loaded.image_size, channels, outputs)


def _columns(given: argparse.Namespace, loaded: Bundle, group: range, outputs: int) -> list[int]:
    """Which outputs of the judge are the classes of the group."""
    if given.judge == OWN:
        return list(group)
    wanted = loaded.class_names[group.start : group.stop]
    listed = _listed(given.judge_classes) if given.judge_classes else named.class_names(given.judge, loaded)
    if len(listed) == outputs:
        return metrics.class_columns(listed, wanted, given.judge)
    if outputs == len(wanted) and not listed:
        return list(range(outputs))
    raise ValueError(
        f"{given.judge} tells {outputs} classes apart, got {len(listed)} names of them: list all, in their order, with "
        f"--judge-classes FILE (one a line)"
    )


def _listed(given: Sequence[str]) -> list[str]:
    """Class names as given, or from a file: one a line, or lines of index, ..., name with tabs, in any order."""
    file = Path(given[0])
    if len(given) > 1 or not file.is_file():
        return list(given)
    try:
        rows = [line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(f"cannot read the class names in {file} ({fault}): expected text with one name a line") from fault
    if all(len(row) == 1 for row in rows):
        return [row[0] for row in rows]
    return [row[-1] for row in sorted((row for row in rows if row[0].isdecimal()), key=lambda row: int(row[0]))]
