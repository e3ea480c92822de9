"""A chosen picture on the page: large, as the next beginning, with a hole, and as files."""

from __future__ import annotations

from typing import Any

import torch

from ppgn import images
from ppgn.web import export, widgets
from ppgn.web.options import House
from ppgn.web.runs import labels_of
from ppgn.web.sample_parts import SampleParts
from ppgn.web.visitor import Visitor
from ppgn.web.wanting import Wanting


class Chosen:
    """What a click on a picture of the tab Sample does, and the buttons below it."""

    def __init__(self, house: House, parts: SampleParts, wanting: Wanting) -> None:
        self.house, self.parts, self.wanting = house, parts, wanting

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
            at.tiles: widgets.tile_rows(shown, labels_of(visitor), "chain", [index]),
            at.large_part: gr.Group(visible=True), at.large: images.to_pil(shown[index].cpu()),
        }  # fmt: skip

    def on_begin_here(self, visitor: Visitor, name: str) -> dict[Any, Any]:
        """The next run begins at the chosen picture's code."""
        import gradio as gr

        if visitor.run is None or visitor.chosen is None or visitor.bundle is not self.house.bundle(name):
            raise ValueError("got no chosen picture of this bundle, expected one: start a run, then click one")
        code = visitor.run.samples.codes
        visitor.code = code[visitor.chosen : visitor.chosen + 1].clone()
        text = f"The next run begins at picture {visitor.chosen + 1}, with some variation for each chain."
        return {self.parts.status: widgets.said(text), self.parts.here_part: gr.Row(visible=True)}

    def on_forget(self, visitor: Visitor) -> dict[Any, Any]:
        """The next run begins where its recipe says."""
        import gradio as gr

        visitor.code = None
        return {self.parts.status: widgets.said("The next run begins afresh."), self.parts.here_part: gr.Row(visible=False)}

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
        visitor.picture = None  # so that no earlier one is filled
        if file is None:
            return {self.parts.painter: {}}
        visitor.picture = widgets.uploaded(file, self.house.bundle(name).image)
        return {self.parts.painter: canvas(visitor.picture), self.parts.status: widgets.said("Paint a hole, then fill it.")}

    def on_save(self, visitor: Visitor) -> dict[Any, Any]:
        """The files of what is on screen."""
        import gradio as gr

        with visitor.alone():
            made = export.files(visitor, self.wanting.known(visitor))
        return {self.parts.files: gr.File(value=made, visible=True), self.parts.status: widgets.said(f"made {len(made)} files")}


def canvas(picture: torch.Tensor) -> dict[str, Any]:
    """The value of the painter for a picture."""
    height, width = picture.shape[-2:]
    return {"picture": widgets.data_url(picture), "width": width, "height": height, "mask": ""}
