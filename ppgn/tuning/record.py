"""A search on the disk: every trial is kept as soon as it is there, and a later run goes on after the last one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import __version__, images
from ppgn.bundle import Bundle
from ppgn.errors import one_line
from ppgn.requests import fingerprint, source_of, weights_of
from ppgn.tuning import report
from ppgn.tuning.page import page
from ppgn.tuning.search import Tuning
from ppgn.tuning.trial import Trial, best_of

TRIALS, SETTINGS, PICTURE, PAGE = "trials.json", "settings.json", "tune.png", "tune.html"
WORDS = {
    "weights": "weights of the bundle", "source": "code of the condition", "judge_source": "code of the judge",
    "reference": "value of the condition at realistic codes",
}  # fmt: skip
"""Facts that messages call by another name."""
ROUNDING = 0.01
"""How far a mean over pictures moves in another precision; an edited network moves it further."""
OnTrial = Callable[[Trial], None]
"""Called with each trial once it is on the disk."""


class Study:
    """The trials of a search in a folder.

    trials.json and trial_NNN.png hold the trials, with at most `report.TILES` pictures each. Where they are there already, the
    study goes on from them. settings.json holds the best recipe, tune.png shows its pictures beside the default's, and tune.html
    says what was searched and why this recipe (`page`).

    Attributes: folder, tuning, trials (those made so far, earlier runs included). Raises ValueError where trials.json cannot be
    read, and where its trials are of another search: of another bundle, request, default recipe, seeds or limits. A function that
    was edited, or a network whose values at realistic codes have changed, is another one.
    """

    def __init__(self, folder: str | Path, tuning: Tuning) -> None:
        self.folder, self.tuning = Path(folder), tuning
        self.about = _about(tuning)
        self.trials = _read(self.folder / TRIALS, self.about)

    @property
    def best(self) -> Trial:
        """The best trial so far. Raises ValueError where there is none, or where the chains of all of them stopped."""
        if not self.trials:
            raise ValueError(f"the study in {self.folder} has no trial, expected at least one: run it first")
        best = best_of(self.trials)
        if best.stopped:
            raise ValueError(
                f"the chains of all {len(self.trials)} trials stopped, in the default because {self.trials[0].stopped}: begin "
                f"with smaller scales, in another folder"
            )
        return best

    def run(self, trials: int = 20, watch: OnTrial | None = None) -> None:
        """Makes the trials that are lacking to that number, those in the folder included. watch: called after each.

        Raises ValueError when trials < 1, and where another process runs a study in the folder.
        """
        if trials < 1:
            raise ValueError(f"got trials {trials}, expected at least 1: the first one is the default")
        with images.alone_in(images.make_folder(self.folder)):
            self.trials = _read(self.folder / TRIALS, self.about)  # another process may have made some since
            for trial, pictures in self.tuning.run(trials, tuple(self.trials)):
                if pictures is not None:
                    images.save_image(torch.cat(list(report.shown(pictures)), dim=-1), self._picture_file(trial))
                self.trials.append(trial)
                stored = [one.to_json() for one in self.trials]
                _write(self.folder / TRIALS, {"ppgn": __version__, **self.about, "trials": stored})
                if watch is not None:
                    watch(trial)

    def save(self, use: str = "") -> Trial:
        """Writes settings.json, tune.png and tune.html, and returns the best trial. use: as `page` takes it. Raises ValueError as
        `best` does."""
        best = self.best
        stored = best.to_json()
        recipe = stored.pop("recipe")
        _write(self.folder / SETTINGS, {"ppgn": __version__, **self.about, "trial": stored, "recipe": recipe})
        images.save_image(report.picture(self.tuning, self.trials, self.pictures), self.folder / PICTURE)
        text = page(self, use)
        images.write_atomically(
            self.folder / PAGE, lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace")
        )
        return best

    def table(self) -> str:
        """Realistic codes, the default and the best trials as a table in Markdown (`report.table`)."""
        return report.table(self.tuning, self.trials)

    def legend(self) -> str:
        """What the columns of the table count, a line each."""
        return "\n".join(report.legend(self.tuning))

    def verdict(self) -> str:
        """The sentence that says which trial is best."""
        return report.verdict(self.trials)

    def _picture_file(self, trial: Trial) -> Path:
        return self.folder / f"trial_{trial.number:03d}.png"

    def pictures(self, trial: Trial) -> Tensor:
        """The kept pictures of a trial, `[chain, channel, height, width]`; white where their file was deleted."""
        count = len(report.shown(self.tuning.request.names))
        size = self.tuning.bundle.image
        if not self._picture_file(trial).exists():
            return torch.ones(count, *size.shape)
        strip = images.load_image(self._picture_file(trial), channels=size.channels)
        if strip.shape != (size.channels, size.height, count * size.width):
            raise ValueError(f"{self._picture_file(trial)} holds no {count} pictures of {size.size}: delete it")
        return torch.stack(strip.chunk(count, -1))


def tune(
    bundle: Bundle, wanted: Any, folder: str | Path, *, trials: int = 20, watch: OnTrial | None = None, **search: Any
) -> Study:
    """Finds a recipe for a request on short chains, and writes it with all that led to it into a folder.

    wanted: a class, a request or any function, as `sampling.sample` takes it. trials: recipes to try, those already in the
    folder included; the first one is the default. watch: called after each trial. search: as `Tuning` takes it, e.g. count=4,
    most_gap=4.0, sampler="released". The best recipe is `study.best.recipe`. Raises ValueError as `Tuning` and `Study` do.
    """
    study = Study(folder, Tuning(bundle, wanted, **search))
    study.run(trials, watch)
    study.save()
    return study


def _about(tuning: Tuning) -> dict[str, Any]:
    """The facts that the trials of a study have in common, as JSON has them."""
    judge = tuning.judge
    found = {
        "bundle": tuning.bundle.name,
        "weights": weights_of(tuning.bundle),
        "condition": {**tuning.request.describe(), "names": tuning.request.names},
        "source": source_of(tuning.request),
        "kinds": tuning.kinds,
        "seeds": tuning.seeds,
        "judge": None if judge is None else getattr(judge, "__qualname__", type(judge).__qualname__),
        "judge_source": None if judge is None else fingerprint(judge),
        "reference": tuning.reference.log_prob,
        "most_gap": tuning.most_gap,
        "least_diversity": tuning.least_diversity,
        "enough": tuning.enough,
        "default": tuning.recipe.to_json(),
        "searched": list(tuning.ranges),
    }
    return json.loads(json.dumps(found))


def _read(file: Path, about: Mapping[str, Any]) -> list[Trial]:
    """The trials of an earlier run, none where there was none. Raises ValueError for those of another search."""
    if not file.exists():
        return []
    fix = "choose another folder, or delete the file to begin anew"
    images.check_regular(file)
    try:
        stored = json.loads(file.read_text(encoding="utf-8-sig"))
        unlike = [WORDS.get(name, name) for name, value in about.items() if not _alike(stored.get(name), value)]
        trials = [Trial.from_json(one) for one in stored["trials"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise ValueError(f"cannot go on from {file} ({one_line(fault)}): {fix}") from fault
    if unlike:
        raise ValueError(f"{file} holds trials with another {', '.join(unlike)}, expected those of this search: {fix}")
    return trials


def _alike(before: Any, now: Any) -> bool:
    """Whether two facts are equal; numbers that networks compute are so but for the rounding of other hardware."""
    if isinstance(before, float) and isinstance(now, float):
        return math.isclose(before, now, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return before == now


def _write(file: Path, stored: Mapping[str, Any]) -> None:
    text = json.dumps(stored, indent=1) + "\n"
    images.write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))
