"""`ppgn chain`: what chains look like on their way, through one class, unit or condition after the other."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ppgn import bundle, chain, images, recipes, video
from ppgn.cli.asked import asked_for, kind_of
from ppgn.cli.sample import changes_of, device, progress, report_stops, stops_without_warning
from ppgn.cli.target import Asked
from ppgn.types import Evaluation

WIDE = -88.8
"""A log-probability as long as any on a label, so that all frames leave as much room below their tiles."""


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, and writes the frames as they come."""
    sheet = Path(given.out).suffix.lower() not in video.FASTEST
    if sheet:
        images.check_writable(given.out, (*images.picture_extensions(), *video.FASTEST))
    else:
        video.check_video(given.out, given.fps)
    for name in ("count", "every"):
        if getattr(given, name) < 1:
            raise ValueError(f"got --{name} {getattr(given, name)}, expected at least 1: leave it out, or give 1 or more")
    loaded = bundle.load_bundle(given.bundle, device(given.device))
    changes = changes_of(given)
    settings = recipes.settings_for(loaded, kind=kind_of(given), **changes)
    asked = asked_for(given, loaded, settings)
    start = None
    if given.picture is not None:
        picture = images.load_image(given.picture, loaded.image_size, loaded.channels)
        start = recipes.repeated(recipes.picture_code(loaded, picture, settings), range(given.count))
    conditions: list[Any] = [asked.make([target] * given.count) if asked.plugged else target for target in asked.names]
    del changes["steps"]
    pairs = recipes.in_turn(loaded, conditions, settings.steps, count=given.count, seed=given.seed, code=start, **changes)
    stopped: dict[int, str] = {}
    with stops_without_warning(), progress(settings.steps * len(conditions) + 1) as watch:
        watched = _watched(pairs, watch, stopped)
        frames = _frames(chain.thin(watched, given.every), asked, settings.steps, given.no_labels)
        if sheet:
            images.save_image(images.sheet(list(frames)), given.out)
        else:
            video.save_video(frames, given.out, frames_per_second=given.fps)
    report_stops(stopped)
    print(f"wrote {given.out}: {given.count} chains through {', '.join(asked.names.values())}, {settings.steps} steps each")
    return 0


def _watched(
    pairs: Iterator[chain.Step], watch: Callable[[int, Evaluation], None], stopped: dict[int, str]
) -> Iterator[chain.Step]:
    for state, evaluation in pairs:
        watch(state.step, evaluation)
        stopped.update(evaluation.stopped)
        yield state, evaluation


def _frames(pairs: Iterator[chain.Step], asked: Asked, steps_each: int, plain: bool) -> Iterator[Pillow.Image]:
    """A picture of all chains for each step, labelled with what they are asked for and what it says of them."""
    targets = list(asked.names)
    room = [asked.label(target, WIDE) for target in targets]
    for state, evaluation in pairs:
        target = targets[chain.turn(state.step - 1, steps_each)]
        labels = None if plain else [asked.label(target, value) for value in evaluation.log_probs["condition"].tolist()]
        yield images.grid(evaluation.image, labels, room_for=room)
