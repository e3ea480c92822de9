"""The end of a run: samples while the generator trains, the bundle, and the search for its settings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import ppgn
from ppgn.bundle import Bundle
from ppgn.images import save_image
from training import settings_search
from training.bundle_parts import gathered, ready, write
from training.run_journal import SAMPLES, Journal
from training.stages import Plan

SHOWN, OF_EACH, FIRST_STEPS = 5, 6, 5
"""Classes of the first samples, samples of each, and steps of their chains while the generator trains."""
LOOKING = 0.04
"""Share of the time that first samples may take."""


class Looks:
    """First samples of the generator while it trains, as often as LOOKING allows."""

    def __init__(self, plan: Plan, journal: Journal) -> None:
        self.plan, self.journal = plan, journal
        self.begun, self.took = time.monotonic(), 0.0

    def __call__(self, stage: str, system: Any) -> None:
        if stage != "generator" or self.took > LOOKING * (time.monotonic() - self.begun):
            return
        begun = time.monotonic()
        with torch.random.fork_rng(devices=[]):
            show_samples(ready(gathered(self.plan, system.average.module)), self.plan.run, steps=FIRST_STEPS)
        self.took += time.monotonic() - begun
        self.journal.write()


def show_samples(bundle: Bundle, run: Path, **changes: Any) -> None:
    """Samples of the first classes, a row each, seeds from 0 on, into the run folder."""
    classes = [index for index in range(min(SHOWN, len(bundle.classes))) for _ in range(OF_EACH)]
    samples = ppgn.sample(bundle, classes, seed=0, **changes)
    save_image(samples.grid([bundle.classes[index] for index in classes], OF_EACH), run / SAMPLES)


def finish(plan: Plan, journal: Journal, out: Path, about: Mapping[str, Any]) -> Path:
    """Writes the bundle with the recipes it begins with, and again with the settings found; then the page."""
    bundle, state = gathered(plan), journal.state
    found = state.found("settings")
    state.content["bundle"] = str(out)
    state.write()
    if found is None:
        write(plan, bundle, out, about)
        journal.say(f"wrote {out} with the settings it begins with")
        seconds, begun = journal.begin("settings"), time.monotonic()
        pictures = plan.pictures()
        pictures.setup()
        fast = ready(bundle)
        trials = settings_search.search(fast, pictures.validation_pictures, seconds, state.trials, journal.keep_trial)
        _take(bundle, trials["chosen"])
        _take(fast, trials["chosen"])
        show_samples(fast, plan.run)
        journal.finish("settings", {"seconds": round(time.monotonic() - begun, 1), "scores": {}, "trials": trials})
    else:
        _take(bundle, found["trials"]["chosen"])
    journal.write()
    return write(plan, bundle, out, about)


def _take(bundle: Bundle, chosen: Mapping[str, Any]) -> None:
    """Makes a trial the bundle's recipe for its classes."""
    recipe = bundle.recipes["class"]
    bundle.recipes["class"] = {
        **recipe, "steps": chosen["steps"], "start": {**recipe["start"], "guidance": chosen["guidance"]},
    }  # fmt: skip
