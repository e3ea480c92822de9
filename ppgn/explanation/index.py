"""The index of several reports: one HTML file with a card for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ppgn import evaluation, images
from ppgn.explanation.markup import STYLE, code, escaped, number, picture, plural, within
from ppgn.explanation.page import best_synthetic, common_folder, present

CARDS = """
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1rem; margin: 1.5rem 0 }
.card { background: var(--_card); border-radius: 8px; padding: .8rem } .card h2 { margin: 0 0 .5rem; font-size: 1.05rem }
.card h2 { overflow-wrap: anywhere } .card img { display: block; width: 100%; height: auto; border-radius: 4px }
.card p { margin: .3rem 0 0; font-size: .9rem } .card .pair { gap: .5rem }
"""
REPORT = "report.html"


def index_page(reports: Sequence[Mapping[str, Any]], folders: Sequence[str], root: Path) -> str:
    """A card for each report: its best real and best synthetic picture, and what was found.

    folders: of the reports, under root, in the same order; each holds report.html and the pictures.
    """
    cards = [_card(report, folder, root / folder) for report, folder in zip(reports, folders, strict=True)]
    networks = dict.fromkeys(str(name) for name in (within(one, "network", "network") for one in reports) if name)
    title = f"What {plural(len(reports), 'unit')} respond{'s' if len(reports) == 1 else ''} to"
    about = f'<p class="soft">{", ".join(code(name) for name in networks)}</p>' if networks else ""
    parts = [f"<h1>{title}</h1>", about, f"<p>{_summary(reports)}</p>"]
    return evaluation.document(title, [*parts, '<div class="cards">', *cards, "</div>"], STYLE + CARDS)


def _summary(reports: Sequence[Mapping[str, Any]]) -> str:
    """What holds for all reports, in words."""
    said = (
        "Left: the real picture with the highest response. Right: the synthetic picture with the highest response, of a "
        "learned prior where there is one."
    )
    best = [found[1]["multiple"] for found in map(best_synthetic, reports) if found is not None]
    known = [one for one in best if one is not None]
    if known:
        above = sum(one > 1 for one in known)
        said += f" In {above} of {len(known)} the synthetic picture responds more than every real one."
    verdicts = [within(present(one, "transfer"), "verdict") for one in reports]
    made = [one for one in verdicts if one is not None]
    return said + (f" Transfer to a second network: {sum(made)} of {len(made)}." if made else "")


def _card(report: Mapping[str, Any], folder: str, place: Path) -> str:
    link = quote(f"{folder}/{REPORT}".replace("\\", "/"))
    top, best, common = within(present(report, "real"), "top") or [], best_synthetic(report), common_folder(report)
    drawn = ""
    if top:
        drawn += _picture(place / "real", top[0], f"top real picture of {report['name']}, {top[0]['file']}")
    if best is not None:
        drawn += _picture(place / "synthetic", best[1], f"best synthetic picture of {report['name']}")
    said = []
    if common is not None:
        said.append(f"{common[1]} of {common[2]} top pictures in {code(common[0])}")
    if best is not None:
        said.append(f"<b>{number(best[1]['multiple'])}</b> times the best real response, {escaped(best[0])}")
    verdict = within(present(report, "transfer"), "verdict")
    said.append({True: "Transfers to a second network", False: "Does not transfer"}.get(verdict, "Transfer: no verdict"))
    heading = f'<h2><a href="{escaped(link)}">{escaped(report["name"])}</a></h2>'
    return f'<article class="card">{heading}<div class="pair">{drawn}</div>{"".join(f"<p>{one}.</p>" for one in said)}</article>'


def _picture(folder: Path, one: Mapping[str, Any], alt: str) -> str:
    """A picture of a report, which may be lost since an earlier call made it."""
    file = folder / f"{one['picture']}.png"
    return picture(file, alt) if images.is_whole_picture(file) else ""
