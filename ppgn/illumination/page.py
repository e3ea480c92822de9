"""The gallery of a search: one HTML file that needs nothing else, with the ancestors of each picture."""

from __future__ import annotations

import html
from pathlib import Path

import torch
from PIL import Image as Pillow

from ppgn import evaluation, images
from ppgn.illumination.illuminated import Illuminated
from ppgn.types import Image

SIDE, SHOWN = 128, 6
"""Most pixels of a picture's side, and the most ancestors that are shown of each, evenly spread."""
SMALL = 64
"""Side up to which pictures are shown in whole pixels, without loss."""
STYLE = """
body { max-width: 76rem } .gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1.2rem }
.gallery figure { display: flex; gap: .6rem } .gallery > figure > img { width: 6.5rem; height: 6.5rem; object-fit: contain }
.gallery figcaption { font-size: .85rem; line-height: 1.3; overflow-wrap: anywhere } .line { margin-top: .3rem }
.line img { width: 1.7rem; height: 1.7rem; margin-right: 2px } .small img { image-rendering: pixelated }
"""


def write_page(found: Illuminated, file: str | Path, title: str = "Innovation engine") -> None:
    """Writes the gallery: all pictures, the most confident first, each with its class, confidence, generation and ancestors."""
    text = gallery(found, title)
    images.write_atomically(Path(file), lambda path: path.write_text(text, encoding="utf-8"))


def gallery(found: Illuminated, title: str) -> str:
    """The gallery as HTML."""
    order = sorted(range(len(found.names)), key=lambda one: (-float(found.confidences[one]), one))
    elites, curve = found.elites, found.curve
    small = " small" if max(found.search.encoding.render([elites[0].genome]).shape[-2:]) <= SMALL else ""
    about = (
        f"{len({one.id for one in elites})} pictures for {len(elites)} classes after {len(curve)} generations of "
        f"{found.search.population}. Median confidence {100 * found.median:.2f} %; above 50 %: {_percent(found, 0.5)} of the "
        f"classes, above 90 %: {_percent(found, 0.9)}, above 99 %: {_percent(found, 0.99)}."
    )
    lines = {"median confidence": [row.median for row in curve], "share above 90 %": [row.above_ninety for row in curve]}
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{about}</p>", evaluation.shares(lines, "generation", "confidence, share")]
    parts += [
        "<h2>Pictures</h2>",
        "<p>Beside each: its class, the network's confidence, the generation in which it was bred, and its ancestors, the oldest "
        "first, each once the best picture of a class: the class is its title.</p>",
        f'<div class="gallery{small}">',
    ]
    for position in order:
        parts.append(_figure(found, position))
    return evaluation.document(title, [*parts, "</div>"], STYLE)


def _figure(found: Illuminated, position: int) -> str:
    elite, name = found.elites[position], found.names[position]
    picture = found.images([position])[0]
    before = found.ancestors(position)
    shown = [before[place] for place in images.spread(len(before), SHOWN)]
    line = ""
    for one in shown:
        what = f"{found.names[one.class_]}, {100 * one.confidence:.1f} %, generation {one.generation}"
        small = torch.zeros(1, 1, 1) if one.thumbnail is None else one.thumbnail.float() / 255
        line += f'<span title="{html.escape(what)}">{_embedded(small, what)}</span>'
    came = sorted({found.names[one.class_] for one in before} - {name})
    lineage = f"{elite.depth} ancestor{'' if elite.depth == 1 else 's'}" + (f", once {came[0]}" if len(came) == 1 else "")
    lineage += f", once elites of {len(came)} other classes" if len(came) > 1 else ""
    caption = (
        f"<b>{html.escape(name)}</b><br>{100 * float(found.confidences[position]):.2f} %<br>generation {elite.generation}<br>"
        f'{html.escape(lineage)}<div class="line">{line}</div>'
    )
    return f"<figure>{_embedded(picture, name)}<figcaption>{caption}</figcaption></figure>"


def _embedded(picture: Image, text: str) -> str:
    """A picture `[channel, height, width]` in the page, not larger than SIDE."""
    drawn: Pillow.Image = images.to_pil(images.at_most(picture, SIDE).detach().cpu().to(torch.float32).clamp(0, 1))
    return evaluation.embedded(drawn, text, "png" if max(picture.shape[-2:]) < SMALL and len(picture) == 1 else "jpeg")


def _percent(found: Illuminated, least: float) -> str:
    return f"{100 * found.share(least):.1f} %"
