"""From a folder of pictures to a bundle, in one call: every stage by the clock, kept once it is finished."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

from ppgn.bundle import Bundle, check_place
from ppgn.images import height_and_width
from training.bundle_end import Looks, finish
from training.fine_tuning import keep_source, source_bundle
from training.picture_pack import PACK, PackFacts, PictureFolder, check_folder, pack_pictures
from training.run_journal import Journal
from training.run_state import RunState
from training.stage_training import train_stage
from training.stages import LITE0, POOLED, Plan, Sizes
from training.trunks import lite0_file

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
WORTH_CACHING = 20.0
"""Features of the real pictures take two passes of the trunk over all of them. A picture in an update costs about ten passes, one
of which they save: they pay in a training that takes twenty times as long as they do."""
SIDES = (16, 32, 64, 128, 256)
"""Sides of pictures that a new generator can make."""


def train_bundle(
    data: PictureFolder,
    name: str,
    hours: float = 3.0,
    start_from: str | None = None,
    size: int | None = None,
    sizes: Sizes = Sizes(),
    run: Path | None = None,
    out: Path | None = None,
    checkpoint_minutes: float = 3.0,
    seed: int = 0,
    licence: str = "unstated",
    source: str = "trained with ppgn",
) -> Path:
    """Trains all networks of a bundle on a folder of pictures and writes it; called again, it goes on where it was.

    Args:
        data: the pictures.
        name: what `ppgn sample` will call the bundle.
        hours: of training in all, without what a kill loses. Given more, the generator of a finished run is trained on.
        start_from: a bundle whose trunk and fc6 are kept and whose generator is trained on: its pictures' size is kept, too.
        size: side of the pictures, 64 by default.
        sizes: of networks and batches.
        run: folder of the stages and the page, `runs/NAME` by default.
        out: where to write the bundle, `checkpoints/NAME` by default.
        checkpoint_minutes: between two checkpoints of a stage.
        seed: of weights and batches.
        licence: of the weights.
        source: who made them.

    Returns the bundle's folder. Raises ValueError for what cannot be trained.
    """
    run, out = run or Path("runs") / name, out or Path("checkpoints") / name
    started = time.monotonic()
    bundle = _check(data, name, hours, start_from, size, sizes)
    side = bundle.image.size if bundle else height_and_width(size or 64)
    folder = {"root": str(data.root.resolve()), "validation_share": data.validation_share, "split_seed": data.split_seed}
    options = {**folder, "size": list(side), "from": start_from, "sizes": vars(sizes), "seed": seed}
    state = RunState.open(run, options)
    _check_out(out, state, name)
    begun_with = f", starting from {start_from}" if start_from else ""
    journal = Journal(state, 3600 * hours, f"{hours:g} hours for {data.root}, {side[0]}x{side[1]} pixels{begun_with}.")
    with state.locked():
        state.give(hours)
        facts = _pictures(data, side, run, journal, started)
        plan = Plan(run, side, sizes, keep_source(bundle, run / "source") if bundle else None)
        _train(plan, journal, checkpoint_minutes, seed)
        about = {"name": name, "licence": licence, "source": source, "training": {"hours": hours, **_public(options)}}
        return finish(plan, journal, out, {**about, **_found(data, facts, state)})


def _train(plan: Plan, journal: Journal, checkpoint_minutes: float, seed: int) -> None:
    """The stages that are not finished, in their order. What they share is made first, and takes its time from all of them."""
    if plan.frozen:
        journal.prepare("features", lambda: plan.keep_features(journal.say))
    for stage in plan.stages():
        if stage.name == "noise_level":
            journal.prepare("codes", plan.all_codes)
            (plan.run / POOLED).unlink(missing_ok=True)  # the largest file of the run, and no longer needed
        if journal.state.found(stage.name):
            continue
        seconds = journal.begin(stage.name)
        if stage.name == "generator":
            made = (journal.state.found("features") or journal.state.content["stages"]["codes"])["seconds"]
            plan = dataclasses.replace(plan, cache=seconds > WORTH_CACHING * made)
            stage = next(one for one in plan.stages() if one.name == stage.name)
        found = train_stage(stage, plan.run, seconds, checkpoint_minutes, seed, journal.tell, Looks(plan, journal))
        (plan.run / stage.name / "features.safetensors").unlink(missing_ok=True)
        journal.finish(stage.name, found)


def _check(data: PictureFolder, name: str, hours: float, start_from: str | None, size: int | None, sizes: Sizes) -> Bundle | None:
    """The bundle to start from, if any. Raises ValueError for an option that cannot be."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"got the name {name!r}, expected letters, digits, dots, dashes and underscores alone: choose another one"
        )
    if not hours > 0:
        raise ValueError(f"got {hours:g} hours, expected more than 0: give the time that the training may take")
    check_folder(data)
    if start_from:
        bundle = source_bundle(start_from)
        if size and (size, size) != bundle.image.size:
            made = "x".join(map(str, bundle.image.size))
            raise ValueError(f"got size {size}, expected that of the bundle {start_from}, {made}: leave size out")
        return bundle
    if (size or 64) not in SIDES:
        raise ValueError(f"got size {size}, expected one of {', '.join(map(str, SIDES))}: choose the nearest")
    if sizes.trunk == LITE0 and sizes.trunk_weights is None:
        lite0_file()
    return None


def _check_out(out: Path, state: RunState, name: str) -> None:
    check_place(out)
    if (out / "bundle.json").is_file() and state.content["bundle"] != str(out):
        raise ValueError(f"bundle {name} is there already ({out}), expected a new one: choose another name, or move it away")


def _pictures(data: PictureFolder, side: tuple[int, int], run: Path, journal: Journal, started: float) -> PackFacts:
    """Packs the pictures, in a first stage that has no time of its own."""
    facts = pack_pictures(data, side, run / PACK, journal.say)
    if not journal.state.found("pictures"):
        left_out = {"left_out": len(facts.broken)} if facts.broken else {}
        journal.about += f" {facts.counts[0]} pictures of {len(facts.classes)} classes to train on, {facts.counts[1]} held out."
        journal.finish("pictures", {"seconds": round(time.monotonic() - started, 1), "scores": left_out, "about": journal.about})
    journal.about = journal.state.content["stages"]["pictures"]["about"]
    return facts


def _found(data: PictureFolder, facts: PackFacts, state: RunState) -> dict[str, Any]:
    """The fields of a bundle about its pictures and the last figures of its stages."""
    return {
        "data": {"name": data.root.resolve().name, "train": facts.counts[0], "split": "train"},
        "scores": {stage: found["scores"] for stage, found in state.content["stages"].items() if found.get("updates")},
    }


def _public(options: dict[str, Any]) -> dict[str, Any]:
    """What made the bundle, less what only means something on this machine."""
    sizes = {key: value for key, value in options["sizes"].items() if key != "trunk_weights"}
    return {"script": "train_bundle", "size": options["size"], "from": options["from"], "sizes": sizes, "seed": options["seed"]}
