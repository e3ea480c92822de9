"""What the tab Sample does: chains of any wish, moving while they run."""

from __future__ import annotations

import base64
import binascii
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow

from ppgn import evaluation, images
from ppgn.bundle import Bundle
from ppgn.requests import Request
from ppgn.web import export, settings, widgets, wishes
from ppgn.web.options import House
from ppgn.web.sample_parts import SampleParts
from ppgn.web.visitor import Asked, Visitor, Visitors, texts
from ppgn.web.wishes import Known

FIRST = "church"
"""The wish that stands there at first, where the bundle has it."""
OWN_NETWORK = "the bundle's encoder"
LONGEST_MASK = 4_000_000
"""Characters of a painted hole."""


class SampleTab:
    """The tab's parts joined to what they do. bundle: the choice of the bundle, above all tabs."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any) -> None:
        self.house, self.visitors, self.bundle = house, visitors, bundle
        self.parts = SampleParts(house.options)
        self._join()

    def _join(self) -> None:
        at, heavy, light = self.parts, self.house.heavy, self.house.light
        run = self.run_outputs
        asked, chosen = [self.bundle, at.wanted, at.form], [at.wanted, at.status]
        for event, function, inputs, outputs, how in (
            (at.start.click, self.on_start, self.start_inputs, run, heavy),
            (at.fill.click, self.on_fill, [*asked, at.chains, at.seed, at.painter], run, heavy),
            (at.go_on.click, self.on_go_on, asked, run, heavy),
            (at.stop.click, self.on_stop, [], [at.status], light),
            (at.wanted.change, self.on_change, asked, [at.form, at.status], light),
            (self.bundle.change, self.on_bundle, [self.bundle], self.of_bundle, light),
            (at.recipe.input, self.on_recipe, [self.bundle, at.wanted, at.recipe], [at.form, at.status], light),
            (at.form.select, self.on_member, [self.bundle, at.form], [at.form, at.status], light),
            (at.network.input, self.on_network, [self.bundle, at.network], [at.layer, at.status], light),
            (at.add_unit.click, self.on_unit, [at.wanted, at.network, at.layer, at.unit], chosen, light),
            (at.add_sentence.click, self.on_sentence, [at.wanted, at.sentence], [at.wanted, at.sentence, at.status], light),
            (
                at.direction.upload,
                self.on_direction,
                [at.wanted, at.network, at.layer, at.direction],
                [at.wanted, at.status],
                light,
            ),
            (at.tiles.click, self.on_choose, [], [at.tiles, at.large_part, at.large, at.status], light),
            (at.begin_here.click, self.on_begin_here, [], [at.status, at.here_part], light),
            (at.forget.click, self.on_forget, [], [at.status, at.here_part], light),
            (at.to_hole.click, self.on_to_hole, [], [at.painter, at.hole_part, at.status], light),
            (at.upload.change, self.on_upload, [self.bundle, at.upload], [at.painter, at.status], light),
            (at.save.click, self.on_save, [], [at.files, at.status], light),
        ):
            event(widgets.handler(function, at.status, self.visitors), inputs, outputs, **how)

    @property
    def start_inputs(self) -> list[Any]:
        """What a new run needs."""
        at = self.parts
        return [self.bundle, at.wanted, at.form, at.chains, at.seed, at.variation]

    @property
    def run_outputs(self) -> list[Any]:
        """What a run changes."""
        at = self.parts
        return [at.status, at.tiles, at.curves, at.start, at.stop, at.go_on, at.command, at.python, at.large_part]

    @property
    def of_bundle(self) -> list[Any]:
        """The parts that another bundle changes."""
        at = self.parts
        return [at.wanted, at.recipe, at.form, at.network, at.layer, at.status]

    # What is wanted.

    def known(self, visitor: Visitor) -> Known:
        """What a visitor's wishes can name."""
        plain = self.house.options.known
        return Known(plain.networks, plain.functions, plain.similarity, visitor.directions)

    def asked(self, visitor: Visitor, bundle: Bundle, wanted: Sequence[str], form: Any) -> tuple[Asked, Request | None]:
        """What a visitor asks for, and its request; None without a wish. Raises ValueError for what cannot be."""
        listed, request = self.request(visitor, bundle, wanted) if wanted else ((), None)
        name, changes = settings.changes_of(bundle, "class" if request is None else request.kind, form)
        if int(changes.get("steps", 1)) > self.house.options.steps:
            raise ValueError(
                f"got {changes['steps']} steps, expected at most {self.house.options.steps} on this page: ask for fewer"
            )
        return Asked(listed, "" if name == settings.OWN else name, changes), request

    def request(self, visitor: Visitor, bundle: Bundle, wanted: Sequence[str]) -> tuple[tuple[wishes.Wish, ...], Request]:
        """The wishes of their texts, and their request. Raises ValueError for what cannot be, and for none."""
        known = self.known(visitor)
        listed = tuple(wishes.read_wish(one, known) for one in wanted)
        return listed, wishes.request_of(bundle, listed, known)

    def on_bundle(self, visitor: Visitor, name: str) -> dict[Any, Any]:
        """Another bundle: other classes, recipes, settings and layers."""
        import gradio as gr

        at, bundle = self.parts, self.house.bundle(name)
        networks = ([OWN_NETWORK] if bundle.encoder is not None else []) + [*self.house.options.networks]
        layers = self.layer_names(networks[0], name) if networks else []
        first = FIRST if FIRST in bundle.classes else next(iter(bundle.classes), None)
        visitor.code = None
        return {
            at.wanted: gr.Dropdown(choices=self.house.choices(name), value=[] if first is None else [first]),
            at.recipe: gr.Dropdown(choices=settings.recipe_names(bundle), value=settings.OWN),
            at.form: settings.form_of(bundle, "class", settings.OWN),
            at.network: gr.Dropdown(choices=networks, value=networks[0] if networks else None),
            at.layer: gr.Dropdown(choices=layers, value=layers[-1] if layers else None),
        }

    def on_change(self, visitor: Visitor, name: str, wanted: list[str], form: Any) -> dict[Any, Any]:
        """Other wishes: the settings of their kind; and while a run goes on, it goes on with them."""
        bundle = self.house.bundle(name)
        kind = self._kind(visitor, wanted)
        if not visitor.busy.locked():
            fits = not form or form.get("kind") == kind
            return {} if fits else {self.parts.form: settings.form_of(bundle, kind, form["recipe"])}
        asked, request = self.asked(visitor, bundle, wanted, form)
        last = export.asked_of(visitor)
        if request is not None and last is not None and asked.wishes != last.wishes:
            visitor.pending = (asked, request)
        return {}

    def layer_names(self, network: str, bundle: str) -> list[str]:
        """The layers of a network of the page that units can name."""
        return [one.name for one in self.house.layers("" if network == OWN_NETWORK else network, bundle)]

    def on_network(self, visitor: Visitor, bundle: str, network: str) -> dict[Any, Any]:
        """Another network: its layers."""
        import gradio as gr

        layers = self.layer_names(network, bundle)
        return {self.parts.layer: gr.Dropdown(choices=layers, value=layers[-1])}

    def on_unit(self, visitor: Visitor, wanted: list[str], network: str, layer: str, unit: float) -> dict[Any, Any]:
        """A unit beside the wishes."""
        return {self.parts.wanted: [*(wanted or []), unit_wish(network, layer, int(unit or 0))]}

    def on_sentence(self, visitor: Visitor, wanted: list[str], sentence: str) -> dict[Any, Any]:
        """A sentence beside the wishes."""
        wish = wishes.read_wish(f"sentence {sentence}", self.known(visitor))
        return {self.parts.wanted: [*(wanted or []), str(wish)], self.parts.sentence: ""}

    def on_direction(self, visitor: Visitor, wanted: list[str], network: str, layer: str, file: str) -> dict[Any, Any]:
        """An uploaded direction beside the wishes."""
        name = Path(file).stem
        visitor.directions[name] = (file, layer)
        of = "" if network == OWN_NETWORK else network
        return {self.parts.wanted: [*(wanted or []), str(wishes.Wish("direction", name, of))]}

    # How the chains run.

    def on_recipe(self, visitor: Visitor, name: str, wanted: list[str], recipe: str) -> dict[Any, Any]:
        """Another recipe: its settings."""
        return {self.parts.form: settings.form_of(self.house.bundle(name), self._kind(visitor, wanted), recipe)}

    def on_member(self, visitor: Visitor, name: str, form: Any) -> dict[Any, Any]:
        """Another rule, prior, start or measure: the settings that it has."""
        bundle = self.house.bundle(name)
        members = settings.members_of(bundle, form)
        return {self.parts.form: settings.form_of(bundle, form["kind"], form["recipe"], members)}

    def _kind(self, visitor: Visitor, wanted: Sequence[str]) -> str:
        """The kind of recipe that fits the wishes."""
        kinds = {wishes.read_wish(one, self.known(visitor)).kind for one in wanted or ()}
        return {"class": "class", "sentence": "caption"}.get("".join(kinds), "plugged") if kinds else "class"

    # Runs.

    def on_start(
        self, visitor: Visitor, name: str, wanted: list[str], form: Any, chains: int, seed: int, variation: float
    ) -> Iterator[dict[Any, Any]]:
        """A new run, to its end or until it is stopped."""

        def begin() -> None:
            bundle = self.house.bundle(name)
            asked, request = self.asked(visitor, bundle, wanted, form)
            if request is None:
                raise ValueError("got nothing that is wanted, expected a class, a unit or a sentence: choose one")
            options = {"recipe": asked.recipe or None, "start_noise": variation, **asked.changes}
            visitor.begin(bundle, request, asked, self._chains(chains), int(seed or 0), **options)

        yield from self._run(visitor, begin)

    def on_fill(
        self, visitor: Visitor, name: str, wanted: list[str], form: Any, chains: int, seed: int, painted: Any
    ) -> Iterator[dict[Any, Any]]:
        """A run that fills the hole that was painted."""

        def begin() -> None:
            bundle = self.house.bundle(name)
            asked, request = self.asked(visitor, bundle, wanted, form)
            hole = (visitor.picture, known_pixels(painted, bundle.image.size))
            if hole[0] is None or tuple(hole[0].shape) != bundle.image.shape:
                raise ValueError("got no picture to fill for this bundle, expected one: upload one, or take one of the pictures")
            asked = Asked(asked.wishes, "", {})
            visitor.begin(bundle, request, asked, self._chains(chains), int(seed or 0), hole=hole)

        yield from self._run(visitor, begin)

    def on_go_on(self, visitor: Visitor, name: str, wanted: list[str], form: Any) -> Iterator[dict[Any, Any]]:
        """The run goes on: to its end, or with what is wanted now."""

        def ask() -> None:
            if visitor.run is None or visitor.bundle is not self.house.bundle(name):
                raise ValueError("got no run of this bundle to go on with, expected one: start one")
            asked, request = self.asked(visitor, self.house.bundle(name), wanted, form)
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
            visitor.stop.clear()
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
            at.tiles: widgets.tile_rows(shown, self._labels(visitor), "chain", form="JPEG"),
            at.curves: f'<div class="curves">{"".join(evaluation.course_curves(visitor.course, quantity(visitor)))}</div>',
            at.status: widgets.said(text),
        }

    def _labels(self, visitor: Visitor) -> list[str]:
        run = visitor.run
        assert run is not None and run.evaluation is not None
        values = run.evaluation.log_probs.get("condition", run.evaluation.log_prob).tolist()
        if run.request is None:
            return [f"seed {visitor.seed + chain}" for chain in range(len(values))]
        return [run.request.label(chain, value, run.recipe.measure) for chain, value in enumerate(values)]

    def _ended(self, visitor: Visitor, fault: str | None) -> dict[Any, Any]:
        """What stands there after a run: the pictures to the bit, and how they are made again."""
        import gradio as gr

        at, run, known = self.parts, visitor.run, self.known(visitor)
        found: dict[Any, Any] = {at.start: gr.Button(visible=True), at.stop: gr.Button(visible=False)}
        if run is None or run.evaluation is None:
            return found | {at.status: widgets.said("stopped") if fault is None else widgets.wrong(fault)}
        state = "stopped" if run.left > 0 else "done"
        asked = export.asked_of(visitor)
        text = f"{texts(asked.wishes if asked else ())}: {state} after {run.step} steps. Choose a picture, or go on."
        return found | {
            at.status: widgets.said(text) if fault is None else widgets.wrong(fault),
            at.tiles: widgets.tile_rows(export.shown(visitor), self._labels(visitor), "chain"),
            at.go_on: gr.Button(interactive=True),
            at.command: export.command(visitor, known), at.python: export.python(visitor, known),
        }  # fmt: skip

    # A chosen picture.

    def on_choose(self, visitor: Visitor, event: Any) -> dict[Any, Any]:
        """A picture, large."""
        import gradio as gr

        at, run, index = self.parts, visitor.run, getattr(event, "index", None)
        if run is None or run.evaluation is None or visitor.busy.locked() or not isinstance(index, int):
            return {}
        shown = export.shown(visitor)
        if not 0 <= index < len(shown):
            return {}
        visitor.chosen = index
        return {
            at.tiles: widgets.tile_rows(shown, self._labels(visitor), "chain", [index]),
            at.large_part: gr.Group(visible=True), at.large: images.to_pil(shown[index].cpu()),
        }  # fmt: skip

    def on_begin_here(self, visitor: Visitor) -> dict[Any, Any]:
        """The next run begins at the chosen picture's code."""
        import gradio as gr

        if visitor.run is None or visitor.chosen is None:
            raise ValueError("got no chosen picture, expected one: click one first")
        code = visitor.run.samples.codes
        visitor.code = code[visitor.chosen : visitor.chosen + 1].clone()
        text = f"The next run begins at picture {visitor.chosen + 1}, with some variation for each chain."
        return {self.parts.status: widgets.said(text), self.parts.here_part: gr.Row(visible=True)}

    def on_forget(self, visitor: Visitor) -> dict[Any, Any]:
        """The next run begins where its recipe says."""
        import gradio as gr

        visitor.code = None
        return {self.parts.status: widgets.said("The next run begins afresh."), self.parts.here_part: gr.Row(visible=False)}

    # Holes.

    def on_to_hole(self, visitor: Visitor) -> dict[Any, Any]:
        """The chosen picture, to paint a hole on."""
        import gradio as gr

        if visitor.run is None or visitor.chosen is None:
            raise ValueError("got no chosen picture, expected one: click one first")
        visitor.picture = export.shown(visitor)[visitor.chosen].clone()
        return {self.parts.painter: canvas(visitor.picture), self.parts.hole_part: gr.Accordion(open=True),
                self.parts.status: widgets.said("Paint a hole on the picture, then fill it.")}  # fmt: skip

    def on_upload(self, visitor: Visitor, name: str, file: str | None) -> dict[Any, Any]:
        """An uploaded picture at the bundle's size, to paint a hole on."""
        if file is None:
            return {}
        spec = self.house.bundle(name).image
        visitor.picture = images.load_image(file, spec.size, spec.channels)
        return {self.parts.painter: canvas(visitor.picture), self.parts.status: widgets.said("Paint a hole, then fill it.")}

    def on_save(self, visitor: Visitor) -> dict[Any, Any]:
        """The files of what is on screen."""
        import gradio as gr

        with visitor.alone():
            made = export.files(visitor, self.known(visitor))
        return {self.parts.files: gr.File(value=made, visible=True), self.parts.status: widgets.said(f"made {len(made)} files")}


def unit_wish(network: str, layer: str, unit: int) -> str:
    """The wish for a unit of a network of the page."""
    return str(wishes.Wish("unit", f"{layer}:{unit}", "" if network == OWN_NETWORK else network))


def quantity(visitor: Visitor) -> str:
    """What the values of a visitor's run are."""
    run = visitor.run
    return "value" if run is None or run.request is None else run.request.quantity(run.recipe.measure)


def canvas(picture: torch.Tensor) -> dict[str, Any]:
    """The value of the painter for a picture."""
    height, width = picture.shape[-2:]
    return {"picture": widgets.data_url(picture), "width": width, "height": height, "mask": ""}


def known_pixels(painted: Any, size: tuple[int, int]) -> torch.Tensor:
    """The mask `[1, height, width]` of the known pixels, 0 where white was painted. Raises ValueError where nothing was."""
    text = painted.get("mask", "") if isinstance(painted, Mapping) else ""
    start = "data:image/png;base64,"
    if not isinstance(text, str) or not text.startswith(start) or len(text) > LONGEST_MASK:
        raise ValueError("got no painted hole, expected one: paint on the picture, or add a box")
    try:
        with Pillow.open(io.BytesIO(base64.b64decode(text.removeprefix(start), validate=True)), formats=["PNG"]) as found:
            if found.size != (size[1], size[0]):
                raise ValueError(
                    f"got a hole of {found.size[0]}x{found.size[1]} pixels, expected {size[1]}x{size[0]}: paint it anew"
                )
            painted_white = images.as_picture(found.convert("L"), 1)
    except (binascii.Error, OSError) as fault:
        raise ValueError("got a hole that cannot be read, expected a picture of it: paint it anew") from fault
    known = (painted_white < 0.5).float()
    if bool(known.all()):
        raise ValueError("got no painted hole, expected one: paint on the picture, or add a box")
    return known
