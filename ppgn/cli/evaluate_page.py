"""The table and the page of `ppgn evaluate`: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image as Pillow

from ppgn.cli.evaluate_plots import MADE, REAL, curves, histogram, reliability

MEASURES = {
    "accuracy": ("accuracy", "judged to be of the class asked for"),
    "calibration_error": ("calibration error", "of the judge on these pictures, 0 is calibrated"),
    "inception_score": ("Inception-style score", "1 to the number of classes, by the judge"),
    "frechet": ("Fréchet distance (FID)", "lower is nearer to real pictures; equal numbers compare"),
    "kernel": ("kernel distance (KID)", "lower is nearer to real pictures"),
    "precision": ("precision", "of the pictures, near a real one"),
    "recall": ("recall", "of the real ones, near a picture"),
    "density": ("density", "as precision, crowded places count more"),
    "coverage": ("coverage", "of the real ones, with a picture among their neighbours"),
    "feature_diversity": ("diversity, features", "cosine distance of two of a class"),
    "structure_diversity": ("diversity, 1 - MS-SSIM", "of two of a class, in pixels"),
    "lpips": ("diversity, LPIPS", "of two of a class"),
    "inception_frechet": ("FID, Inception", "in torchmetrics' own features"),
    "inception_kernel": ("KID, Inception", "in torchmetrics' own features"),
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2.2rem 0 .4rem; font-size: 1.25rem } p { margin: .4rem 0 }
table { border-collapse: collapse; margin: .6rem 0 }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
td { white-space: nowrap }
th:first-child, td:first-child, td.text { text-align: left; white-space: normal } td.text { color: #555 }
.confusion { font-size: .8rem } .confusion td { min-width: 2rem; border: 1px solid #fff; text-align: center }
.confusion thead th { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: .4rem .2rem }
.scroll { overflow-x: auto } img { max-width: 100% } figure { margin: 0 }
.own { background: #fff3d6; padding: .5rem .8rem; border-left: 4px solid #d98a00 }
.side { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .6rem; overflow-x: auto }
"""


OWN_NOTE = """<p class="own">The judge is the bundle's own classifier, not held out: it took part in the sampling, so its accuracy
says only that the chains reached what they were asked for.</p>"""


def number(value: float | None, digits: int = 3) -> str:
    """A figure for a table; a dash where there is none."""
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if abs(value) >= 10**-digits or value == 0 else f"{value:.2g}"


def judge_of(told: dict[str, Any]) -> str:
    """Who judges, and whether it took part in the sampling."""
    held = "held out" if told["judge"]["held_out"] else "own, not held out"
    return f"{told['judge']['name']} ({held})"


def rows(told: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """(measure, of the samples, of real pictures, what it is), those that were measured."""
    made, real = told["samples"], told["real"]
    found = []
    for key, (name, meaning) in MEASURES.items():
        if made.get(key) is not None or real.get(key) is not None:
            values = [number(one.get(key)) for one in (made, real)]
            if key == "accuracy":
                values = [f"{value} ± {number(one['standard_error'])}" for value, one in zip(values, (made, real), strict=True)]
            found.append((name, *values, meaning))
    if made["copies"] is not None:
        values = [number(one["copies"]["below_one"]) for one in (made, real)]
        found.append(("nearer to a training picture than it is to any other", *values, "fraction; copies have ratio 0"))
    best = told["activation"]["above_best_real"]
    found.append(("above the best real picture", number(best), "-", "fraction of samples whose logit is"))
    return [*found, *_chain_rows(told)]


def _chain_rows(told: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    found = []
    if told["cost"] is not None:
        passes = ", ".join(f"{name} {count:.0f}" for name, count in told["cost"]["passes_per_sample"].items())
        found.append(("seconds a sample", number(told["cost"]["seconds_per_sample"]), "-", f"passes a sample: {passes}"))
    chain = told["chain"]
    for key, name in (("log_prob", "log-probability"), ("features", "features")):
        if chain is not None and chain[key] is not None:
            size = f"effective samples of {chain['steps']} steps: {number(chain[key]['effective_per_chain'], 1)}"
            found.append((f"autocorrelation time, {name}", number(chain[key]["tau"], 1), "-", f"steps; {size}"))
    return found


def markdown(told: dict[str, Any]) -> str:
    """The table for the terminal, under a line that says who judged what."""
    title = f"{told['bundle']}, judged by {judge_of(told)}"
    head = f"| measure | samples, {told['samples']['pictures']} | real, {told['real']['pictures']} | |"
    lines = [f"| {' | '.join(row)} |" for row in rows(told)]
    return "\n".join([title, "", head, "| --- | --- | --- | --- |", *lines])


def page(told: dict[str, Any], pictures: dict[str, Any]) -> str:
    """All of it as one HTML document. told: what scores.json holds; pictures: shown (Pillow images by name) and ratios (distance
    ratios of samples and of held-out real pictures)."""
    parts = [*_summary(told), *_shown(told, pictures["shown"]), *_judged(told), *_copies(told, pictures), *_chain(told)]
    if told["settings"] is not None:
        listed = ", ".join(f"{name} {value}" for name, value in told["settings"].items())
        parts += ["<h2>Settings</h2>", f"<pre>{html.escape(listed)}</pre>"]
    title = html.escape(f"ppgn evaluate {told['bundle']}")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _summary(told: dict[str, Any]) -> list[str]:
    made, real, sets = told["samples"], told["real"], told["compared"]
    note = "" if told["judge"]["held_out"] else OWN_NOTE
    about = (
        f"{made['pictures']} samples beside {real['pictures']} real pictures, judged by {judge_of(told)} in the "
        f"{told['judge']['features']} features of {told['judge']['layer']}. As sets, {sets['samples']} samples and "
        f"{sets['real']} of the real pictures are each compared with {sets['reference']} other real pictures."
    )
    head = f"<tr><th>measure</th><th {_colour(MADE)}>samples</th><th {_colour(REAL)}>real pictures</th><th></th></tr>"
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in row[:3])
        + f'<td class="text">{html.escape(row[3])}</td></tr>'
        for row in rows(told)
    )
    title = f"<h1>{html.escape(told['bundle'])}</h1>"
    return [title, f"<p>{html.escape(about)}</p>", note, f'<div class="scroll"><table>{head}{body}</table></div>']


def _shown(told: dict[str, Any], shown: dict[str, Pillow.Image]) -> list[str]:
    listed = html.escape(", ".join(told["classes"][row["class"]] for row in told["activation"]["per_class"]))
    return [
        "<h2>Pictures</h2>",
        f"<p>A row for each class: {listed}. The first ones, none left out.</p>",
        '<div class="side">',
        f"<figure><figcaption>samples</figcaption>{_embedded(shown['samples'], 'samples')}</figure>",
        f"<figure><figcaption>real pictures</figcaption>{_embedded(shown['real'], 'real pictures')}</figure></div>",
        "<h2>Activation against the best real picture</h2>",
        "<p>The highest logit of each class among the samples (top) and among the real pictures (below).</p>",
        _embedded(shown["best"], "best samples and best real pictures"),
        _activations(told),
    ]


def _activations(told: dict[str, Any]) -> str:
    keys = ("mean", "best", "real_mean", "real_best")
    head = "<tr><th>class</th>" + "".join(f"<th>{key.replace('_', ', ')}</th>" for key in keys) + "</tr>"
    body = ""
    for row in told["activation"]["per_class"]:
        cells = "".join(f"<td>{number(row[key], 2)}</td>" for key in keys)
        body += f"<tr><td>{html.escape(told['classes'][row['class']])}</td>{cells}</tr>"
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def _judged(told: dict[str, Any]) -> list[str]:
    made, real = told["samples"], told["real"]
    plot = reliability({"samples": made["reliability"], "real pictures": real["reliability"]})
    tables = [_confusion(told["classes"], one["confusion"], name) for one, name in ((made, "samples"), (real, "real pictures"))]
    return [
        "<h2>Confusion</h2>",
        "<p>Rows: asked for. Columns: judged to be.</p>",
        f'<div class="side">{"".join(tables)}</div>',
        "<h2>Calibration</h2>",
        "<p>How often the judge is right at each confidence; the area of a dot is its number of pictures.</p>",
        plot,
    ]


def _confusion(names: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    head = "<thead><tr><td></td>" + "".join(f"<th>{html.escape(name)}</th>" for name in names) + "</tr></thead>"
    body = ""
    for name, row in zip(names, counts, strict=True):
        total = sum(row)
        if total:
            cells = "".join(f"<td {_shade(count / total)}>{count or ''}</td>" for count in row)
            body += f"<tr><th>{html.escape(name)}</th>{cells}</tr>"
    return f'<figure class="scroll"><figcaption>{title}</figcaption><table class="confusion">{head}{body}</table></figure>'


def _copies(told: dict[str, Any], pictures: dict[str, Any]) -> list[str]:
    if told["samples"]["copies"] is None:
        return []
    names = {"samples": "samples", "real": "held-out real pictures"}
    head = "<tr><th>distance ratio</th><th>fraction below 1</th><th>least</th><th>median</th></tr>"
    body = ""
    for key, name in names.items():
        cells = [number(told[key]["copies"][one]) for one in ("below_one", "least_ratio", "median_ratio")]
        body += f"<tr><td>{name}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return [
        "<h2>Copies of training pictures</h2>",
        f"<p>Distance to the nearest of {told['training_pictures']} training pictures over that picture's own distance to its "
        "nearest other one: a copy is at 0. Held-out real pictures, which cannot be copies, say what is usual.</p>",
        f"<table>{head}{body}</table>",
        histogram({names[key]: values for key, values in pictures["ratios"].items()}),
        "<p>The most suspicious samples, each beside its nearest training picture.</p>",
        _embedded(pictures["shown"]["copies"], "samples beside their nearest training pictures"),
    ]


def _chain(told: dict[str, Any]) -> list[str]:
    chain = told["chain"]
    if chain is None or chain["log_prob"] is None:
        return []
    names = {"log_prob": "log-probability", "features": "features"}
    kept = {name: chain[key]["autocorrelation"] for key, name in names.items() if chain[key]["tau"] is not None}
    what = f"{chain['chains']} chains, {chain['steps']} steps each after the first {chain['after']}."
    drawn = curves(kept) if kept else "<p>The chains are at rest: nothing changes from step to step.</p>"
    return ["<h2>Along a chain</h2>", f"<p>Autocorrelation against steps apart; {what}</p>", drawn]


def _embedded(picture: Pillow.Image, text: str) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{data}">'


def _colour(colour: str) -> str:
    return f'style="color:{colour}"'


def _shade(share: float) -> str:
    ink = "#fff" if share > 0.5 else "#1b1b1b"
    return f'style="background:rgba(31,95,168,{0.04 + 0.96 * share:.2f});color:{ink}"'
