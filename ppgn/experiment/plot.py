"""A plot of responses over generations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 20, 30, 50
COLOURS = ("#1f5fa8", "#c2571a", "#2c7a3f", "#7b4ea3", "#777777")


def line_plot(series: Mapping[str, Sequence[float]], x: str, y: str) -> Image.Image:
    """Lines by name against the number of the value, with axes from the least to the largest value; NaN leaves a gap."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(canvas)
    finite = [value for values in series.values() for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    high = high if high > low else low + 1
    last = max(1, max((len(values) for values in series.values()), default=1) - 1)

    def place(index: float, value: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * index / last
        return across, HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    for part in range(5):
        value, index = low + (high - low) * part / 4, round(last * part / 4)
        left, down = place(0, value)
        draw.line([(left, down), (WIDTH - RIGHT, down)], fill="#e4e4e4")
        draw.text((LEFT - 8, down), f"{value:.3g}", fill="black", anchor="rm")
        draw.text((place(index, low)[0], HEIGHT - BOTTOM + 8), str(index), fill="black", anchor="mt")
    draw.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16), x, fill="black", anchor="mm")
    draw.text((LEFT, TOP - 16), y, fill="black", anchor="lm")
    for number, (name, values) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [place(index, value) for index, value in enumerate(values) if math.isfinite(value)]
        draw.line(points, fill=colour, width=2)
        draw.text((WIDTH - RIGHT - 4, HEIGHT - BOTTOM - 12 - 14 * number), name, fill=colour, anchor="rm")
    return canvas
