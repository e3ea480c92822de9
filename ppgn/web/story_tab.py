"""The tab Story: one wish by the methods of 2009 to 2023, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ppgn import explanation, requests, sampling
from ppgn.bundle import Bundle
from ppgn.loaders import bundle as load
from ppgn.recipes import PIONEERS, runnable
from ppgn.web import widgets
from ppgn.web.options import House
from ppgn.web.sample_tab import SampleTab
from ppgn.web.visitor import Visitor, Visitors

YEARS = {
    "erhan_2009": 2009, "simonyan_2013": 2013, "yosinski_2015": 2015, "mahendran_2015": 2015, "dgn_am": 2016, "ppgn": 2017,
    "lucid": 2017, "maco": 2023,
}  # fmt: skip
"""Method -> the year of its paper; "ppgn" is the bundle's own recipe."""
STEPS = 64
"""Of each method of pixels, where the paper takes more: a glance, not a comparison."""


class StoryTab:
    """The tab's parts joined to what they do."""

    def __init__(self, house: House, visitors: Visitors, bundle: Any, sample: SampleTab) -> None:
        import gradio as gr

        self.house, self.sample = house, sample
        gr.Markdown("The first wish of Sample, asked of the same network by each method. Only the prior differs.")
        with gr.Row():
            self.begin = gr.Button("Tell it", variant="primary", elem_id="story-begin")
            self.halt = gr.Button("Stop", variant="stop", elem_id="story-stop")
        self.status = gr.HTML(widgets.said("docs/story.md has the full comparison."), elem_id="story-status")
        self.tiles = widgets.tiles("story", "a picture by each method")
        inputs = [bundle, sample.parts.wanted, sample.parts.seed]
        self.begin.click(widgets.handler(self.on_begin, self.status, visitors), inputs, [self.status, self.tiles], **house.heavy)
        self.halt.click(widgets.handler(self.on_halt, self.status, visitors), None, [self.status], **house.light)

    def on_halt(self, visitor: Visitor) -> dict[Any, Any]:
        """The story stops after this method."""
        visitor.stop.set()
        return {}

    def on_begin(self, visitor: Visitor, name: str, wanted: list[str], seed: int) -> Iterator[dict[Any, Any]]:
        """A picture by each method, as it is made."""
        with visitor.alone():
            bundle = self.house.bundle(name)
            _, request = self.sample.wanting.request(visitor, bundle, (wanted or [])[:1])
            (target,) = explanation.targets(bundle, request)
            height, width = bundle.image.size
            pixels = load(f"pixels:{height}x{width}x{bundle.image.channels}", bundle.device)
            rows: list[dict[str, Any]] = []
            yield {self.status: widgets.said(f"{target.name}: beginning"), self.tiles: rows}
            for method in methods(bundle):
                if visitor.stop.is_set():
                    break
                image = self._made(method, bundle, pixels, request, target, int(seed or 0))
                response = float(target.measured(image)[0])
                label = f"{YEARS[method]} {method}: {response:.3g}"
                rows = [*rows, *widgets.tile_rows(image, [label], method)]
                yield {
                    self.tiles: rows,
                    self.status: widgets.said(f"{target.name}: {len(rows)} of {len(methods(bundle))} methods"),
                }

    def _made(self, method: str, bundle: Bundle, pixels: Bundle, request: Any, target: explanation.Target, seed: int) -> Any:
        """The picture `[1, channel, height, width]` by a method: by pixels where it has no learned prior."""
        if method in PIONEERS:
            steps = min(STEPS, int(PIONEERS[method].get("steps", STEPS)))
            wanted = requests.function(target.response, 1)
            return sampling.sample(pixels, wanted, count=1, seed=seed, recipe=method, steps=steps).images
        recipe = None if method == "ppgn" else method
        return sampling.sample(bundle, request, count=1, seed=seed, recipe=recipe).images.clamp(0, 1)


def methods(bundle: Bundle) -> list[str]:
    """The methods that a bundle can show, by year."""
    own = {*runnable(bundle), "ppgn"}
    return [method for method in YEARS if method in PIONEERS or method in own]
