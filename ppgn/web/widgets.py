"""Parts of the page that Gradio lacks: pictures as buttons, the form of a recipe, a picture to paint a hole on, a plane of
pictures. All are operable by keyboard."""

from __future__ import annotations

import base64
import html
import inspect
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.errors import is_out_of_memory, one_line, printable
from ppgn.types import ImageSpec
from ppgn.web.visitor import Visitors

_log = logging.getLogger("ppgn")
ASSETS = Path(__file__).parent / "assets"
BRUSH = "8"
PAINTER = f"""<div class="painter" hidden>
<div class="stack"><img class="under" alt="the picture to paint a hole on"><canvas role="img" aria-label="paint the hole here">
</canvas></div>
<div class="tools"><label>brush <input class="brush" type="range" min="2" max="32" value="{BRUSH}"></label>
<button type="button" class="clear">Clear the hole</button></div>
<div class="tools">without a mouse: <label>left <input class="left" type="number" min="0"></label>
<label>top <input class="top" type="number" min="0"></label> <label>width <input class="across" type="number" min="1"></label>
<label>height <input class="below" type="number" min="1"></label>
<button type="button" class="add">Add this box</button></div></div>"""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "AVIF")
"""Of uploaded pictures. Pillow reads more, some by other programs (EPS by Ghostscript), which no visitor shall start."""


def asset(name: str) -> str:
    """A file of the page's own scripts and styles."""
    return (ASSETS / name).read_text(encoding="utf-8")


def tiles(name: str, label: str, small: bool = False, **options: Any) -> Any:
    """Pictures as buttons; its event `click` has the `index`."""
    import gradio as gr

    template = f'<div class="tiles{" small" if small else ""}" role="group" aria-label="{html.escape(label)}"></div>'
    return gr.HTML([], html_template=template, js_on_load=asset("tiles.js"), elem_id=name, **options)


def fields(name: str) -> Any:
    """The form of a recipe (`settings.form_of`); its event `select` comes with another member."""
    import gradio as gr

    return gr.HTML({}, html_template='<div class="fields"></div>', js_on_load=asset("fields.js"), elem_id=name)


def painter(name: str) -> Any:
    """A picture on which a hole is painted."""
    import gradio as gr

    return gr.HTML({}, html_template=PAINTER, js_on_load=asset("painter.js"), elem_id=name)


def upload(name: str, height: int) -> Any:
    """A picture from a file, the camera or the clipboard; its handlers get the file as it came, which may be no picture."""
    import gradio as gr

    found = gr.Image(
        type="filepath", format="png", sources=["upload", "webcam", "clipboard"], label="Picture", elem_id=name, height=height
    )  # fmt: skip
    # Gradio would open the file before any handler, and end with a traceback where it is no picture.
    found.preprocess = lambda payload: None if payload is None else payload.path  # type: ignore[method-assign]
    return found


def uploaded(file: str, spec: ImageSpec) -> Tensor:
    """An uploaded picture `[channel, height, width]` at a bundle's size. Raises ValueError, without the file's path, for what is
    no picture of FORMATS."""
    if not _is_of(FORMATS, file):
        kinds = f"expected a picture ({', '.join(FORMATS)}): give one of these kinds"
        raise ValueError(f"cannot read {Path(file).name} as a picture, {kinds}")
    try:
        return images.load_image(file, spec.size, spec.channels)
    except ValueError as fault:
        raise ValueError(str(fault).replace(str(file), Path(file).name)) from fault


def _is_of(formats: tuple[str, ...], file: str) -> bool:
    """Whether a file begins as a picture of these formats; no other program is asked."""
    try:
        with Pillow.open(file, formats=formats):
            return True
    except Pillow.DecompressionBombError:  # of a known kind, which `images.load_image` refuses
        return True
    except images.BROKEN_FILE:
        return False


def plane(name: str, label: str) -> Any:
    """Pictures in a plane; its event `click` has `x` and `y`."""
    import gradio as gr

    template = f'<div class="plane" role="group" aria-label="{html.escape(label)}"></div>'
    return gr.HTML([], html_template=template, js_on_load=asset("plane.js"), elem_id=name)


def data_url(image: Tensor | Pillow.Image, form: str = "PNG") -> str:
    """A picture `[channel, height, width]` in [0, 1] as a data URL. form: PNG, or JPEG for a frame."""
    picture = images.to_pil(image.detach().float().clamp(0, 1).cpu()) if isinstance(image, Tensor) else image
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, form, **({"quality": 92} if form == "JPEG" else {"compress_level": 1}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def tile_rows(
    pictures: Iterable[Tensor | Pillow.Image], labels: Sequence[str], about: str, chosen: Iterable[int] = (), form: str = "PNG"
) -> list[dict[str, Any]]:
    """The value of `tiles`."""
    marked = set(chosen)
    return [
        {"src": data_url(picture, form), "label": label, "alt": f"{about} {row + 1}", "chosen": row in marked}
        for row, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]


def said(text: str) -> str:
    """A line of the page's status."""
    return f'<div class="status" aria-live="polite">{html.escape(text)}</div>'


def as_sentence(fault: Exception) -> str:
    """A mistake in the sentence of the command line; of a fault that is no user's mistake, the traceback goes to the terminal."""
    if isinstance(fault, ValueError):
        return str(fault)
    if is_out_of_memory(fault):
        return f"memory does not suffice ({one_line(fault)}): ask for fewer chains"
    _log.error("a run of the page failed", exc_info=fault)
    return f"the run failed ({one_line(fault)}): the terminal of `ppgn web` has the details"


def wrong(sentence: str) -> str:
    """The sentence of a mistake, as an alert."""
    return f'<div class="status"><span role="alert">{html.escape(printable(sentence))}</span></div>'


def handler(function: Callable[..., Any], status: Any, visitors: Visitors) -> Callable[..., Any]:
    """The handler of an event: function(visitor, *inputs), or function(visitor, event, *inputs) where its second parameter is
    named `event`. A fault is a sentence (`as_sentence`) in `status` in the place of the outputs. Generators stay generators."""
    import gradio as gr

    needs_event = list(inspect.signature(function).parameters)[1:2] == ["event"]

    def given_to(request: Any, event: Any, given: Sequence[Any]) -> list[Any]:
        return [visitors.of(request.session_hash), *([event] if needs_event else []), *given]

    def stream(request: Any, event: Any, *given: Any) -> Iterator[Any]:
        try:
            yield from function(*given_to(request, event, given))
        except Exception as fault:
            yield {status: wrong(as_sentence(fault))}

    def once(request: Any, event: Any, *given: Any) -> Any:
        try:
            return function(*given_to(request, event, given)) or {status: gr.skip()}
        except Exception as fault:
            return {status: wrong(as_sentence(fault))}

    found = stream if inspect.isgeneratorfunction(function) else once
    found.__annotations__ = {"request": gr.Request, "event": gr.EventData}  # by which Gradio knows what to hand over
    found.__name__ = function.__name__
    return found
