"""The parts of the tab Sample, laid out."""

from __future__ import annotations

from typing import Any

from ppgn.web import settings, widgets
from ppgn.web.options import WebOptions

CHAINS = 4
"""Chains of the first run."""
VARIATION = 0.3
"""The start_noise of chains that begin at one picture."""
WANTED = (
    "Choose or type: church, -0.5 * golf ball, unit trunk.12:7, sentence a red handbag. Several are added up; changed while "
    "chains run, they turn to it."
)


class SampleParts:
    """Controls and results of the tab, as attributes."""

    def __init__(self, options: WebOptions) -> None:
        import gradio as gr

        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                self._controls(gr, options)
            with gr.Column(scale=3, min_width=320):
                self._results(gr)

    def _controls(self, gr: Any, options: WebOptions) -> None:
        self.wanted = gr.Dropdown([], multiselect=True, allow_custom_value=True, label="Wanted", elem_id="wanted", info=WANTED)
        with gr.Row():
            self.start = gr.Button("Start", variant="primary", interactive=False, elem_id="start")
            self.stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
            self.go_on = gr.Button("Go on", interactive=False, elem_id="go-on")
        with gr.Row():
            self.chains = gr.Slider(1, options.chains, min(CHAINS, options.chains), step=1, label="Chains", elem_id="chains")
            self.seed = gr.Number(0, precision=0, label="Seed of the first", elem_id="seed")
        with gr.Accordion("Add a unit, a sentence or a direction", open=False, elem_id="adding"):
            self._adding(gr)
        with gr.Accordion("How the chains run", open=False, elem_id="how"):
            self.recipe = gr.Dropdown([settings.OWN], value=settings.OWN, label="Recipe", elem_id="recipe")
            self.form = widgets.fields("form")
        with gr.Accordion("Fill a hole in a picture", open=False, elem_id="hole") as self.hole_part:
            self.upload = widgets.upload("upload", 180)
            self.painter = widgets.painter("painter")
            self.fill = gr.Button("Fill the hole", elem_id="fill")

    def _adding(self, gr: Any) -> None:
        self.network = gr.Dropdown([], label="Network", elem_id="network")
        with gr.Row():
            self.layer = gr.Dropdown([], label="Layer", elem_id="layer")
            self.unit = gr.Number(0, precision=0, label="Unit", elem_id="unit")
        self.add_unit = gr.Button("Add the unit", size="sm", elem_id="add-unit")
        self.sentence = gr.Textbox(label="Sentence, for a bundle with a captioner", max_length=200, elem_id="sentence")
        self.add_sentence = gr.Button("Add the sentence", size="sm", elem_id="add-sentence")
        self.direction = gr.File(file_types=[".safetensors"], label="Direction in the layer above (.safetensors)", height=130)

    def _results(self, gr: Any) -> None:
        self.status = gr.HTML(widgets.said("loading the networks"), elem_id="status")
        self.tiles = widgets.tiles("pictures", "pictures of the chains")
        self.curves = gr.HTML("", elem_id="curves")
        with gr.Group(visible=False) as self.large_part:
            self.large = gr.Image(
                interactive=False,
                format="png",
                label="Chosen picture",
                elem_id="large",
                height=320,
                buttons=["download", "fullscreen"],
            )
            with gr.Row():
                self.begin_here = gr.Button("Begin the next run here", size="sm", elem_id="begin-here")
                self.to_hole = gr.Button("Fill a hole in it", size="sm", elem_id="to-hole")
        with gr.Row(visible=False) as self.here_part:
            self.variation = gr.Slider(0, 1, VARIATION, label="Variation of chains that begin there", elem_id="variation")
            self.forget = gr.Button("Begin afresh", size="sm", elem_id="forget")
        with gr.Accordion("Files, command and Python", open=False, elem_id="export"):
            self.save = gr.Button("Make the files", size="sm", elem_id="save")
            self.files = gr.File(file_count="multiple", label="Files", visible=False, interactive=False, elem_id="files")
            self.command = gr.Code(
                "",
                language="shell",
                lines=2,
                label="The command that makes these pictures",
                elem_id="command",
                wrap_lines=True,
                show_line_numbers=False,
            )
            self.python = gr.Code(
                "", language="python", label="The same in Python", elem_id="python", wrap_lines=True, show_line_numbers=False
            )
