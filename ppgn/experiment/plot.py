"""A plot of responses over generations."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from PIL import Image, ImageDraw

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 420, 70, 20, 30, 50
LETTER, LINE = 7, 16
"""Pixels of a letter and a line of the legend."""
COLOURS = ("#1f5fa8", "#c2571a", "#2c7a3f", "#7b4ea3", "#b02a4c", "#0f8b8d", "#8a6d1d", "#555555")
TICKS = 5


def line_plot(series: Mapping[str, Sequence[float]], x: str, y: str, thin: Collection[str] = ()) -> Image.Image:
    """Lines by name against the number of the value, with axes from the least to the largest value; NaN leaves a gap.

    thin: names of lines that are drawn thin, in the colour of the last one before them that is not."""
    legend = 30 + LETTER * max((len(name) for name in series), default=0)
    canvas = Image.new("RGB", (WIDTH + legend, max(HEIGHT, TOP + LINE * (2 + len(series)))), "white")
    draw = ImageDraw.Draw(canvas)
    finite = [value for values in series.values() for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    high = high if high > low else low + 1
    last = max(1, max((len(values) for values in series.values()), default=1) - 1)

    def point(index: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * index / last
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    for value in ticks(low, high):
        left, down = point(0, value)
        draw.line([(left, down), (WIDTH - RIGHT, down)], fill="#e4e4e4")
        draw.text((LEFT - 8, down), f"{value:.4g}", fill="black", anchor="rm")
    for index in ticks(0, last, whole=True):
        draw.text((point(index, low)[0], HEIGHT - BOTTOM + 8), f"{index:g}", fill="black", anchor="mt")
    draw.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16), x, fill="black", anchor="mm")
    draw.text((LEFT, TOP - 16), y, fill="black", anchor="lm")
    colour = -1
    for number, (name, values) in enumerate(series.items()):
        colour += name not in thin
        paint, down = COLOURS[max(0, colour) % len(COLOURS)], TOP + LINE * number
        points = [point(index, value) for index, value in enumerate(values) if math.isfinite(value)]
        draw.line(points, fill=paint, width=1 if name in thin else 3)
        draw.line([(WIDTH, down), (WIDTH + 16, down)], fill=paint, width=1 if name in thin else 3)
        draw.text((WIDTH + 22, down), name, fill="black", anchor="lm")
    return canvas


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """About TICKS round numbers from `low` to `high`, which is larger; whole: no fractions."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    step = max(1.0, round(step)) if whole else step
    return [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
