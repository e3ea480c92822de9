"""The page of a run, one HTML file that needs nothing else: stages, curves, reconstructions, samples, settings."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.25rem } p { margin: .4rem 0 }
table { border-collapse: collapse; margin: .6rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child, td.text { text-align: left } tr.chosen { background: #eef4fb; font-weight: 600 }
img { max-width: 100%; image-rendering: auto } .charts { display: flex; flex-wrap: wrap; gap: 1rem }
pre { background: #f4f4f4; padding: .6rem; overflow-x: auto } td.text { color: #555 }
"""
TITLES = {
    "pictures": "pictures",
    "features": "features of the trunk",
    "encoder": "encoder",
    "codes": "codes",
    "noise_level": "model of codes by noise level",
    "denoiser": "denoiser of codes",
    "generator": "generator",
    "settings": "settings",
}
"""Stages in their order, as the page calls them."""
LABELS = {
    "train/loss": "loss", "val/accuracy": "accuracy, held-out pictures", "val/loss": "loss, held-out pictures",
    "val/error_at_0.5": "error at level 0.5, held-out codes", "train/image": "distance of pixels",
    "train/feature": "distance of features", "train/adversarial": "adversarial loss",
    "train/discriminator": "loss of the adversary",
    "val/image": "distance of pixels, held-out pictures", "val/feature": "distance of features, held-out pictures",
    "val/own_accuracy": "reconstructions that the encoder recognises",
}  # fmt: skip
"""What is plotted, and its name on the page."""
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 300, 170, 46, 26, 22


def page(
    title: str, about: str, stages: Sequence[Mapping[str, Any]], pictures: Mapping[str, Path], trials: Mapping[str, Any]
) -> str:
    """The page of a run.

    stages: for each "name", "state", "seconds", "of" (seconds that it gets), "updates", "history", "scores". pictures: caption ->
    PNG file. trials: those of the settings, "trials", "chosen" and "reconstructions", or nothing.
    """
    parts = [f"<h1>{html.escape(title)}</h1><p>{html.escape(about)}</p>", _stages(stages)]
    for caption, file in pictures.items():
        if file.is_file():
            data = base64.b64encode(file.read_bytes()).decode()
            parts.append(f'<h2>{html.escape(caption)}</h2><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">')
    if trials:
        parts.append(_settings(trials))
    for stage in stages:
        drawn = "".join(chart(LABELS[key], _points(stage["history"], key)) for key in LABELS if _points(stage["history"], key))
        if drawn:
            parts.append(f'<h2>Curves: {html.escape(TITLES[stage["name"]])}</h2><div class="charts">{drawn}</div>')
    top = f'<head><meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
    return f'<!doctype html>\n<html lang="en">{top}\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    head = "<tr><th>stage</th><th>state</th><th>minutes</th><th>of</th><th>updates</th><th>last measured</th></tr>"
    rows = ""
    for stage in stages:
        found = {LABELS[key]: value for key, value in stage["scores"].items() if key in LABELS and key.startswith("val/")}
        scores = ", ".join(f"{name} {value:.3g}" for name, value in found.items())
        cells = [TITLES[stage["name"]], stage["state"], *(f"{stage[key] / 60:.1f}" for key in ("seconds", "of"))]
        cells.append(f"{stage['updates']:,}" if stage["updates"] else "")
        rows += (
            "<tr>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + f'<td class="text">{html.escape(scores)}</td></tr>'
        )
    return f"<h2>Stages</h2><table>{head}{rows}</table>"


def _settings(found: Mapping[str, Any]) -> str:
    """The trials of the settings, the chosen one marked."""
    real = found["reconstructions"]
    head = "<tr><th>guidance</th><th>steps</th><th>recognised</th><th>diversity</th><th>seconds</th></tr>"
    rows = f"<tr><td>reconstructions</td><td></td><td>{real['accuracy']:.3f}</td><td>{real['diversity']:.3f}</td><td></td></tr>"
    for one in found["trials"]:
        mark = ' class="chosen"' if one == found.get("chosen") else ""
        cells = (
            f"{one['guidance']:g}",
            str(one["steps"]),
            f"{one['accuracy']:.3f}",
            f"{one['diversity']:.3f}",
            f"{one['seconds']:.1f}",
        )
        rows += f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    note = (
        "Recognised: by the bundle's own encoder, on mirrored and moved copies. Diversity: within a class, in its features. The "
        "chains climb this encoder, so these figures order settings and do not judge the pictures. Chosen: diversity nearest to "
        "0.9 of the reconstructions', among those that are recognised at least 0.9 times as often."
    )
    return f"<h2>Settings</h2><p>{note}</p><table>{head}{rows}</table>"


def _points(history: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    """(minutes, value) where there is a value."""
    return [(point["seconds"] / 60, point[key]) for point in history if point.get(key) is not None and abs(point[key]) < 1e30]


def chart(title: str, points: Sequence[tuple[float, float]]) -> str:
    """A curve over minutes as inline SVG."""
    last = max(minutes for minutes, _ in points) or 1.0
    low, high = min(value for _, value in points), max(value for _, value in points)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    across, up = WIDTH - LEFT - 8, HEIGHT - TOP - BOTTOM

    def place(minutes: float, value: float) -> str:
        return f"{LEFT + across * minutes / last:.1f},{TOP + up * (high - value) / (high - low):.1f}"

    line = " ".join(place(*point) for point in points)
    texts = "".join(
        f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(text)}</text>'
        for x, y, anchor, text in (
            (LEFT, 16, "start", title), (LEFT - 5, TOP + 10, "end", f"{high:.3g}"), (LEFT - 5, TOP + up, "end", f"{low:.3g}"),
            (LEFT, HEIGHT - 6, "start", "0"), (WIDTH - 8, HEIGHT - 6, "end", f"{last:.1f} min"),
        )
    )  # fmt: skip
    frame = f'<rect x="{LEFT}" y="{TOP}" width="{across}" height="{up}" fill="none" stroke="#bbb"/>'
    drawn = f'<polyline points="{line}" fill="none" stroke="#1f5fa8" stroke-width="1.6"/>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" style="font:12px system-ui,sans-serif"'
    return f'<svg role="img" aria-label="{html.escape(title)}" {size}>{frame}{drawn}{texts}</svg>'
