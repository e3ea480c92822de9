"""The trials of a search as a table, a picture and a sentence."""

from __future__ import annotations

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
    names = list(dict.fromkeys("step_size" if name == END else name for name in tuning.ranges))
    lines = [["", _measure(tuning), "gap", "diversity", "steps", *names, ""], ["---"] * (len(names) + 6)]
    lines.append(["realistic codes", number(tuning.reference.log_prob), "1", "1", *[""] * (len(names) + 2)])
    for trial in rows(trials):
        flat = trial.recipe.flat()
        values = [number(value) for value in (trial.log_prob, trial.gap, trial.diversity)]
        lines.append([trial.title, *values, *(_setting(flat[name]) for name in ("steps", *names)), _broken(tuning, trial)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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


def _setting(value: Any) -> str:
    return f"{value.start:.3g}:{value.end:.3g}" if isinstance(value, Linear) else f"{value:.3g}"


def _measure(tuning: Tuning) -> str:
    """The heading of the column of what is maximised."""
    if tuning.judge is not None:
        return "judge"
    if tuning.counts_probability:
        return "log-probability"
    return tuning.request.quantity(tuning.recipe.measure)


def _broken(tuning: Tuning, trial: Trial) -> str:
    """The limits that a trial breaks."""
    if trial.gap is None or trial.diversity is None:
        return "stopped"
    far = ["gap"] if trial.gap > tuning.most_gap else []
    return " and ".join(far + (["diversity"] if trial.diversity < tuning.least_diversity else []))
