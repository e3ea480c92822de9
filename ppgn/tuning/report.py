"""The trials of a search as a table, a picture and a sentence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.samplers import Linear
from ppgn.tuning.search import Tuning
from ppgn.tuning.space import END
from ppgn.tuning.trial import Trial, best_of

SHOWN = 4
"""Best trials in the table and in the picture, beside the default."""
TILES = 8
"""Most pictures of a trial that are kept and shown."""
Sliced = TypeVar("Sliced", Tensor, Sequence[str])


def rows(trials: Sequence[Trial]) -> list[Trial]:
    """The default and the best of the other trials, best first."""
    return [trials[0], *sorted(trials[1:], key=lambda trial: trial.order, reverse=True)[:SHOWN]]


def shown(several: Sliced) -> Sliced:
    """At most TILES of them, evenly spaced."""
    return several[:: -(-len(several) // TILES)]


def table(tuning: Tuning, trials: Sequence[Trial]) -> str:
    """A table in Markdown: realistic codes, the default and the best trials; its last column names the limits that are broken."""
    lines = [headings(tuning), ["realistic codes", number(tuning.reference.log_prob), "1", "1"]]
    lines[1] += [""] * (len(lines[0]) - 4)
    lines += [[*cells(tuning, trial), broken(tuning, trial)] for trial in rows(trials)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def headings(tuning: Tuning) -> list[str]:
    """The columns of a table of trials; of the last one the cells are `broken`, of the others `cells`."""
    flat, names = tuning.recipe.flat(), _columns(tuning)
    ends = {name for name in names if isinstance(flat[name], Linear) or (name == "step_size" and END in tuning.ranges)}
    scales = [f"{name} (start:end)" if name in ends else name for name in names]
    return ["trial", measure(tuning), "gap (1: realistic)", "diversity (1: realistic)", "steps", *scales, "left out"]


def cells(tuning: Tuning, trial: Trial) -> list[str]:
    """A trial's title, means, steps and settings, as text."""
    flat = trial.recipe.flat()
    values = [number(value) for value in (trial.log_prob, trial.gap, trial.diversity)]
    return [trial.title, *values, *(_setting(flat[name]) for name in ("steps", *_columns(tuning)))]


def legend(tuning: Tuning) -> list[str]:
    """What the columns of the table count, a sentence each."""
    return [
        f"{measure(tuning)}: the mean over {len(tuning.request)} chains",
        f"gap: how far codes are from what the generator knows, |E(G(h)) - h|; that of realistic codes is 1, the limit at most "
        f"{tuning.most_gap:g}",
        f"diversity: how unlike each other the pictures of one target are; that of realistic codes is 1, the limit at least "
        f"{tuning.least_diversity:g}",
    ]


def frontier(tuning: Tuning, trials: Sequence[Trial]) -> list[Trial]:
    """The trials that no other one beats in both value and gap, from the least gap on, of those that are diverse enough."""
    found: list[Trial] = []
    best = -math.inf
    ran = [(trial, *trial.means) for trial in trials if trial.means is not None]
    for trial, value, _, diversity in sorted(ran, key=lambda row: (row[2], -row[1], row[0].number)):
        if diversity >= tuning.least_diversity and value > best:
            found.append(trial)
            best = value
    return found


def picture(tuning: Tuning, trials: Sequence[Trial], tiles_of: Callable[[Trial], Tensor]) -> Pillow.Image:
    """A row of pictures for the default and for each of the best trials, its title and value below the first picture.

    tiles_of: trial -> its shown pictures, `[chain, channel, height, width]`. Stopped trials have none and are left out.
    """
    names = shown(tuning.request.names)
    tiles: list[Tensor] = []
    labels: list[str] = []
    for trial in (row for row in rows(trials) if not row.stopped):
        tiles += list(tiles_of(trial))
        first = f"{trial.title}: {number(trial.log_prob)}"
        several = len(set(names)) > 1
        labels += [f"{first} {names[0]}", *names[1:]] if several else [first, *[""] * (len(names) - 1)]
    return images.grid(tiles, labels, columns=len(names))


def verdict(trials: Sequence[Trial]) -> str:
    """The sentence that says which trial is best."""
    best = best_of(trials)
    if best.excess:
        return (
            f"no trial kept the limits, {best.title} comes nearest: raise trials, or raise most_gap or lower least_diversity in "
            f"another folder"
        )
    return "the default is best" if best.number == 0 else f"{best.title} is best"


def number(value: float | None) -> str:
    """A value in three digits; "-" for none."""
    return "-" if value is None else f"{value:.3g}"


def _columns(tuning: Tuning) -> list[str]:
    """The settings that a table shows: those searched, a step_size with its end."""
    return list(dict.fromkeys("step_size" if name == END else name for name in tuning.ranges))


def _setting(value: Any) -> str:
    return f"{value.start:.3g}:{value.end:.3g}" if isinstance(value, Linear) else f"{value:.3g}"


def measure(tuning: Tuning) -> str:
    """What is maximised, with its unit where it has one."""
    if tuning.judge is not None:
        return "value of the judge"
    if tuning.counts_probability:
        return "log-probability (nats)"
    return tuning.request.quantity(tuning.recipe.measure)


def broken(tuning: Tuning, trial: Trial) -> str:
    """The limits that a trial breaks."""
    if trial.means is None:
        return "stopped"
    _, gap, diversity = trial.means
    far = ["gap"] if gap > tuning.most_gap else []
    return " and ".join(far + (["diversity"] if diversity < tuning.least_diversity else []))
