"""Plots of an evaluation as inline SVG, so that the page needs no other file and no plotting library."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SAMPLES, REAL = "#1f5fa8", "#c2571a"
COLOURS = (SAMPLES, REAL)
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460, 300, 56, 30, 14, 44
"""Of a plot and its margins, in pixels."""
BINS, HIGHEST = 20, 2.0
"""Bins of the histogram of distance ratios from 0 to HIGHEST; higher ratios count in the last bin."""


def reliability(sets: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Accuracy against confidence of one or two sets by name: a dot for each bin, its area by its share of the pictures."""
    drawn = f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#aaa" stroke-dasharray="4"/>'
    for colour, bins in zip(COLOURS, sets.values(), strict=False):
        total = sum(one["pictures"] for one in bins)
        for one in bins:
            radius = 2 + 14 * math.sqrt(one["pictures"] / total)
            centre = f'cx="{_x(one["confidence"]):.1f}" cy="{_y(one["accuracy"]):.1f}" r="{radius:.1f}"'
            drawn += f'<circle {centre} fill="{colour}" fill-opacity="0.45" stroke="{colour}"/>'
    ticks = {_x(value): f"{value:g}" for value in (0, 0.25, 0.5, 0.75, 1)}
    return _plot("calibration", drawn, list(sets), "confidence", "accuracy", ticks)


def curves(series: Mapping[str, Sequence[float]]) -> str:
    """Autocorrelations by name against the lag, a line for each."""
    last = max(1, max(len(values) for values in series.values()) - 1)
    drawn = f'<line x1="{_x(0)}" y1="{_y(0.5):.1f}" x2="{_x(1)}" y2="{_y(0.5):.1f}" stroke="#aaa"/>'
    for colour, values in zip(COLOURS, series.values(), strict=False):
        points = " ".join(f"{_x(lag / last):.1f},{_y((value + 1) / 2):.1f}" for lag, value in enumerate(values))
        drawn += f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
    ticks = {_x(part / 4): f"{last * part / 4:.0f}" for part in range(5)}
    levels = {_y((value + 1) / 2): f"{value:g}" for value in (-1, -0.5, 0, 0.5, 1)}
    return _plot("autocorrelation", drawn, list(series), "lag in steps", "autocorrelation", ticks, levels)


def shares(series: Mapping[str, Sequence[float]], across: str, upwards: str) -> str:
    """Numbers in [0, 1] by name, one after the other, a line for each of one or two. across, upwards: names of the axes."""
    last = max(1, max(len(values) for values in series.values()) - 1)
    drawn = ""
    for colour, values in zip(COLOURS, series.values(), strict=False):
        every = -(-len(values) // WIDTH)  # a point for each pixel is enough
        kept = sorted({*range(0, len(values), every), len(values) - 1})
        points = " ".join(f"{_x(place / last):.1f},{_y(values[place]):.1f}" for place in kept)
        drawn += f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
    ticks = {_x(part / 4): f"{last * part / 4:.0f}" for part in range(5)}
    return _plot(", ".join(series), drawn, list(series), across, upwards, ticks)


def lines(series: Sequence[Sequence[float]], across: str, upwards: str, first: int = 0) -> str:
    """A thin line for each series of numbers, and a thick one for their mean. first: where the first number stands across.

    across, upwards: names of the axes. Series may end early; the mean is that of those that go on.
    """
    last = first + max(1, max(len(values) for values in series) - 1)
    every = [value for values in series for value in values]
    low, high = min(every), max(every)
    room = 0.05 * (high - low) or 0.5 * abs(high) or 1.0
    low, high = low - room, high + room
    longest = max(series, key=len)
    means = [_mean([values[place] for values in series if place < len(values)]) for place in range(len(longest))]
    drawn = ""
    for values, width, strength in (*((values, 1, 0.35) for values in series), (means, 2.5, 1)):
        places = range(0, len(values), -(-len(values) // WIDTH) or 1)  # a point for each pixel is enough
        points = " ".join(
            f"{_x(place / (last - first)):.1f},{_y((values[place] - low) / (high - low)):.1f}"
            for place in sorted({*places, len(values) - 1} - {-1})
        )
        drawn += (
            f'<polyline points="{points}" fill="none" stroke="{SAMPLES}" stroke-width="{width}" stroke-opacity="{strength}"/>'
        )
    ticks = {_x((value - first) / (last - first)): f"{value:g}" for value in _round_numbers(first, last) if value == round(value)}
    levels = {_y((value - low) / (high - low)): f"{value:g}" for value in _round_numbers(low, high)}
    return _plot(f"{upwards} against {across}", drawn, [], html.escape(across), html.escape(upwards), ticks, levels)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def histogram(sets: Mapping[str, Sequence[float]]) -> str:
    """Shares of distance ratios of one or two sets by name, as bars side by side."""
    shares = {name: _shares(values) for name, values in sets.items()}
    top = max(max(values) for values in shares.values()) or 1.0
    wide = (_x(1) - _x(0)) / BINS / len(sets)
    drawn = ""
    for place, (colour, values) in enumerate(zip(COLOURS, shares.values(), strict=False)):
        for bar, share in enumerate(values):
            left, high = _x(bar / BINS) + place * wide, _y(share / top)
            drawn += f'<rect x="{left:.1f}" y="{high:.1f}" width="{wide - 1:.1f}" height="{_y(0) - high:.1f}" fill="{colour}"/>'
    middle = _x(1 / HIGHEST)
    drawn += f'<line x1="{middle}" y1="{_y(0)}" x2="{middle}" y2="{_y(1)}" stroke="#1b1b1b" stroke-dasharray="3"/>'
    ticks = {_x(part / 4): f"{HIGHEST * part / 4:g}" for part in range(4)} | {_x(1): f"{HIGHEST:g}+"}
    levels = {_y(part / 4): f"{top * part / 4:.2f}" for part in range(5)}
    return _plot("distance ratios", drawn, list(sets), "distance ratio", "share of pictures", ticks, levels)


class Dot(NamedTuple):
    """A mark of `scatter`. text: what a pointer reads. kind: its class, which gives it a colour. shape: "dot", "ring", "cross" or
    "square". label: written beside it where there is room."""

    x: float
    y: float
    text: str
    kind: str
    shape: str = "dot"
    label: str = ""


SHAPES = {
    "dot": '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="currentColor"/>',
    "ring": '<circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="none" stroke="currentColor" stroke-width="2.5"/>',
    "cross": '<path d="M{x:.1f} {y:.1f}m-4 -4l8 8m0 -8l-8 8" fill="none" stroke="currentColor" stroke-width="2"/>',
    "square": '<rect x="{x:.1f}" y="{y:.1f}" width="8" height="8" transform="translate(-4 -4)" fill="currentColor"/>',
}
Span = tuple[float, float]


def scatter(
    dots: Sequence[Dot], line: Sequence[Span], across: str, upwards: str, spans: tuple[Span, Span], limit: float = math.inf
) -> str:
    """Dots over two axes, and steps through the points of `line`, which go up to the right.

    across, upwards: names of the axes. spans: what the two axes show, (low, high) each; what is outside is drawn at the edge.
    limit: where a dashed line stands across, if that is inside.
    """
    (left, right), (low, high) = spans

    def at(x: float, y: float) -> tuple[float, float]:
        shares = ((x - left) / (right - left), (y - low) / (high - low))
        return _x(min(1.0, max(0.0, shares[0]))), _y(min(1.0, max(0.0, shares[1])))

    places = [at(*point) for point in line]
    drawn = f'<line x1="{at(limit, 0)[0]}" y1="{_y(0)}" x2="{at(limit, 0)[0]}" y2="{_y(1)}" stroke="#888" stroke-dasharray="4"/>'
    drawn = drawn if left <= limit <= right else ""
    if places:
        path = f"M{places[0][0]:.1f} {places[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in places[1:])
        drawn += f'<path class="line" d="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    taken: list[tuple[float, float]] = []
    for dot in dots:
        x, y = at(dot.x, dot.y)
        mark = SHAPES[dot.shape].format(x=x, y=y)
        if dot.label and all(abs(y - other[1]) > 14 or abs(x - other[0]) > 7 * len(dot.label) for other in taken):
            taken.append((x, y))
            end = x > LEFT + 8 * len(dot.label)
            place = (
                f'x="{x - 11 if end else x + 11:.1f}" y="{max(TOP + 12, y - 6):.1f}" text-anchor="{"end" if end else "start"}"'
            )
            mark += f'<text {place} fill="currentColor">{html.escape(dot.label)}</text>'
        drawn += f'<g class="{dot.kind}"><title>{html.escape(dot.text)}</title>{mark}</g>'
    ticks = {at(value, 0)[0]: f"{value:g}" for value in _round_numbers(left, right)}
    levels = {at(0, value)[1]: f"{value:g}" for value in _round_numbers(low, high)}
    return _plot(f"{upwards} against {across}", drawn, [], html.escape(across), html.escape(upwards), ticks, levels)


def _round_numbers(low: float, high: float) -> list[float]:
    """About five multiples of 1, 2 or 5 times a power of ten from low to high."""
    least = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(least))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= least)
    return [float(f"{count * step:.6g}") for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _shares(values: Sequence[float]) -> list[float]:
    """The share of the values in each bin."""
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int(min(value, HIGHEST) / HIGHEST * BINS))] += 1
    return [count / max(1, len(values)) for count in counts]


def _plot(
    title: str,
    drawn: str,
    names: Sequence[str],
    across: str,
    upwards: str,
    ticks: Mapping[float, str],
    levels: Mapping[float, str] | None = None,
) -> str:
    """Frame, ticks, axis labels and a legend around what is drawn; ticks and levels: text by its place in pixels."""
    levels = {_y(value): f"{value:g}" for value in (0, 0.25, 0.5, 0.75, 1)} if levels is None else levels
    frame = f'<rect x="{LEFT}" y="{TOP}" width="{_x(1) - LEFT}" height="{_y(0) - TOP}" fill="none" stroke="#888"/>'
    for place, text in ticks.items():
        frame += f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{text}</text>'
    for place, text in levels.items():
        frame += f'<text x="{LEFT - 6}" y="{place + 4:.1f}" text-anchor="end">{text}</text>'
    frame += f'<text x="{(LEFT + _x(1)) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{across}</text>'
    middle = (TOP + _y(0)) / 2
    frame += f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{upwards}</text>'
    for place, (colour, name) in enumerate(zip(COLOURS, names, strict=False)):
        frame += f'<text x="{LEFT + 190 * place}" y="18" fill="{colour}" font-weight="bold">{html.escape(name)}</text>'
    size = (
        f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" style="max-width:100%;font:12px system-ui,sans-serif;fill:currentColor"'
    )
    return f'<svg role="img" aria-label="{html.escape(title)}" {size}>{drawn}{frame}</svg>'


def _x(share: float) -> float:
    """Pixels from the left, of a share of the plot's width."""
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    """Pixels from the top, of a share of the plot's height."""
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
