"""The tab Map: codes of real and synthetic pictures in a plane, where a click begins chains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn import explanation, facets, images, recipes
from ppgn.bundle import Bundle
from ppgn.web import export, widgets
from ppgn.web.options import House
from ppgn.web.sample_tab import SampleTab
from ppgn.web.visitor import Visitor, Visitors

METHODS = {"PCA": "pca", "t-SNE": "tsne"}
REAL, DRAWN = 120, 40
"""Real pictures, and draws of the prior, in the plane."""
NEAREST = 3
"""Codes whose mean stands where nobody is, weighted by 1 / distance."""
THUMBNAIL = 40
EDGE = 0.04
"""Share of the plane that stays empty at each edge."""
AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Plane:
    """Codes `[picture, *code]` of a bundle, and their places from 0 to 1, `[picture, 2]`."""

    bundle: Bundle
    codes: Tensor
    places: Tensor

    def code_at(self, x: float, y: float) -> Tensor:
        """The code `[1, *code]` of a place: that of the picture there, or the weighted mean of the nearest ones."""
        distance = (self.places - torch.tensor([x, y], dtype=self.places.dtype)).norm(dim=1)
        near = distance.argsort()[:NEAREST]
        if float(distance[near[0]]) == 0:
            return self.codes[near[:1]]
        weight = (1 / distance[near]).to(self.codes)
        return ((weight / weight.sum()).view(-1, *[1] * (self.codes.ndim - 1)) * self.codes[near]).sum(0, keepdim=True)


class MapTab:
    """The tab's parts joined to what they do. tabs: all tabs, of which Sample is shown after a click."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any, sample: SampleTab, tabs: Any) -> None:
        import gradio as gr

        self.house, self.sample, self.tabs = house, sample, tabs
        with gr.Row():
            self.method = gr.Radio([*METHODS], value="PCA", label="Plane", elem_id="plane-method")
            self.draw = gr.Button("Draw the map", variant="primary", elem_id="draw-map")
        self.status = gr.HTML(widgets.said("Real pictures, draws of the prior, and your samples with an orange frame."),
                              elem_id="map-status")  # fmt: skip
        self.plane = widgets.plane("plane", "pictures by their codes")
        self.draw.click(
            widgets.handler(self.on_draw, self.status, visitors), [bundle, self.method], [self.plane, self.status], **house.heavy
        )
        at = sample.parts
        clicked = self.plane.click(
            widgets.handler(self.on_click, self.status, visitors), [bundle], [tabs, at.here_part, self.status], **house.light
        )
        clicked.success(
            widgets.handler(self.on_start, at.status, visitors), sample.start_inputs, sample.run_outputs, **house.heavy
        )

    def on_draw(self, visitor: Visitor, name: str, method: str) -> Iterator[dict[Any, Any]]:
        """The plane of real pictures, or draws of the prior in their place, and of the samples on screen."""
        bundle = self.house.bundle(name)
        if bundle.encoder is None:
            raise ValueError(
                f"{bundle.name} has no encoder, expected one to place pictures by their codes: choose another bundle"
            )
        with visitor.alone():
            yield {self.status: widgets.said("looking at pictures")}
            yield self._plane(visitor, name, bundle, method)

    def _plane(self, visitor: Visitor, name: str, bundle: Bundle, method: str) -> dict[Any, Any]:
        """The pictures in their places."""
        codes, pictures, labels, kinds = [], [], [], []
        if self.house.options.images is not None:
            real = explanation.load_pictures(self.house.options.images, bundle.image, REAL)
            shown = real.images()
            with torch.no_grad():
                codes += [bundle.encoder(some.to(bundle.device)).cpu() for some in shown.split(AT_ONCE)]
            pictures += list(shown)
            labels, kinds = [*real.files], ["real"] * len(real)
        drawn = self._drawn(name)
        codes.append(drawn[0])
        pictures += list(drawn[1])
        labels += [f"draw {number} of the prior" for number in range(len(drawn[0]))]
        kinds += ["drawn"] * len(drawn[0])
        if visitor.run is not None and visitor.bundle is bundle and visitor.run.evaluation is not None:
            samples = visitor.run.samples
            codes.append(samples.codes.cpu())
            pictures += list(export.shown(visitor).cpu())
            labels += [f"sample of {samples.names[row]}" if samples.names else "sample" for row in range(len(samples))]
            kinds += ["synthetic"] * len(samples)
        together = torch.cat(codes)
        places = facets.plane(together.flatten(1), METHODS.get(str(method), "pca"))
        low, high = places.min(0).values, places.max(0).values
        places = EDGE + (1 - 2 * EDGE) * (places - low) / (high - low).clamp_min(1e-12)
        visitor.plane = Plane(bundle, together, places)
        rows = [
            {"x": x, "y": y, "label": label, "kind": kind, "src": widgets.data_url(images.at_most(picture, THUMBNAIL), "JPEG")}
            for (x, y), picture, label, kind in zip(places.tolist(), pictures, labels, kinds, strict=True)
        ]
        text = f"{len(rows)} pictures by {method} of their codes. Click one, or between them: chains begin there."
        return {self.plane: rows, self.status: widgets.said(text)}

    def _drawn(self, name: str) -> tuple[Tensor, Tensor]:
        """Codes that the bundle's recipe for plugged networks begins at, and their pictures."""
        bundle = self.house.bundle(name)
        setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", draws=1, tries=1))
        with torch.no_grad():
            codes = recipes.starting_codes(setup, range(DRAWN))
            made = torch.cat([recipes.objective(setup).generator(some).clamp(0, 1).cpu() for some in codes.split(AT_ONCE)])
        return codes.cpu(), made

    def on_click(self, visitor: Visitor, event: Any, name: str) -> dict[Any, Any]:
        """The place where the next run begins, which begins at once."""
        import gradio as gr

        visitor.has_place = False
        x, y = getattr(event, "x", None), getattr(event, "y", None)
        if visitor.plane is None or not isinstance(x, int | float) or not isinstance(y, int | float):
            raise ValueError("got no place on a map, expected one: draw the map, then click in it")
        if visitor.plane.bundle is not self.house.bundle(name):
            visitor.code = None  # so that no chains begin
            raise ValueError(f"got a map of {visitor.plane.bundle.name}, expected one of {name}: draw the map anew")
        visitor.code = visitor.plane.code_at(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0))
        visitor.has_place = True
        return {self.tabs: gr.Tabs(selected="sample"), self.sample.parts.here_part: gr.Row(visible=True),
                self.status: widgets.said("Chains begin there, in Sample.")}  # fmt: skip

    def on_start(self, visitor: Visitor, *given: Any) -> Iterator[dict[Any, Any]]:
        """A run of the wishes of Sample from that place; nothing where none was found."""
        if visitor.has_place:
            visitor.has_place = False
            yield from self.sample.runs.on_start(visitor, *given)
