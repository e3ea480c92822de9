"""The pieces that a report's page is made of: numbers as text, pictures, tables, and the style of the page."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ppgn import evaluation

SIDE, SMALL = 640, 48
"""Most pixels of a picture's side in the page, and the side up to which it is kept without loss, its pixels as squares."""
ABSENT = "-"
STRIP = '<div class="scroll" tabindex="0" role="region" aria-label="pictures"><div class="strip">'
"""Opens a row of pictures that scrolls in a box of its own; two elements are to be closed."""
Data = Mapping[str, Any]
"""A part of report.json."""
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --rule: #d8dee4; --paper: #fff; --card: #f5f7f9;
 --bar: #aeb8c2; --c0: #1f5fa8; --c1: #b4540a; --c2: #1a7f4b; --c3: #8250df; --c4: #b02a6b; --box: #ffd33d }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --soft: #9aa4ae; --rule: #363d45; --paper: #14171a;
 --card: #1f2429; --bar: #59636e; --c0: #79b8ff; --c1: #ffab70; --c2: #7ee2a8; --c3: #c9a6ff; --c4: #ff9bc8 } }
body { color: var(--ink); background: var(--paper); max-width: 64rem; overflow-wrap: break-word }
a { color: var(--c0) } h1 { margin: 0; font-size: 1.9rem; overflow-wrap: anywhere } h2 { margin-top: 2.8rem; font-size: 1.4rem }
h3 { margin: 1.4rem 0 .3rem; font-size: 1rem } p { max-width: 46rem } p.lead { font-size: 1.25rem; line-height: 1.45 }
.soft, figcaption, .read { color: var(--soft) } figcaption { font-size: .8rem; line-height: 1.3; overflow-wrap: anywhere }
figcaption b { color: var(--ink) } code { font-size: .92em; overflow-wrap: anywhere }
.read { border-left: 3px solid var(--rule); padding-left: .8rem } .note { background: var(--card) }
pre { background: var(--card); border-radius: 6px; overflow-wrap: anywhere }
th, td { border-color: var(--rule); font-variant-numeric: tabular-nums; font-size: .9rem } th { color: var(--soft) }
th:first-child, td:first-child, td:first-child code { white-space: nowrap; overflow-wrap: normal }
.row { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.1rem, 1fr)); gap: .6rem; margin: .5rem 0 }
.row.wide { grid-template-columns: repeat(auto-fill, minmax(12.5rem, 1fr)); gap: 1rem }
.row img, .strip img { display: block; width: 100%; height: auto; border-radius: 4px } img.small { image-rendering: pixelated }
.framed { position: relative; display: block }
.framed i { box-sizing: border-box; position: absolute; border: 2px solid var(--box); outline: 1px solid #000 }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 3px; margin-bottom: .25rem }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(6.3rem, 12rem); gap: .4rem; margin: .5rem 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem 1.5rem;
 align-items: start; margin: 1rem 0 }
svg { width: 100%; height: auto; max-width: 34rem; fill: var(--ink); font: 13px system-ui, sans-serif }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; margin: 1.2rem 0; padding: 0 }
.facts div { background: var(--card); border-radius: 8px; padding: .7rem .9rem } .facts dd { margin: 0; font-size: .85rem }
.facts dt { font-size: 1.5rem; font-weight: 600; line-height: 1.2 } nav a { margin-right: .9rem; white-space: nowrap }
nav { margin: 1.2rem 0; padding: .5rem 0; border: solid var(--rule); border-width: 1px 0 }
.maps th, .maps td, .pairs td { text-align: left; padding-left: 0 }
.maps img { display: block; width: 9rem; max-width: none; border-radius: 4px }
.maps td { padding-top: .4rem } .maps th { max-width: 9rem } .maps span { font-weight: 400 }
.file { font-size: .72rem; line-height: 1.2; display: inline-block }
.strip.wide { grid-auto-columns: minmax(9rem, 15rem) } h2.sub { margin: 1.4rem 0 .3rem; font-size: 1rem }
details { margin: .6rem 0 } summary { cursor: pointer; color: var(--soft) }
"""


def escaped(value: object) -> str:
    """Any value as text of the page."""
    return html.escape(str(value))


def code(value: object) -> str:
    """A name from a file or a network, set as code."""
    return f"<code>{escaped(value)}</code>"


def number(value: Any, digits: int = 3) -> str:
    """A figure with that many significant digits; a dash where there is none."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return ABSENT
    if isinstance(value, int) or abs(value) >= 10**digits:
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    return (f"{value:#.{digits}g}".rstrip(".") if value else "0").replace("-", "\N{MINUS SIGN}")


def setting(value: Any) -> str:
    """A figure that somebody chose, without further digits."""
    return ABSENT if number(value) == ABSENT else f"{value:g}"


def percent(share: Any) -> str:
    """A share of 1 in percent."""
    return ABSENT if number(share) == ABSENT else f"{100 * share:.1f} %".replace(".0 %", " %")


def interval(value: Mapping[str, Any] | None) -> str:
    """A mean with its confidence interval."""
    if value is None or number(value["mean"]) == ABSENT:
        return ABSENT
    known = [value[key] for key in ("mean", "low", "high") if number(value.get(key)) != ABSENT]
    largest = max(map(abs, known))
    decimals = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
    texts = [f"{one:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for one in known]
    return f"{texts[0]} ({texts[1]} to {texts[2]})" if len(texts) == 3 else texts[0]


def within(value: Any, *keys: str) -> Any:
    """The value behind nested keys; None where one of them is missing or null."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def reading(how: str, limits: str) -> str:
    """How to read a section, and what its limits are. how: may hold HTML."""
    return f'<p class="read">{how} {limits}</p>'


def plural(count: int | None, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def picture(file: Path, alt: str, box: Sequence[float] | None = None) -> str:
    """A picture file inside the page. alt: what is read in its place. box: (top, left, height, width) in pixels, marked."""
    with Pillow.open(file) as opened:
        drawn = opened.convert("RGB")
    height, width = drawn.height, drawn.width
    small = max(drawn.size) <= SMALL
    drawn.thumbnail((SIDE, SIDE))
    text = evaluation.embedded(drawn, alt, "png" if small else "jpeg")
    text = text.replace("<img ", '<img class="small" ', 1) if small else text
    if box is None:
        return text
    shares = zip(("top", "left", "height", "width"), box, (height, width, height, width), strict=True)
    place = ";".join(f"{side}:{100 * value / whole:.1f}%" for side, value, whole in shares)
    return f'<span class="framed">{text}<i style="{place}"></i></span>'


def figure(drawn: str, caption: str = "") -> str:
    """What is drawn, as HTML, with a caption, as HTML, under it."""
    return f"<figure>{drawn}<figcaption>{caption}</figcaption></figure>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> str:
    """A table of HTML cells that scrolls in a box of its own; columns without any figure are left out. name: of the box."""
    if not rows:
        return ""
    kept = [place for place in range(len(head)) if place == 0 or any(row[place] != ABSENT for row in rows)]
    top = "".join(f'<th scope="col">{head[place]}</th>' for place in kept)
    body = "".join("<tr>" + "".join(f"<td>{row[place]}</td>" for place in kept) + "</tr>" for row in rows)
    label = f'class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}"'
    return f"<div {label}><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def pairs(values: Mapping[str, Any] | None, name: str) -> str:
    """A table of keys and values, which may be anything that JSON knows."""
    rows = []
    for key, value in (values or {}).items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append([escaped(key), f'<code style="white-space:normal">{escaped(shown)}</code>'])
    body = "".join(f'<tr><th scope="row">{key}</th><td>{value}</td></tr>' for key, value in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escaped(name)}"><table class="pairs">{body}</table></div>'
    )


def file_name(file: str) -> str:
    """The path of a real picture as a small line, which may break after its folders."""
    return f'<span class="file">{escaped(file).replace("/", "/<wbr>")}</span>'


def folder_of(file: str) -> str:
    """The folder of a class that a file lies in, "" for a file that lies in none."""
    first, separator, _ = file.replace("\\", "/").partition("/")
    return first if separator else ""
