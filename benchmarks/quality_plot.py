"""The plot of benchmarks/quality.py: accuracy against diversity, a dot for each variant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quality_variants import ADAPTIVE, is_of_papers

from ppgn import images

NEAR = ((0.66, 0.92), (0.41, 0.58))
"""Accuracies and diversities of what can stand beside real pictures."""
REAL, DEFAULT, PAPERS, EQ_11 = "#c2571a", "#1f5fa8", "#2a7f3f", "#777777"


def short(name: str) -> str:
    """The name without "Eq. 11, ", which grey dots have in common."""
    return name.removeprefix("Eq. 11, ")


def colour_of(name: str) -> str:
    if name.startswith("real"):
        return REAL
    return DEFAULT if name in ADAPTIVE else PAPERS if is_of_papers(name) else EQ_11


def joined(found: dict[str, dict[str, Any]]) -> list[str]:
    """The default at all temperatures, in their order: the variants that a line joins."""
    names = [name for name in found if name.startswith("temperature ") or name == "default"]
    return sorted(names, key=lambda name: found[name]["request"]["recipe"]["measure"]["temperature"])


def frontier(found: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw accuracy against diversity, and once more, enlarged, the upper right corner, which is good."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "ppgn"
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(15, 8), width_ratios=(1, 2.2))
    places = {name: (scores["accuracy"], scores["diversity_encoder"]) for name, scores in found.items()}
    inside = {
        name for name, place in places.items() if all(low <= at <= high for at, (low, high) in zip(place, NEAR, strict=True))
    }
    for axes, named in zip(panels, (set(places) - inside, inside), strict=True):
        _dots(axes, places, named)
        axes.plot(*zip(*(places[name] for name in joined(found)), strict=True), color=DEFAULT, alpha=0.4, zorder=1)
        axes.set_xlabel("judged to be of the class of the request (held-out SqueezeNet 1.0)")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("diversity within a class (cosine distance of SqueezeNet 1.1 features)")
    panels[0].set_title("all (named on the right where they are near)", fontsize=9)
    panels[0].margins(x=0.2)
    panels[1].set(xlim=NEAR[0], ylim=NEAR[1])
    panels[1].set_title("blue: the default with a change, grey: Eq. 11 with a change, green: the papers' methods", fontsize=9)
    figure.tight_layout()
    images.write_atomically(path, lambda place: figure.savefig(place, format=path.suffix[1:], metadata={"Date": None}))


def _dots(axes: Any, places: dict[str, tuple[float, float]], named: set[str]) -> None:
    """A dot for each variant, and the names of some."""
    for number, name in enumerate(sorted(places, key=lambda name: places[name][1])):
        colour = colour_of(name)
        axes.scatter(*places[name], color=colour, marker="s" if is_of_papers(name) else "o", s=24, zorder=2)
        if name in named:  # on both sides in turn: neighbours would cover each other
            side = {"xytext": (4, -2)} if number % 2 else {"xytext": (-4, -2), "horizontalalignment": "right"}
            axes.annotate(short(name), places[name], textcoords="offset points", fontsize=7, color=colour, **side)
