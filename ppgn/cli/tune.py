"""`ppgn tune`: settings tried on short chains, a table, pictures to compare, and the best as a file for `--settings`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import __version__, bundle, images, recipes
from ppgn.cli.arguments import SETTINGS
from ppgn.cli.asked import asked_for, kind_of
from ppgn.cli.sample import changes_of, device
from ppgn.cli.target import Asked
from ppgn.recipes import Trial, Tuning
from ppgn.recipes.tuning import ENOUGH

SHOWN = 4
"""Best trials in the table and the picture, beside the default."""
TILES = 8
"""Most pictures of a trial that are kept and shown."""


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, tries settings, keeping each trial on the disk, then tells and shows the best."""
    for name, least in {"trials": 1, "count": 2}.items():
        if getattr(given, name) < least:
            raise ValueError(f"got --{name} {getattr(given, name)}, expected at least {least}: pass a larger number")
    loaded = bundle.load_bundle(given.bundle, device(given.device))
    changes = changes_of(given)
    asked = asked_for(given, loaded, recipes.settings_for(loaded, kind=kind_of(given), **changes))
    targets = [target for target in asked.names for _ in range(given.count)]
    tuning = _tuning(given, loaded, asked, targets, changes)
    out = images.make_folder(given.out)
    about = _about(given, loaded, asked, tuning)
    done = _read(out / "trials.json", about)
    try:
        _try(given, tuning, done, about, out)
    except KeyboardInterrupt:
        print(
            f"\nppgn: interrupted after {len(done)} of {given.trials} trials: the same command goes on from there",
            file=sys.stderr,
        )
        return 130
    best = max(done, key=lambda trial: trial.order)
    if best.stopped:
        raise ValueError(f"the chains of all {len(done)} trials stopped, in the default because {done[0].stopped}")
    told = {"ppgn": __version__, **about, "trial": _plain(best), "settings": dataclasses.asdict(best.settings)}
    _write(out / "settings.json", told)
    rows = [done[0], *sorted(done[1:], key=lambda trial: trial.order, reverse=True)[:SHOWN]]
    images.save_image(_picture(out, rows, [asked.names[target] for target in targets], loaded.channels), out / "tune.png")
    print(_table(tuning, rows, _measure(asked)))
    print(f"\n{_verdict(best)}\nwrote {out / 'settings.json'}, {out / 'tune.png'} (look at it) and {out / 'trials.json'}")
    print(f"use them as `ppgn sample {given.bundle} ... --settings {out / 'settings.json'}`")
    return 0


def _tuning(
    given: argparse.Namespace, loaded: bundle.Bundle, asked: Asked, targets: Sequence[Any], changes: dict[str, Any]
) -> Tuning:
    """The search; what an option sets stays as it is, what --settings says is where the search begins."""
    limits = {name: getattr(given, name) for name in ("most_gap", "least_diversity") if getattr(given, name) is not None}
    names = [option.replace("-", "_") for option in SETTINGS]
    keep = [name for name in names if getattr(given, name, None) is not None]
    seeds = [given.seed + chain for _ in asked.names for chain in range(given.count)]
    limits["enough"] = ENOUGH if given.enough is None and asked.probability else given.enough
    condition = asked.make(targets)
    return Tuning(loaded, condition, count=len(seeds), seed=seeds, kinds=targets, keep=keep, **limits, **changes)


def _about(given: argparse.Namespace, loaded: bundle.Bundle, asked: Asked, tuning: Tuning) -> dict[str, Any]:
    """What the trials of a study have in common, as JSON has it."""
    about = {
        "bundle": loaded.name,
        "condition": {"kind": asked.kind, **asked.about, "names": list(asked.names.values())},
        "count": given.count,
        "seed": given.seed,
        "most_gap": tuning.most_gap,
        "least_diversity": tuning.least_diversity,
        "enough": tuning.enough,
        "default": dataclasses.asdict(tuning.settings),
        "searched": list(tuning.ranges),
    }
    return json.loads(json.dumps(about))


def _read(file: Path, about: Mapping[str, Any]) -> list[Trial]:
    """The trials of an earlier run. Raises ValueError where they were asked for something else, or the file is none of ours."""
    if not file.exists():
        return []
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        unlike = [name for name, value in about.items() if told[name] != value]
        trials = [Trial(**{**one, "settings": recipes.Settings(**one["settings"])}) for one in told["trials"]]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise ValueError(f"cannot go on from {file} ({fault}): choose another --out, or delete it to begin anew") from fault
    if unlike:
        raise ValueError(
            f"{file} holds trials with another {', '.join(unlike)}, expected those of this command: choose another --out, or "
            f"delete it to begin anew"
        )
    return trials


def _try(given: argparse.Namespace, tuning: Tuning, done: list[Trial], about: Mapping[str, Any], out: Path) -> None:
    """Adds the trials that are lacking to `done`, and each to the disk as soon as it is there."""
    from tqdm import tqdm

    with tqdm(total=max(given.trials, len(done)), initial=len(done), unit="trial", desc="tuning") as bar:
        for trial, pictures in tuning.run(given.trials, tuple(done)):
            if pictures is not None:
                images.save_image(torch.cat(list(_shown(pictures)), dim=-1), _file(out, trial))
            done.append(trial)
            _write(out / "trials.json", {"ppgn": __version__, **about, "trials": [_plain(one) for one in done]})
            best = max(done, key=lambda one: one.order)
            bar.set_postfix_str(f"best: trial {best.number}, {_number(best.log_prob)}", refresh=False)
            bar.update()


def _plain(trial: Trial) -> dict[str, Any]:
    return {**vars(trial), "settings": dataclasses.asdict(trial.settings)}


def _write(file: Path, told: Mapping[str, Any]) -> None:
    text = json.dumps(told, indent=1) + "\n"
    images.write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))


def _file(out: Path, trial: Trial) -> Path:
    return out / f"trial_{trial.number:03d}.png"


def _shown(several: Any) -> Any:
    """At most TILES of them, evenly spaced."""
    return several[:: -(-len(several) // TILES)]


def _picture(out: Path, rows: Sequence[Trial], names: Sequence[str], channels: int) -> Any:
    """A row of pictures for each trial that has them, its number and value below the first one."""
    tiles: list[Tensor] = []
    labels: list[str] = []
    shown = _shown(names)
    for trial in (row for row in rows if not row.stopped):
        tiles += images.load_image(_file(out, trial), channels=channels).chunk(len(shown), -1)
        first = f"{_title(trial)}: {_number(trial.log_prob)}"
        labels += [f"{first} {shown[0]}", *shown[1:]] if len(set(shown)) > 1 else [first, *[""] * (len(shown) - 1)]
    return images.grid(tiles, labels, columns=len(shown))


def _title(trial: Trial) -> str:
    return "default" if trial.number == 0 else f"trial {trial.number}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _measure(asked: Asked) -> str:
    if asked.probability or not asked.plugged:
        return "log-probability"
    return "activation" if asked.kind == "unit" else "value"


def _table(tuning: Tuning, rows: Sequence[Trial], measure: str) -> str:
    """A line for codes like real ones, for the default and for each of the best trials."""
    names = list(tuning.ranges)
    lines = [["", measure, "gap", "diversity", "steps", *names, ""], ["---"] * (len(names) + 6)]
    lines.append(["like real ones", _number(tuning.reference.log_prob), "1", "1", *[""] * (len(names) + 2)])
    for trial in rows:
        values = [_number(value) for value in (trial.log_prob, trial.gap, trial.diversity)]
        settings = [f"{getattr(trial.settings, name):.3g}" for name in ("steps", *names)]
        lines.append([_title(trial), *values, *settings, _fault(tuning, trial)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fault(tuning: Tuning, trial: Trial) -> str:
    """Which limits it breaks."""
    if trial.gap is None or trial.diversity is None:
        return "stopped"
    far = ["gap"] if trial.gap > tuning.most_gap else []
    return " and ".join(far + (["diversity"] if trial.diversity < tuning.least_diversity else []))


def _verdict(best: Trial) -> str:
    if best.excess:
        return (
            f"no trial kept the limits, {_title(best)} comes nearest: raise --trials or --most-gap, or lower --least-diversity "
            f"(with another --out)"
        )
    return "the default is best" if best.number == 0 else f"trial {best.number} is best"
