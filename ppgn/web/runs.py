"""Runs of chains on the page: begun, stopped, gone on with, and drawn while they move."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from PIL import Image as Pillow

from ppgn import evaluation, images
from ppgn.web import export, widgets
from ppgn.web.options import House
from ppgn.web.sample_parts import SampleParts
from ppgn.web.visitor import Asked, Visitor, texts
from ppgn.web.wanting import Wanting

LONGEST_MASK = 4_000_000
"""Characters of a painted hole."""


class Runs:
    """What the buttons of the tab Sample do that begin, stop and go on."""

    def __init__(self, house: House, parts: SampleParts, wanting: Wanting) -> None:
        self.house, self.parts, self.wanting = house, parts, wanting

    def on_start(
        self, visitor: Visitor, name: str, wanted: list[str], form: Any, chains: int, seed: int, variation: float
    ) -> Iterator[dict[Any, Any]]:
        """A new run, to its end or until it is stopped."""

        def begin() -> None:
            bundle = self.house.bundle(name)
            asked, request = self.wanting.asked(visitor, bundle, wanted, form)
            if request is None:
                raise ValueError("got nothing that is wanted, expected a class, a unit or a sentence: choose one")
            options = {"recipe": asked.recipe or None, "start_noise": variation, **asked.changes}
            visitor.begin(bundle, request, asked, self._chains(chains), int(seed or 0), where=name, **options)

        yield from self._run(visitor, begin)

    def on_fill(
        self, visitor: Visitor, name: str, wanted: list[str], form: Any, chains: int, seed: int, painted: Any
    ) -> Iterator[dict[Any, Any]]:
        """A run that fills the hole that was painted."""

        def begin() -> None:
            bundle = self.house.bundle(name)
            asked, request = self.wanting.asked(visitor, bundle, wanted, form)
            hole = (visitor.picture, known_pixels(painted, bundle.image.size))
            if hole[0] is None or tuple(hole[0].shape) != bundle.image.shape:
                raise ValueError("got no picture to fill for this bundle, expected one: upload one, or take one of the pictures")
            asked = Asked(asked.wishes, "", {})
            visitor.begin(bundle, request, asked, self._chains(chains), int(seed or 0), where=name, hole=hole)

        yield from self._run(visitor, begin)

    def on_go_on(self, visitor: Visitor, name: str, wanted: list[str], form: Any) -> Iterator[dict[Any, Any]]:
        """The run goes on: to its end, or with what is wanted now."""

        def ask() -> None:
            if visitor.run is None or visitor.bundle is not self.house.bundle(name):
                raise ValueError("got no run of this bundle to go on with, expected one: start one")
            asked, request = self.wanting.asked(visitor, self.house.bundle(name), wanted, form)
            if visitor.hole is not None:
                asked = Asked(asked.wishes, "", {})  # which keeps its own recipe
            if visitor.run.left < 1 or asked != export.asked_of(visitor):
                if request is None:
                    raise ValueError("got nothing that is wanted, expected a class, a unit or a sentence: choose one")
                visitor.ask(asked, request)

        yield from self._run(visitor, ask)

    def on_stop(self, visitor: Visitor) -> dict[Any, Any]:
        """The run stops after this step."""
        visitor.stop.set()
        return {}

    def _chains(self, count: float) -> int:
        if not 1 <= int(count) <= self.house.options.chains:
            raise ValueError(f"got {int(count)} chains, expected 1 to {self.house.options.chains} on this page: ask for fewer")
        return int(count)

    def _run(self, visitor: Visitor, begin: Callable[[], None]) -> Iterator[dict[Any, Any]]:
        """The steps of a run, as they are made."""
        import gradio as gr

        at = self.parts
        with visitor.alone():
            yield {
                at.status: widgets.said("choosing where the chains begin"), at.start: gr.Button(visible=False),
                at.stop: gr.Button(visible=True), at.go_on: gr.Button(interactive=False), at.large_part: gr.Group(visible=False),
            }  # fmt: skip
            begun, fault = time.perf_counter(), None
            try:
                begin()
                for due in visitor.go(self.house.options.steps):
                    if due:
                        yield self._frame(visitor, time.perf_counter() - begun)
            except Exception as error:
                fault = widgets.as_sentence(error)
            yield self._ended(visitor, fault)

    def _frame(self, visitor: Visitor, seconds: float) -> dict[Any, Any]:
        """What moves on screen."""
        at, run = self.parts, visitor.run
        assert run is not None and run.evaluation is not None
        seen = run.evaluation
        shown = seen.image if visitor.hole is None else images.composite(seen.image, *visitor.hole)
        made = len(visitor.course.values)
        asked = export.asked_of(visitor)
        text = f"{texts(asked.wishes if asked else ())}: step {run.step}, {run.left} left, {made / seconds:.1f} steps a second"
        return {
            at.tiles: widgets.tile_rows(shown, labels_of(visitor), "chain", form="JPEG"),
            at.curves: f'<div class="curves">{"".join(evaluation.course_curves(visitor.course, quantity(visitor)))}</div>',
            at.status: widgets.said(text),
        }

    def _ended(self, visitor: Visitor, fault: str | None) -> dict[Any, Any]:
        """What stands there after a run: the pictures to the bit, and how they are made again."""
        import gradio as gr

        at, run, known = self.parts, visitor.run, self.wanting.known(visitor)
        found: dict[Any, Any] = {
            at.start: gr.Button("Start", visible=True), at.stop: gr.Button("Stop", visible=False),
            at.go_on: gr.Button("Go on", interactive=run is not None),
        }  # fmt: skip
        if run is None or run.evaluation is None:
            return found | {at.status: widgets.said("stopped") if fault is None else widgets.wrong(fault)}
        state = "stopped" if run.left > 0 else "done"
        asked = export.asked_of(visitor)
        text = f"{texts(asked.wishes if asked else ())}: {state} after {run.step} steps. Choose a picture, or go on."
        return found | {
            at.status: widgets.said(text) if fault is None else widgets.wrong(fault),
            at.tiles: widgets.tile_rows(export.shown(visitor), labels_of(visitor), "chain"),
            at.command: export.command(visitor, known), at.python: export.python(visitor, known),
        }  # fmt: skip


def labels_of(visitor: Visitor) -> list[str]:
    """A label for each chain of a run: what it is, and its value."""
    run = visitor.run
    assert run is not None and run.evaluation is not None
    values = run.evaluation.log_probs.get("condition", run.evaluation.log_prob).tolist()
    if run.request is None:
        return [f"seed {visitor.seed + chain}" for chain in range(len(values))]
    return [run.request.label(chain, value, run.recipe.measure) for chain, value in enumerate(values)]


def quantity(visitor: Visitor) -> str:
    """What the values of a visitor's run are."""
    run = visitor.run
    return "value" if run is None or run.request is None else run.request.quantity(run.recipe.measure)


def known_pixels(painted: Any, size: tuple[int, int]) -> torch.Tensor:
    """The mask `[1, height, width]` of the known pixels, 0 where white was painted. Raises ValueError where nothing was."""
    text = painted.get("mask", "") if isinstance(painted, Mapping) else ""
    start = "data:image/png;base64,"
    if not isinstance(text, str) or not text.startswith(start) or len(text) > LONGEST_MASK:
        raise ValueError("got no painted hole, expected one: paint on the picture, or add a box")
    try:
        file = io.BytesIO(base64.b64decode(text.removeprefix(start), validate=True))
        with Pillow.open(file, formats=["PNG"]) as found:
            got = found.size
            drawn = images.as_picture(found.convert("L"), 1) if got == (size[1], size[0]) else None
    except images.BROKEN_FILE as fault:
        raise ValueError("got a hole that cannot be read, expected a picture of it: paint it anew") from fault
    if drawn is None:
        raise ValueError(f"got a hole of {got[0]}x{got[1]} pixels, expected {size[1]}x{size[0]}: paint it anew")
    known = (drawn < 0.5).float()
    if bool(known.all()):
        raise ValueError("got no painted hole, expected one: paint on the picture, or add a box")
    if not bool(known.any()):
        raise ValueError("got a hole that is the whole picture, expected some known pixels: clear it and paint a smaller one")
    return known
