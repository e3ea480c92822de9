"""The page: its tabs above one choice of the bundle."""

from __future__ import annotations

import inspect
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ppgn.errors import required
from ppgn.web import widgets
from ppgn.web.evolve_tab import EvolveTab
from ppgn.web.map_tab import MapTab
from ppgn.web.neurons_tab import NeuronsTab
from ppgn.web.options import House, WebOptions
from ppgn.web.sample_tab import SampleTab
from ppgn.web.story_tab import StoryTab
from ppgn.web.visitor import Visitors

TITLE = "ppgn"
FONT = ["system-ui", "sans-serif"]
MONO = ["ui-monospace", "monospace"]

COLOURS = {
    "body_text_color_subdued": "*neutral_600", "body_text_color_subdued_dark": "*neutral_300",
    "block_info_text_color": "*neutral_600", "block_info_text_color_dark": "*neutral_300",
    "block_label_text_color": "*neutral_700", "block_label_text_color_dark": "*neutral_200",
    "button_primary_background_fill": "#1d4ed8", "button_primary_background_fill_dark": "#1d4ed8",
    "button_primary_background_fill_hover": "#1e40af", "button_primary_background_fill_hover_dark": "#1e40af",
    "button_primary_text_color": "white", "button_primary_text_color_dark": "white",
    "button_cancel_background_fill": "#b42318", "button_cancel_background_fill_dark": "#b42318",
    "button_cancel_text_color": "white", "button_cancel_text_color_dark": "white",
}  # fmt: skip
"""Of texts and buttons, where those of Gradio have too little contrast."""


def page(options: WebOptions) -> Any:
    """The page as a `gradio.Blocks`, not yet served. Raises ValueError where Gradio is not installed, or there is no bundle."""
    return _page(House(options))


def _page(house: House) -> Any:
    gr = gradio()
    visitors, names = Visitors(), house.options.names
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as blocks:
        gr.Markdown("# ppgn: see what a network wants")
        bundle = gr.Dropdown(names, value=names[0], label="Bundle: the networks that draw", elem_id="bundle")
        with gr.Tabs() as tabs:
            with gr.Tab("Sample", id="sample"):
                sample = SampleTab(house, visitors, bundle)
            with gr.Tab("Neurons", id="neurons"):
                neurons = NeuronsTab(house, visitors, bundle, sample)
            with gr.Tab("Map", id="map"):
                MapTab(house, visitors, bundle, sample, tabs)
            with gr.Tab("Evolve", id="evolve"):
                EvolveTab(house, visitors, bundle, sample, tabs)
            with gr.Tab("Story", id="story"):
                StoryTab(house, visitors, bundle, sample)
        for tab, status in ((sample, sample.parts.status), (neurons, neurons.status)):
            blocks.load(widgets.handler(tab.on_bundle, status, visitors), bundle, tab.of_bundle, **house.light)

        def leave(request: Any) -> None:
            visitors.leave(request.session_hash)

        leave.__annotations__ = {"request": gr.Request}
        blocks.unload(leave)
    blocks.queue(max_size=64, api_open=False)  # else a direct call passes the queue by
    return blocks


def serve(
    options: WebOptions,
    host: str = "127.0.0.1",
    port: int = 7860,
    open_browser: bool = False,
    wait: bool = True,
    ready: Callable[[str], object] | None = None,
) -> Any:
    """Serves the page until it is interrupted, or until the returned page is closed where `wait` is False.

    ready: called with the page's address once it can be opened. Nothing is asked of any other machine. Raises ValueError for a
    port that is taken.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    gr = gradio()
    house = House(options)
    blocks = _page(house)
    theme = gr.themes.Default(primary_hue="blue", font=FONT, font_mono=MONO).set(**COLOURS)
    try:
        blocks.launch(
            server_name=host, server_port=port, inbrowser=open_browser, prevent_thread_lock=True, quiet=True, share=False,
            footer_links=[], max_file_size=f"{options.upload}mb", theme=theme, css=widgets.asset("page.css"), ssr_mode=False,
            run_history=False, strict_cors=True,
        )  # fmt: skip
    except OSError as fault:
        raise ValueError(f"cannot serve at {host}:{port} ({fault}), expected a free port: choose another") from fault
    threading.Thread(target=house.warm, daemon=True).start()  # only now, so that the page opens first
    if ready is not None:
        ready(f"http://{host}:{port}")
    if wait:
        blocks.block_thread()
    return blocks


def gradio() -> Any:
    """Gradio. Raises ValueError where it is not installed."""
    with _no_type_stubs():
        return required("gradio", "the page needs Gradio", "ppgn[web]")


@contextmanager
def _no_type_stubs() -> Iterator[None]:
    """Keeps Gradio from writing a type stub for each of its classes, which takes more than half of its import.

    It leaves a class alone whose source file `inspect` does not find. Other libraries are not concerned.
    """
    file_of = inspect.getfile

    def getfile(of: Any) -> str:
        if isinstance(of, type) and of.__module__.partition(".")[0] == "gradio":
            raise OSError(f"no type stub is wanted for {of.__name__}")
        return file_of(of)

    with mock.patch.object(inspect, "getfile", getfile):
        yield
