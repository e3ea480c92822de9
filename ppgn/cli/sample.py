"""`ppgn sample`: chains asked for anything, their pictures as a grid, and each of them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ppgn import __version__, bundle, images, recipes
from ppgn.cli.arguments import SETTINGS
from ppgn.cli.asked import asked_for, kind_of
from ppgn.cli.target import Asked
from ppgn.finite import ChainStopped


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, writes the grid and what else was asked for."""
    images.check_writable(given.out)
    folder = Path(given.save_images) if given.save_images else None
    if folder is not None:
        images.make_folder(folder)
    for name in ("count", "batch"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            raise ValueError(f"got --{name} {getattr(given, name)}, expected at least 1: ask for one picture or more")
    loaded = bundle.load_bundle(given.bundle, device(given.device))
    asked = asked_for(given, loaded, recipes.settings_for(loaded, kind=kind_of(given), **changes_of(given)))
    targets = [target for target in asked.names for _ in range(given.count)]
    seeds = [given.seed + chain for _ in asked.names for chain in range(given.count)]
    with stops_without_warning():
        samples = _samples(loaded, asked, targets, seeds, given)
    report_stops(samples.stopped)
    labels = [asked.label(target, value) for target, value in zip(targets, samples.log_prob.tolist(), strict=True)]
    columns = given.count if len(asked.names) > 1 and 1 < given.count <= 16 else None
    images.save_image(samples.grid(labels, columns), given.out)
    print(f"wrote {given.out}: {len(targets)} pictures, mean log-probability {float(samples.log_prob.mean()):.3f}")
    if folder is not None:
        save_images(folder, loaded, asked, targets, samples)
    return 0


def _samples(
    loaded: bundle.Bundle, asked: Asked, targets: Sequence[int], seeds: Sequence[int], given: argparse.Namespace
) -> recipes.Samples:
    """A run for each batch of chains, every chain with its own target; joined."""
    changes = changes_of(given)
    settings = recipes.settings_for(loaded, kind=kind_of(given), **changes)
    batch = given.batch or recipes.batch_for(loaded, asked.make(targets[:1]), settings, len(targets))
    firsts, parts = range(0, len(targets), batch), []
    with progress(settings.steps * len(firsts)) as watch:
        for first in firsts:
            own, condition = seeds[first : first + batch], asked.make(targets[first : first + batch])
            parts.append(recipes.sample(loaded, condition, count=len(own), seed=own, batch=batch, watch=watch, **changes))
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("images", "codes", "log_prob")}
    stopped = {first + chain: why for first, part in zip(firsts, parts, strict=True) for chain, why in part.stopped.items()}
    return dataclasses.replace(parts[0], **joined, seeds=tuple(seeds), stopped=stopped)


def changes_of(given: argparse.Namespace) -> dict[str, Any]:
    """What `recipes.sample` takes of the options: the recipe and the settings, None where not given; of --settings all that no
    option changes."""
    own = {
        name: getattr(given, name, None) for name in ("recipe", "steps", "compile", *(key.replace("-", "_") for key in SETTINGS))
    }
    if given.settings is None:
        return own
    if given.recipe is not None:
        raise ValueError("got --settings and --recipe, expected one of them: the file holds all that a recipe changes")
    return {**settings_in(given.settings), **{name: value for name, value in own.items() if value is not None}}


def settings_in(file: str | Path) -> dict[str, Any]:
    """The "settings" of a JSON file, as `ppgn tune` and `ppgn sample --save-images` write it. Raises ValueError where there are
    none that `Settings` takes."""
    known = {one.name: type(one.default) for one in dataclasses.fields(recipes.Settings)}
    fix = "give settings.json of `ppgn tune` or samples.json of `ppgn sample --save-images`"
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise ValueError(f"cannot read the settings in {file} ({fault}): {fix}") from fault
    stored = found.get("settings") if isinstance(found, dict) else None
    if not isinstance(stored, dict) or not stored:
        raise ValueError(f"{file} holds no settings, expected an object with them under 'settings': {fix}")
    for name, value in stored.items():
        kind = known.get(name)
        if kind is None:
            raise ValueError(f"{file} holds the unknown setting {name!r}, expected some of {', '.join(known)}: {fix}")
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise ValueError(f"{file} holds {name} {value!r}, expected {kind.__name__}: {fix}")
        if kind is float and not math.isfinite(value):
            raise ValueError(f"{file} holds {name} {value!r}, expected a finite number: {fix}")
    return stored


@contextmanager
def stops_without_warning() -> Iterator[None]:
    """`report_stops` says it in a line of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChainStopped)
        yield


def report_stops(stopped: Mapping[int, str]) -> None:
    """A line for each chain that stopped because it was not finite any more."""
    for why in stopped.values():
        print(f"ppgn: stopped: {why}", file=sys.stderr)


def device(name: str) -> torch.device:
    """The torch device of `auto`, `cpu`, `cuda`, `cuda:N`, ...; ValueError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as fault:
        there = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        raise ValueError(f"no device {name!r} here: use auto or one of {', '.join(there)}") from fault
    return chosen


@contextmanager
def progress(total: int) -> Iterator[Any]:
    """A bar over all steps that shows the mean log-probability of the chains."""
    from tqdm import tqdm

    with tqdm(total=total, unit="step", desc="sampling", mininterval=0.5) as bar:

        def watch(step: int, evaluation: Any) -> None:
            if step % 5 == 0:
                bar.set_postfix_str(f"log p {float(evaluation.log_prob.mean()):.3f}", refresh=False)
            bar.total = max(bar.total, bar.n + 1)  # chains that begin anew were not counted
            bar.update()

        yield watch


def save_images(folder: Path, loaded: bundle.Bundle, asked: Asked, targets: Sequence[int], samples: recipes.Samples) -> None:
    """Each picture as PNG, then samples.json that describes them."""
    rows = []
    for index, target in enumerate(targets):
        name, seed, value = asked.names[target], samples.seeds[index], float(samples.log_prob[index])
        file = f"{index:04d}_{re.sub(r'[^a-zA-Z0-9.-]+', '_', name)}_{seed}.png"
        images.save_image(samples.images[index], folder / file)
        rows.append({"file": file, "seed": seed, asked.kind: name, "log_probability": value})
    condition = {"kind": asked.kind, **asked.about}
    about = {"ppgn": __version__, "bundle": loaded.name, "condition": condition, "settings": dataclasses.asdict(samples.settings)}
    text = json.dumps({**about, "samples": rows}, indent=2) + "\n"
    images.write_atomically(folder / "samples.json", lambda path: path.write_text(text))
    print(f"wrote {len(rows)} pictures and samples.json into {folder}")
