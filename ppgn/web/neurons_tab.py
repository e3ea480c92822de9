"""The tab Neurons: what a picture excites, what a neuron wants, and where in the picture it looks."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import explanation, images
from ppgn.web import export, widgets
from ppgn.web.options import House
from ppgn.web.sample_tab import SampleTab
from ppgn.web.visitor import Visitor, Visitors
from ppgn.web.wanting import OWN_NETWORK, unit_wish

FIRST = "Give a picture, choose a layer, and click a unit."
SHOWN = 48
"""Units of a layer that a picture excites most."""
SIDE = 56
"""Pixels of a map of activations."""
EXPLAINED: dict[str, Any] = {
    "parts": ("real", "synthetic"), "pictures": 160, "top": 6, "facets": 3, "per_facet": 1, "facet_steps": 25, "method": "",
}  # fmt: skip
"""Options of `ppgn.explain` here, for half a minute; the command line has reports that are surer."""


class NeuronsTab:
    """The tab's parts joined to what they do."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any, sample: SampleTab) -> None:
        import gradio as gr

        self.house, self.sample = house, sample
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self.picture = widgets.upload("look-at", 220)
                self.take = gr.Button("Take the picture chosen in Sample", size="sm", elem_id="take")
                self.network = gr.Dropdown([], label="Network", elem_id="neuron-network")
                self.layer = gr.Dropdown([], label="Layer", elem_id="neuron-layer")
                self.look = gr.Button("Show what it excites", variant="primary", elem_id="look")
            with gr.Column(scale=3, min_width=320):
                self.status = gr.HTML(widgets.said(FIRST), elem_id="neuron-status")
                with gr.Row(visible=False) as self.unit_part:
                    self.explain = gr.Button("What does it want?", variant="primary", elem_id="explain")
                    self.halt = gr.Button("Stop", variant="stop", elem_id="halt")
                    self.where = gr.Button("Where does it look?", elem_id="where")
                    self.want = gr.Button("Add it to Sample", elem_id="want")
                self.found = widgets.tiles("found", "pictures of the unit", small=True)
                self.attributions = widgets.tiles("attributions", "where the unit looks")
                self.maps = widgets.tiles("activations", "units that the picture excites", small=True)
        light, heavy = house.light, house.heavy
        shown = [self.status, self.maps, self.found, self.attributions, self.unit_part]
        for event, function, inputs, outputs, how in (
            (bundle.change, self.on_bundle, [bundle, self.picture], self.of_bundle, light),
            (self.network.input, self.on_network, [bundle, self.network], [self.layer, self.status], light),
            (self.picture.change, self.on_upload, [bundle, self.picture], [self.status], light),
            (self.take.click, self.on_take, [], [self.picture, self.status], light),
            (self.look.click, self.on_look, [bundle, self.network, self.layer], shown, heavy),
            (self.maps.click, self.on_pick, [self.maps], shown, light),
            (self.explain.click, self.on_explain, [bundle], [self.status, self.found], heavy),
            (self.halt.click, self.on_halt, [], [self.status], light),
            (self.where.click, self.on_where, [bundle], [self.status, self.attributions], heavy),
            (self.want.click, self.on_want, [sample.parts.wanted], [sample.parts.wanted, self.status], light),
        ):
            event(widgets.handler(function, self.status, visitors), inputs, outputs, **how)

    @property
    def of_bundle(self) -> list[Any]:
        """The parts that another bundle changes."""
        return [self.network, self.layer, self.status, self.maps, self.found, self.attributions, self.unit_part]

    def on_bundle(self, visitor: Visitor, name: str, file: str | None = None) -> dict[Any, Any]:
        """Another bundle: its networks and layers, and the picture at its size."""
        import gradio as gr

        bundle = self.house.bundle(name)
        networks = ([OWN_NETWORK] if bundle.encoder is not None else []) + [*self.house.options.networks]
        layers = self.sample.wanting.layer_names(networks[0], name) if networks else []
        middle = layers[len(layers) // 2] if layers else None
        visitor.unit, visitor.units = None, []
        visitor.look = None if file is None else widgets.uploaded(file, bundle.image)
        return {
            self.network: gr.Dropdown(choices=networks, value=networks[0] if networks else None),
            self.layer: gr.Dropdown(choices=layers, value=middle),
            self.maps: [], self.found: [], self.attributions: [], self.unit_part: gr.Row(visible=False),
            self.status: widgets.said(FIRST),
        }  # fmt: skip

    def on_network(self, visitor: Visitor, bundle: str, network: str) -> dict[Any, Any]:
        """Another network: its layers."""
        import gradio as gr

        layers = self.sample.wanting.layer_names(network, bundle)
        return {self.layer: gr.Dropdown(choices=layers, value=layers[len(layers) // 2])}

    def on_upload(self, visitor: Visitor, name: str, file: str | None) -> dict[Any, Any]:
        """A picture to look at, at the bundle's size."""
        visitor.look = None if file is None else widgets.uploaded(file, self.house.bundle(name).image)
        return {}

    def on_take(self, visitor: Visitor) -> dict[Any, Any]:
        """The picture that was chosen in the tab Sample."""
        if visitor.run is None or visitor.chosen is None:
            raise ValueError("got no chosen picture in Sample, expected one: click one there, or upload a picture here")
        return {self.picture: images.to_pil(export.shown(visitor)[visitor.chosen].cpu())}

    def on_look(self, visitor: Visitor, name: str, network: str, layer: str) -> Iterator[dict[Any, Any]]:
        """The units of a layer that the picture excites most, as maps."""
        import gradio as gr

        picture = visitor.look
        if picture is None:
            raise ValueError("got no picture to look at, expected one: upload one, or take one from Sample")
        with visitor.alone():
            waiting = {self.status: widgets.said("looking"), self.unit_part: gr.Row(visible=False)}
            yield {**waiting, self.found: [], self.attributions: []}
            yield self._looked(visitor, name, network, layer, picture)

    def _looked(self, visitor: Visitor, name: str, network: str, layer: str, picture: Tensor) -> dict[Any, Any]:
        """Maps of the units that respond most."""
        bundle = self.house.bundle(name)
        plugged = self.house.network("" if network == OWN_NETWORK else network, name)
        grids = explanation.activation_grids(plugged, layer, picture.to(bundle.device)).float().cpu()
        means = grids.mean((1, 2))
        order = means.argsort(descending=True)[:SHOWN].tolist()
        visitor.units = [(network, layer, unit) for unit in order]
        labels = [f"{unit}: {short(float(means[unit]))}" for unit in order]
        return {
            self.maps: widgets.tile_rows([_heat(grids[unit]) for unit in order], labels, "unit"),
            self.status: widgets.said(f"The {len(order)} units of {layer} that respond most, of {len(grids)}. Click one."),
        }

    def on_pick(self, visitor: Visitor, event: Any, rows: list[dict[str, Any]]) -> dict[Any, Any]:
        """A unit is chosen."""
        import gradio as gr

        index = getattr(event, "index", None)
        if not isinstance(index, int) or not 0 <= index < len(visitor.units):
            return {}
        visitor.unit = visitor.units[index]
        text = f"Unit {unit_wish(*visitor.unit).removeprefix('unit ')}."
        marked = [{**row, "chosen": number == index} for number, row in enumerate(rows)]
        return {self.status: widgets.said(text), self.unit_part: gr.Row(visible=True), self.found: [], self.attributions: [],
                self.maps: marked}  # fmt: skip

    def on_want(self, visitor: Visitor, wanted: list[str]) -> dict[Any, Any]:
        """The unit beside the wishes of the tab Sample."""
        if visitor.unit is None:
            raise ValueError("got no unit, expected one: click one first")
        wish = unit_wish(*visitor.unit)
        return {self.sample.parts.wanted: [*(wanted or []), wish], self.status: widgets.said(f"Added {wish} to Sample.")}

    def on_halt(self, visitor: Visitor) -> dict[Any, Any]:
        """What runs stops."""
        visitor.stop.set()
        return {}

    def on_where(self, visitor: Visitor, name: str) -> Iterator[dict[Any, Any]]:
        """Maps of where in the picture the unit looks."""
        with visitor.alone():
            yield {self.status: widgets.said("looking where")}
            bundle = self.house.bundle(name)
            (target,) = explanation.targets(bundle, self._request(visitor, name))
            if visitor.look is None:
                raise ValueError("got no picture to look at, expected one: upload one, or take one from Sample")
            picture = visitor.look.to(bundle.device)
            found = explanation.maps(target, picture[None])
            shown = [explanation.heat(picture, maps[0], method in explanation.SIGNED) for method, maps in found.items()]
            left_out = [method for method in explanation.METHODS if method not in found]
            text = f"Where {target.name} looks." + (f" Left out, as there is no ReLU: {', '.join(left_out)}." if left_out else "")
            yield {self.attributions: widgets.tile_rows(shown, list(found), "map"), self.status: widgets.said(text)}

    def on_explain(self, visitor: Visitor, name: str) -> Iterator[dict[Any, Any]]:
        """The top real pictures and the facets of the unit."""
        with visitor.alone():
            bundle, request = self.house.bundle(name), self._request(visitor, name)
            told: queue.Queue[Any] = queue.Queue()
            gone = threading.Event()

            def watch(count: int, total: int, what: str) -> None:
                if visitor.stop.is_set() or gone.is_set():
                    raise ValueError("stopped")
                told.put((count, total, what))

            def work() -> None:
                try:
                    with tempfile.TemporaryDirectory() as folder:  # of this thread, which may outlive the visit
                        options = {**EXPLAINED, "folder": self.house.options.images}
                        report = explanation.explain(bundle, request, Path(folder) / "report", watch=watch, **options)[0]
                        told.put(self._explained(report, Path(folder) / "report"))
                except Exception as fault:  # of another thread, raised in this one
                    told.put(fault)

            threading.Thread(target=work, daemon=True).start()
            try:
                yield from self._told(told)
            finally:
                gone.set()

    def _told(self, told: queue.Queue[Any]) -> Iterator[dict[Any, Any]]:
        """How far an explanation is, (passes, of all, what) each, and its pictures at last. Raises what went wrong."""
        done = 0
        while isinstance(item := told.get(), tuple):
            done += item[0]
            if told.empty():
                yield {self.status: widgets.said(f"{item[2]}: {100 * done // item[1]} %")}
        if isinstance(item, Exception):
            raise item
        yield item

    def _explained(self, report: dict[str, Any], folder: Path) -> dict[Any, Any]:
        """The pictures of a report."""
        real, source = report["parts"]["real"]["top"], report["parts"]["synthetic"]["sources"][0]
        rows = [("real", row, f"real {short(row['response'])}") for row in real]
        rows += [("synthetic", row, _synthetic_label(row)) for row in source["images"]]
        pictures = [Pillow.open(folder / part / f"{row['picture']}.png") for part, row, _ in rows]
        text = f"{report['name']}: real pictures that excite it most, then a made one of each facet."
        return {self.found: widgets.tile_rows(pictures, [label for _, _, label in rows], "picture"),
                self.status: widgets.said(text)}  # fmt: skip

    def _request(self, visitor: Visitor, name: str) -> Any:
        if visitor.unit is None:
            raise ValueError("got no unit, expected one: click one first")
        _, request = self.sample.wanting.request(visitor, self.house.bundle(name), [unit_wish(*visitor.unit)])
        return request


def _synthetic_label(row: dict[str, Any]) -> str:
    multiple = "" if row["multiple"] is None else f", {row['multiple']:.1f} of best"
    return f"made {short(row['response'])}{multiple}"


def short(value: float) -> str:
    """A number in a few characters."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _heat(grid: Tensor) -> Tensor:
    """A map `[row, column]` as a picture `[3, height, width]`: black its lowest value or 0, white its highest."""
    low = min(0.0, float(grid.min()))
    scaled = ((grid - low) / (float(grid.max()) - low or 1.0))[None, None]
    return torch.nn.functional.interpolate(scaled, (SIDE, SIDE))[0].expand(3, -1, -1)
