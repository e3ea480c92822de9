"""What a visitor wants of chains, and how they are to run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppgn.bundle import Bundle
from ppgn.requests import Request
from ppgn.web import export, settings, widgets, wishes
from ppgn.web.options import House
from ppgn.web.sample_parts import SampleParts
from ppgn.web.visitor import Asked, Visitor
from ppgn.web.wishes import Known

FIRST = "church"
"""The wish that stands there at first, where the bundle has it."""
OWN_NETWORK = "the bundle's encoder"


class Wanting:
    """What the controls of the tab Sample do that say what is wanted."""

    def __init__(self, house: House, parts: SampleParts) -> None:
        self.house, self.parts = house, parts

    def known(self, visitor: Visitor) -> Known:
        """What a visitor's wishes can name."""
        plain = self.house.options.known
        return Known(plain.networks, plain.functions, plain.similarity, visitor.directions)

    def asked(self, visitor: Visitor, bundle: Bundle, wanted: Sequence[str], form: Any) -> tuple[Asked, Request | None]:
        """What a visitor asks for, and its request; None without a wish. Raises ValueError for what cannot be."""
        listed, request = self.request(visitor, bundle, wanted) if wanted else ((), None)
        name, changes = settings.changes_of(bundle, "class" if request is None else request.kind, form)
        settings.check_most(changes, self.house.options.steps)
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
            at.start: gr.Button(interactive=True),
            at.here_part: gr.Row(visible=False),
            at.status: widgets.said("Choose what is wanted, then start."),
        }

    def on_change(self, visitor: Visitor, name: str, wanted: list[str], form: Any) -> dict[Any, Any]:
        """Other wishes: the settings of their kind; and while a run of the bundle goes on, it goes on with them."""
        bundle = self.house.bundle(name)
        kind = self._kind(visitor, wanted)
        if not visitor.busy.locked() or visitor.bundle is not bundle:
            fits = not form or (settings.values_of(form) and form["kind"] == kind)
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

    def on_unit(self, visitor: Visitor, name: str, wanted: list[str], network: str, layer: str, unit: float) -> dict[Any, Any]:
        """A unit beside the wishes. Raises ValueError for one that the layer has not."""
        wish = unit_wish(network, layer, int(unit or 0))
        self.request(visitor, self.house.bundle(name), [wish])
        return {self.parts.wanted: beside(wanted, wish), self.parts.status: widgets.said(f"Added {wish}.")}

    def on_sentence(self, visitor: Visitor, name: str, wanted: list[str], sentence: str) -> dict[Any, Any]:
        """A sentence beside the wishes. Raises ValueError for none, and where the bundle has no captioner."""
        if not sentence or not sentence.strip():
            raise ValueError("got no sentence, expected one: write it, such as a red handbag")
        wish = f"sentence {sentence.strip()}"
        self.request(visitor, self.house.bundle(name), [wish])
        return {self.parts.wanted: beside(wanted, wish), self.parts.sentence: "",
                self.parts.status: widgets.said(f"Added {wish}.")}  # fmt: skip

    def on_direction(self, visitor: Visitor, wanted: list[str], network: str, layer: str, file: str) -> dict[Any, Any]:
        """An uploaded direction beside the wishes. Its file is copied, as Gradio removes it after some time, and gets a number
        where its name is taken, so that what ran before is still made again by its own."""
        stem, taken = Path(file).stem, visitor.directions
        name = next(one for one in (stem, *(f"{stem} {number + 2}" for number in range(len(taken)))) if one not in taken)
        kept = visitor.room / f"{len(taken)}.safetensors"
        shutil.copyfile(file, kept)
        taken[name] = (str(kept), layer)
        of = "" if network == OWN_NETWORK else network
        return {self.parts.wanted: [*(wanted or []), str(wishes.Wish("direction", name, of))]}

    def on_recipe(self, visitor: Visitor, name: str, wanted: list[str], recipe: str) -> dict[Any, Any]:
        """Another recipe: its settings."""
        return {self.parts.form: settings.form_of(self.house.bundle(name), self._kind(visitor, wanted), recipe)}

    def on_member(self, visitor: Visitor, event: Any, name: str, form: Any) -> dict[Any, Any]:
        """Another rule, prior, start or measure: the settings that it has."""
        member, choice = getattr(event, "name", ""), getattr(event, "choice", "")
        return {self.parts.form: settings.with_member(self.house.bundle(name), form, str(member), str(choice))}

    def _kind(self, visitor: Visitor, wanted: Sequence[str]) -> str:
        """The kind of recipe that fits the wishes."""
        known = self.known(visitor)
        return wishes.kind_of([wishes.read_wish(one, known) for one in wanted or ()])


def beside(wanted: Sequence[str] | None, wish: str) -> list[str]:
    """The wishes with one more, unless it is there already."""
    return [*(one for one in wanted or () if one != wish), wish]


def unit_wish(network: str, layer: str, unit: int) -> str:
    """The wish for a unit of a network of the page."""
    return str(wishes.Wish("unit", f"{layer}:{unit}", "" if network == OWN_NETWORK else network))
