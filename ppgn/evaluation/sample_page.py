"""The page of samples: one HTML file with the pictures, the film of their chains, curves, settings and the command."""

from __future__ import annotations

import base64
import html
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ppgn import __version__, images
from ppgn.evaluation.course import Course, by_chain
from ppgn.evaluation.html import document, embedded
from ppgn.evaluation.plots import lines

FRAMES_PER_SECOND = 8.0
STYLE = """
body { max-width: 70rem } .film { width: min(100%, 34rem) } .plots { display: flex; flex-wrap: wrap; gap: 1.2rem }
details { margin: .5rem 0 } summary { cursor: pointer }
@media (prefers-color-scheme: dark) {
  body { color: #e8e8e8; background: #16181b } pre { background: #24272b } th, td { border-color: #3a3e44 }
}
"""


def sample_page(
    grid: Pillow.Image,
    rows: Sequence[Mapping[str, Any]],
    course: Course,
    *,
    title: str,
    quantity: str,
    settings: Mapping[str, Any],
    command: str = "",
) -> str:
    """A page about samples, in one file that needs nothing else.

    grid: the pictures. rows: what is known of each picture, such as its seed and value, all with the same keys. course: of their
    chains. title: what was asked for. quantity: of the values. settings: name -> JSON, such as recipe, request and environment.
    command: that made the pictures.
    """
    parts = [f"<h1>{html.escape(title)}</h1>", f'<div class="grid scroll">{embedded(grid, f"samples: {title}")}</div>']
    if course.frames:
        shown = f"{min(course.chains, len(rows))} chains" if course.chains > 1 else "The chain"
        parts += [
            "<h2>On the way</h2>",
            f"<p>{shown} of the first batch, from the first step to the last of {len(course.values)}.</p>",
            _film(course.frames),
        ]
        parts += ['<div class="plots">', *course_curves(course, quantity), "</div>"]
    if command:
        parts += ["<h2>Made by</h2>", f"<pre>{html.escape(command)}</pre>"]
    parts.append(f"<p>ppgn {__version__}</p>")
    for name, value in settings.items():
        text = html.escape(json.dumps(value, indent=1, ensure_ascii=False))
        parts.append(f"<details><summary>{html.escape(name)}</summary><pre>{text}</pre></details>")
    parts.append(f"<details open><summary>{len(rows)} pictures</summary>{_table(rows)}</details>")
    return document(title, parts, STYLE)


def course_curves(course: Course, quantity: str) -> list[str]:
    """Three plots over the steps: values, gaps of the prior, moves of the code. A line for each chain, and their mean."""
    about = (
        (course.values, 1, quantity),
        (course.gaps, 1, "gap of the prior, rms of R(h) - h"),
        (course.moves, 2, "move of the code, rms"),
    )
    return [lines(by_chain(rows), "step", name, first) for rows, first, name in about if rows]


def _film(frames: Sequence[Pillow.Image]) -> str:
    with tempfile.TemporaryDirectory() as room:
        file = Path(room) / "film.gif"
        images.save_video(frames, file, frames_per_second=FRAMES_PER_SECOND)
        data = base64.b64encode(file.read_bytes()).decode()
    return f'<img class="film" alt="the pictures at every step, as a film" src="data:image/gif;base64,{data}">'


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{html.escape(_shown(value))}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
