"""Plots of a report as inline SVG, in the colours of the page, so that they follow its light and its dark scheme."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

COLOURS = tuple(f"var(--c{place})" for place in range(5))
"""Of series, in their order, as variables of the page's style."""
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 460, 300, 54, 32, 16, 46
"""Of a plot and its margins, in pixels."""
LANE, NEAR = 30, 15
"""Height of a lane of marks or of an interval, and the distance below which two labels would touch, in pixels."""
BEYOND = 1.5
"""Marks further above the histogram than this many of its widths are drawn at the edge."""
LABELLED = ("95", "50", "99", "5", "1", "75", "25")
"""Percentiles in the order in which they get a label."""
Number = float | None


@dataclass(frozen=True)
class Point:
    """A point of a curve. x, y: value, and (low, high) of its interval. label: beside it."""

    x: Number
    y: Number
    x_interval: tuple[Number, Number] = (None, None)
    y_interval: tuple[Number, Number] = (None, None)
    label: str = ""


@dataclass(frozen=True)
class Axis:
    """Values from low to high along the pixels from first to last."""

    low: float
    high: float
    first: float
    last: float

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / ((self.high - self.low) or 1.0) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """About five round numbers."""
        rough = ((self.high - self.low) or 1.0) / 4.5
        power = 10.0 ** math.floor(math.log10(rough))
        step = min((power * one for one in (1, 2, 2.5, 5, 10)), key=lambda one: abs(one - rough))
        return [step * place for place in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def curves(series: Mapping[str, Sequence[Point]], across: str, upwards: str, marks: bool = True) -> str:
    """Lines through points with intervals, by name. across, upwards: names of the axes. marks: also draw the points."""
    shown = {name: [point for point in points if _known(point.x, point.y)] for name, points in series.items()}
    every = [point for points in shown.values() for point in points]
    if not every:
        return ""
    x = _axis([v for one in every for v in (one.x, *one.x_interval)], LEFT, WIDTH - RIGHT, marks)
    y = _axis([v for one in every for v in (one.y, *one.y_interval)], HEIGHT - BOTTOM, TOP, True)
    drawn, labels = "", ""
    taken: list[tuple[float, float]] = [(x(_value(one.x)), y(_value(one.y))) for one in every]
    for colour, points in zip(COLOURS, shown.values(), strict=False):
        places = [(x(_value(one.x)), y(_value(one.y))) for one in points]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        drawn += f'<polyline points="{line}" fill="none" style="stroke:{colour}" stroke-width="2"/>'
        for point, (across_, down) in zip(points, places, strict=True):
            drawn += _whisker(x, point.x_interval, down, colour, True) + _whisker(y, point.y_interval, across_, colour, False)
            drawn += f'<circle cx="{across_:.1f}" cy="{down:.1f}" r="4" style="fill:{colour}"/>' if marks else ""
            labels += _label(point.label, across_, down, taken, colour)
    zero = _rule(x(x.low), y(0), x(x.high), y(0)) if y.low < 0 < y.high else ""
    title = f"{upwards} against {across}: " + ", ".join(shown)
    return _svg(title, HEIGHT, zero + drawn + _frame(x, y, across, upwards) + labels + _legend(list(shown)))


def responses(
    edges: Sequence[float],
    counts: Sequence[int],
    percentiles: Mapping[str, float],
    marks: Mapping[str, Sequence[float]],
    across: str,
    upwards: str,
) -> str:
    """A histogram on a root scale with lines at percentiles, and above it a lane of marks for each name."""
    if not counts or not any(counts):
        return ""
    marks = {name: values for name, values in marks.items() if values}
    top, down = 34 + LANE * len(marks), 34 + LANE * len(marks) + 210
    limit = edges[-1] + BEYOND * ((edges[-1] - edges[0]) or 1.0)
    high = max([edges[-1], *(min(value, limit) for values in marks.values() for value in values)])
    low = min([edges[0], *(value for values in marks.values() for value in values)])
    x, y = Axis(low, high, LEFT, WIDTH - RIGHT), Axis(0, math.sqrt(max(counts)), down, top)
    drawn = ""
    for place, count in enumerate(counts):
        left, right, high_ = x(edges[place]), x(edges[place + 1]), y(math.sqrt(count))
        wide = max(1.0, right - left - 1)
        drawn += f'<rect x="{left:.1f}" y="{high_:.1f}" width="{wide:.1f}" height="{down - high_:.1f}" fill="var(--bar)"/>'
    drawn += _percentiles(x, percentiles, top, down)
    for lane, (name, values) in enumerate(marks.items()):
        drawn += _lane(x, name, values, 18 + LANE * lane, COLOURS[lane % len(COLOURS)])
    ticks = [count for count in Axis(0, max(counts), 0, 1).ticks() if count == round(count)]
    ticks = sorted({*ticks, *(one for one in (1, max(ticks) // 20) if one < max(counts) / 8)}) if ticks else []
    frame = _frame(x, y, across, upwards, {math.sqrt(one): f"{one:g}" for one in _apart(ticks, y)}, down, top)
    return _svg(f"histogram of {across}, with marks of {', '.join(marks) or 'nothing else'}", down + BOTTOM, drawn + frame)


def intervals(rows: Mapping[str, tuple[Number, Number, Number]], across: str, threshold: Number = None, meaning: str = "") -> str:
    """A mean with its interval, (mean, low, high), by name, one under the other. threshold: a line, with its meaning."""
    known = {name: values for name, values in rows.items() if _known(values[0])}
    if not known:
        return ""
    down = TOP + 2 + 40 * len(known)
    x = _axis([0.0, threshold, *(value for values in known.values() for value in values)], LEFT / 2, WIDTH - RIGHT - 10, True)
    drawn = f'<line x1="{x.first}" y1="{down}" x2="{x.last}" y2="{down}" stroke="var(--soft)"/>'
    if threshold is not None:
        place, anchor = x(threshold), "end" if x(threshold) > WIDTH / 2 else "start"
        drawn += _rule(place, TOP - 14, place, down)
        drawn += (
            f'<text x="{place + (5 if anchor == "start" else -5):.1f}" y="{TOP - 8}" text-anchor="{anchor}" fill="var(--soft)">'
        )
        drawn += f"{html.escape(meaning)}</text>"
    for place, (name, (mean, low, high)) in enumerate(known.items()):
        level, colour = TOP + 26 + 40 * place, COLOURS[place % len(COLOURS)]
        drawn += _whisker(x, (low, high), level, colour, True)
        drawn += f'<circle cx="{x(_value(mean)):.1f}" cy="{level}" r="5" style="fill:{colour}"/>'
        drawn += f'<text x="{x.first}" y="{level - 11}" style="fill:{colour}">{html.escape(name)}</text>'
    drawn += _ticks(x, down) + f'<text x="{WIDTH / 2}" y="{down + 38}" text-anchor="middle">{html.escape(across)}</text>'
    return _svg(f"{across}: {', '.join(known)}", down + BOTTOM, drawn)


def _axis(values: Iterable[Number], first: float, last: float, margin: bool) -> Axis:
    """An axis that holds all values, with a little room at both ends."""
    known = [value for value in values if _known(value) and value is not None]
    low, high = min(known), max(known)
    room = 0.07 * (high - low) if high > low else 0.5 * abs(high) or 1.0
    return Axis(low - room, high + room, first, last) if margin or high == low else Axis(low, high, first, last)


def _known(*values: Number) -> bool:
    return all(value is not None and math.isfinite(value) for value in values)


def _value(value: Number) -> float:
    return 0.0 if value is None else value


def _whisker(axis: Axis, ends: tuple[Number, Number], at: float, colour: str, flat: bool) -> str:
    """A line from end to end of an interval along an axis."""
    if not _known(*ends):
        return ""
    low, high = (f"{axis(_value(one)):.1f}" for one in ends)
    place = (
        f'x1="{low}" y1="{at:.1f}" x2="{high}" y2="{at:.1f}"' if flat else f'x1="{at:.1f}" y1="{low}" x2="{at:.1f}" y2="{high}"'
    )
    return f'<line {place} style="stroke:{colour}" stroke-width="2" stroke-opacity="0.5"/>'


def _label(text: str, across: float, down: float, taken: list[tuple[float, float]], colour: str) -> str:
    """A label beside a point, on the first side where it touches nothing; none where there is no room."""
    for right, below in ((9, -9), (9, 11), (-9, -9), (-9, 11), (11, 0), (-11, 0), (9, -18), (9, 20)):
        place = across + right * 2, down + below
        if (
            text
            and place[1] < HEIGHT - BOTTOM - 5
            and all(abs(place[0] - x) > 1.3 * NEAR or abs(place[1] - y) > NEAR * 0.7 for x, y in taken)
        ):
            taken.append(place)
            anchor = "start" if right > 0 else "end"
            at = f'x="{across + right:.1f}" y="{down + below + 4:.1f}" text-anchor="{anchor}"'
            halo = f"fill:{colour};paint-order:stroke;stroke:var(--paper);stroke-width:3px"
            return f'<text {at} font-size="12" style="{halo}">{html.escape(text)}</text>'
    return ""


def _percentiles(x: Axis, percentiles: Mapping[str, float], top: float, down: float) -> str:
    """Lines at percentiles; where labels would touch, the first of LABELLED stays."""
    drawn, labelled = "", []
    for name, value in sorted(percentiles.items(), key=lambda one: LABELLED.index(one[0]) if one[0] in LABELLED else 9):
        if not _known(value):
            continue
        place = x(value)
        drawn += _rule(place, top, place, down)
        if all(abs(one - place) > 2 * NEAR for one in labelled):
            drawn += f'<text x="{place:.1f}" y="{top - 4}" text-anchor="middle" fill="var(--soft)" font-size="11">{name} %</text>'
            labelled.append(place)
    return drawn


def _lane(x: Axis, name: str, values: Sequence[float], down: float, colour: str) -> str:
    """Marks of values on a line of their own under their name; an arrow for those that lie beyond the axis."""
    drawn = f'<text x="{LEFT}" y="{down - 4}" style="fill:{colour}">{html.escape(name)}</text>'
    drawn += f'<line x1="{LEFT}" y1="{down + 4}" x2="{WIDTH - RIGHT}" y2="{down + 4}" stroke="var(--rule)"/>'
    for value in values:
        place = x(min(value, x.high))
        shape = f"M{place - 5:.1f} {down - 2}l10 6l-10 6z" if value > x.high else f"M{place:.1f} {down - 2}l5 6l-5 6l-5 -6z"
        drawn += f'<path d="{shape}" style="fill:{colour}" fill-opacity="0.8"/>'
    beyond = [value for value in values if value > x.high]
    text = f"up to {max(beyond):.3g}" if beyond else ""
    return drawn + (f'<text x="{WIDTH - RIGHT}" y="{down - 4}" text-anchor="end" font-size="11">{text}</text>' if text else "")


def _apart(counts: Sequence[float], y: Axis) -> list[float]:
    """Counts whose labels on the root scale do not touch, the highest first."""
    kept: list[float] = []
    for count in sorted(counts, reverse=True):
        if not kept or y(math.sqrt(count)) - y(math.sqrt(kept[-1])) > NEAR:
            kept.append(count)
    return kept


def _frame(
    x: Axis, y: Axis, across: str, upwards: str, levels: Mapping[float, str] | None = None, down: float = 0, top: float = TOP
) -> str:
    """The axes with their ticks and names. levels: text by value of y, else round numbers."""
    down = down or HEIGHT - BOTTOM
    drawn = f'<path d="M{LEFT} {top}V{down}H{WIDTH - RIGHT}" fill="none" stroke="var(--soft)"/>' + _ticks(x, down)
    for value, text in (levels or {value: _short(value) for value in y.ticks()}).items():
        drawn += f'<text x="{LEFT - 7}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>'
        drawn += f'<line x1="{LEFT - 4}" y1="{y(value):.1f}" x2="{LEFT}" y2="{y(value):.1f}" stroke="var(--soft)"/>'
    middle = (top + down) / 2
    drawn += f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{down + 38}" text-anchor="middle">{html.escape(across)}</text>'
    return drawn + (
        f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">{html.escape(upwards)}</text>'
    )


def _ticks(x: Axis, down: float) -> str:
    drawn = ""
    for value in x.ticks():
        drawn += f'<text x="{x(value):.1f}" y="{down + 18}" text-anchor="middle">{_short(value)}</text>'
        drawn += f'<line x1="{x(value):.1f}" y1="{down}" x2="{x(value):.1f}" y2="{down + 4}" stroke="var(--soft)"/>'
    return drawn


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="var(--soft)" stroke-dasharray="3 3"/>'


def _legend(names: Sequence[str]) -> str:
    step = (WIDTH - LEFT) / max(2, len(names))
    texts = [
        f'<text x="{LEFT + step * place:.0f}" y="16" style="fill:{colour}" font-weight="600">{html.escape(name)}</text>'
        for place, (colour, name) in enumerate(zip(COLOURS, names, strict=False))
    ]
    return "".join(texts)


def _svg(title: str, height: float, drawn: str) -> str:
    return f'<svg role="img" aria-label="{html.escape(title)}" viewBox="0 0 {WIDTH} {height:g}">{drawn}</svg>'
