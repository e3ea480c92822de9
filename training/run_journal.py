"""What a run says while it runs: a line every half minute, and a page that grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppgn.images import write_atomically
from training.progress import duration
from training.run_report import LABELS, TITLES, page
from training.run_state import RunState
from training.stages import seconds_for
from training.time_budget import TimeBudget

EVERY = 30.0
"""Seconds between two lines."""
SAMPLES = Path("samples.png")
PICTURES = {
    "Held-out pictures, each beside its reconstruction": Path("generator") / "reconstructions.png",
    "Samples of the first classes, not selected": SAMPLES,
}


class Journal:
    """Lines on stderr, with a terminal or without, and `report.html` in the run folder.

    total: seconds of the run. about: a sentence at the head of the page.
    """

    def __init__(self, state: RunState, total: float, about: str) -> None:
        self.state, self.total, self.about = state, total, about
        self.current: dict[str, Any] = {}
        self.said_at = time.monotonic()

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def begin(self, stage: str) -> float:
        """Announces a stage; returns the seconds that it gets."""
        seconds = seconds_for(stage, self.total, self.state.spent, set(self.state.content["stages"]))
        self.current = {"name": stage, "seconds": 0.0, "of": seconds, "updates": 0, "history": [], "scores": {}}
        self.say(f"{TITLES[stage]}: {duration(seconds)} of {duration(self.total)}")
        self.write()
        return seconds

    def prepare(self, name: str, make: Callable[[], Any]) -> None:
        """Makes what the stages share, unless it is made: it has no time of its own, and its time is counted."""
        if self.state.found(name):
            return
        self.say(TITLES[name])
        begun = time.monotonic()
        make()
        self.finish(name, {"seconds": round(time.monotonic() - begun, 1), "scores": {}})

    def tell(self, stage: str, budget: TimeBudget, metrics: Mapping[str, Any]) -> None:
        """After every update: now and then a line, and the page."""
        if time.monotonic() - self.said_at < min(EVERY, budget.pace.seconds / 8):
            return
        self.said_at = time.monotonic()
        scores = {name: float(value) for name, value in metrics.items()}
        self.current |= {
            "seconds": budget.spent, "updates": budget.updates, "history": budget.history, "scores": scores,
        }  # fmt: skip
        losses, held_out = (
            ", ".join(f"{name[len(split) :]} {value:.3g}" for name, value in scores.items() if name in LABELS and split in name)
            for split in ("train/", "val/")
        )
        losses += f"  (held out: {held_out})" if held_out else ""
        later = self.total - self.state.spent - budget.spent
        self.say(
            f"{TITLES[stage]} {budget.progress:4.0%}  {budget.updates:,} updates  {losses}  "
            f"{duration(budget.left)} left of this stage, {duration(later)} in all"
        )
        self.write()

    def finish(self, stage: str, found: Mapping[str, Any]) -> None:
        """Keeps what a stage found: it is not done again."""
        self.state.finish(stage, {**found, "of": self.current.get("of", found["seconds"])})
        self.current = {}
        self.write()

    def keep_trial(self, trial: dict[str, Any]) -> None:
        """Keeps a trial of settings, and says what it gave."""
        self.state.trials.append(trial)
        self.state.write()
        self.say(
            f"guidance {trial['guidance']:g}, {trial['steps']} steps: recognised {trial['accuracy']:.3f}, "
            f"diversity {trial['diversity']:.3f}"
        )

    def stages(self) -> list[dict[str, Any]]:
        """The rows of the page, in their order."""
        rows = []
        for name in TITLES:
            empty = {"name": name, "seconds": 0.0, "of": 0.0, "updates": 0, "history": [], "scores": {}, "state": "waits"}
            found = self.state.found(name)
            if found:
                rows.append({**empty, **found, "name": name, "state": "finished"})
            elif self.current.get("name") == name:
                rows.append({**empty, **self.current, "state": "runs"})
            elif name != "features":  # which a trunk that is trained does not have
                rows.append(empty)
        return rows

    def write(self) -> None:
        """The page, in one move."""
        folder = self.state.folder
        pictures = {caption: folder / file for caption, file in PICTURES.items()}
        settings = (self.state.found("settings") or {}).get("trials", {})
        text = page(f"Training of {folder.name}", self.about, self.stages(), pictures, settings)
        write_atomically(folder / "report.html", lambda path: path.write_text(text, encoding="utf-8"))
