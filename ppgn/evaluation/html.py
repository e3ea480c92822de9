"""The page of an evaluation: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image as Pillow

from ppgn.evaluation.plots import REAL, SAMPLES, curves, histogram, reliability
from ppgn.evaluation.table import judge_label, number, rows

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
.note { background: #fff3d6; padding: .5rem .8rem; border-left: 4px solid #d98a00 }
.side { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start }
pre { white-space: pre-wrap; background: #f4f4f4; padding: .6rem; overflow-x: auto }
"""
NOT_HELD_OUT = """<p class="note">The judge is the network that the chains climbed. Its accuracy only shows that they
arrived. A judge that took no part in training or sampling shows whether another network sees the class too.</p>"""


def page(scores: dict[str, Any], pictures: Mapping[str, Pillow.Image], ratios: Mapping[str, Sequence[float]]) -> str:
    """An evaluation as one HTML document; scores, pictures and ratios as in `Evaluated`."""
    parts = [*_summary(scores), *_pictures(scores, pictures), *_classes(scores), *_copies(scores, pictures, ratios)]
    parts += [*_chains(scores), *_recipe(scores)]
    return document(f"Evaluation of {scores['bundle']}", parts)


def document(title: str, parts: Sequence[str], style: str = "") -> str:
    """A whole page around parts of HTML. title: plain text. style: rules beside STYLE."""
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    top = f"<head>{meta}<title>{html.escape(title)}</title><style>{STYLE}{style}</style></head>"
    return f'<!doctype html>\n<html lang="en">{top}\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _summary(scores: dict[str, Any]) -> list[str]:
    samples, real, sizes = scores["samples"], scores["real"], scores["compared"]
    about = (
        f"{samples['pictures']} samples beside {real['pictures']} real pictures, judged by {judge_label(scores)} with the "
        f"{scores['judge']['features']} features of its layer {scores['judge']['layer']}. Distances between sets compare "
        f"{sizes['samples']} samples, and {sizes['real']} of the real pictures, with {sizes['reference']} other real pictures."
    )
    head = f"<tr><th>measure</th><th {_colour(SAMPLES)}>samples</th><th {_colour(REAL)}>real pictures</th><th></th></tr>"
    body = ""
    for *cells, meaning in rows(scores):
        body += "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        body += f'<td class="text">{html.escape(meaning)}</td></tr>'
    note = "" if scores["judge"]["held_out"] else NOT_HELD_OUT
    title = f"<h1>{html.escape(scores['bundle'])}</h1>"
    return [title, f"<p>{html.escape(about)}</p>", note, f'<div class="scroll"><table>{head}{body}</table></div>']


def _pictures(scores: dict[str, Any], pictures: Mapping[str, Pillow.Image]) -> list[str]:
    listed = html.escape(", ".join(scores["classes"][row["class"]] for row in scores["activation"]["per_class"]))
    return [
        "<h2>Pictures</h2>",
        f"<p>A row for each class: {listed}. The first pictures of each, none left out.</p>",
        '<div class="side">',
        f"<figure><figcaption>samples</figcaption>{embedded(pictures['samples'], 'samples')}</figure>",
        f"<figure><figcaption>real pictures</figcaption>{embedded(pictures['real'], 'real pictures')}</figure></div>",
        "<h2>Activation beside the best real picture</h2>",
        "<p>For each class the sample with the highest logit (above) and the real picture with the highest logit (below).</p>",
        embedded(pictures["best"], "best samples and best real pictures"),
        _activations(scores),
    ]


def _activations(scores: dict[str, Any]) -> str:
    columns = {"mean": "samples, mean", "best": "samples, best", "real_mean": "real, mean", "real_best": "real, best"}
    head = "<tr><th>class</th>" + "".join(f"<th>{name}</th>" for name in columns.values()) + "</tr>"
    body = ""
    for row in scores["activation"]["per_class"]:
        cells = "".join(f"<td>{number(row[key], 2)}</td>" for key in columns)
        body += f"<tr><td>{html.escape(scores['classes'][row['class']])}</td>{cells}</tr>"
    return f'<div class="scroll"><table>{head}{body}</table></div>'


def _classes(scores: dict[str, Any]) -> list[str]:
    columns = {"samples": scores["samples"], "real pictures": scores["real"]}
    tables = [_confusion(scores["classes"], column["confusion"], name) for name, column in columns.items()]
    return [
        "<h2>Confusion</h2>",
        "<p>Rows: the requested class. Columns: the judged class.</p>",
        f'<div class="side">{"".join(tables)}</div>',
        "<h2>Calibration</h2>",
        "<p>How often the judge is right at each confidence. The area of a dot is its share of the pictures.</p>",
        reliability({name: column["reliability"] for name, column in columns.items()}),
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


def _copies(scores: dict[str, Any], pictures: Mapping[str, Pillow.Image], ratios: Mapping[str, Sequence[float]]) -> list[str]:
    if scores["samples"]["copies"] is None:
        return []
    names = {"samples": "samples", "real": "held-out real pictures"}
    head = "<tr><th>distance ratio</th><th>fraction below 1</th><th>least</th><th>median</th></tr>"
    body = ""
    for key, name in names.items():
        cells = [number(scores[key]["copies"][one]) for one in ("below_one", "least_ratio", "median_ratio")]
        body += f"<tr><td>{name}</td>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    return [
        "<h2>Copies of training pictures</h2>",
        f"<p>The distance ratio is the distance of a picture to the nearest of {scores['training_pictures']} training pictures, "
        "over the distance of that training picture to its nearest other one. A copy has the ratio 0. Held-out real pictures "
        "cannot be copies; they show which ratios are usual.</p>",
        f"<table>{head}{body}</table>",
        histogram({names[key]: values for key, values in ratios.items()}),
        "<p>The samples with the least ratios, each beside its nearest training picture.</p>",
        embedded(pictures["copies"], "samples beside their nearest training pictures"),
    ]


def _chains(scores: dict[str, Any]) -> list[str]:
    chain = scores["chain"]
    if chain is None or chain["log_prob"] is None:
        return []
    names = {"log_prob": "log-probability", "features": "features"}
    moving = {name: chain[key]["autocorrelation"] for key, name in names.items() if chain[key]["tau"] is not None}
    about = (
        f"Autocorrelation of {chain['chains']} chains, one per class, over {chain['steps']} further steps after the "
        f"{chain['after']} of a sample."
    )
    drawn = curves(moving) if moving else "<p>The chains are at rest: nothing changes from step to step.</p>"
    return ["<h2>Along a chain</h2>", f"<p>{about}</p>", drawn]


def _recipe(scores: dict[str, Any]) -> list[str]:
    if scores["recipe"] is None:
        return []
    return ["<h2>Recipe</h2>", f"<pre>{html.escape(json.dumps(scores['recipe'], indent=1))}</pre>"]


def embedded(picture: Pillow.Image, text: str, kind: str = "png") -> str:
    """A picture inside the page. text: what is read in its place. kind: png, or jpeg, which is smaller."""
    stream = io.BytesIO()
    picture.save(stream, kind.upper())
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{html.escape(text)}" src="data:image/{kind};base64,{data}">'


def _colour(colour: str) -> str:
    return f'style="color:{colour}"'


def _shade(share: float) -> str:
    """The colours of a cell, darker for a larger share, with ink that stays readable."""
    ink = "#fff" if share > 0.5 else "#1b1b1b"
    return f'style="background:rgba(31,95,168,{0.04 + 0.96 * share:.2f});color:{ink}"'
