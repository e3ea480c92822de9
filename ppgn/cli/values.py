"""Text of the command line -> values."""

from __future__ import annotations

import argparse
import json
from typing import Any

NETWORKS = "lite:0, torchvision:NAME, timm:NAME, hf:FOLDER, caffe:PROTOTXT,CAFFEMODEL, my_module:function or bundle:classifier"
BUNDLE = "name of a bundle (see `ppgn bundles`), its folder, my_module:function that makes one, or render:OBJECT"


def numbers(text: str) -> tuple[float, ...]:
    """`0.4,0.5,0.6` as a tuple."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected numbers with commas, such as 0.48,0.46,0.41") from fault


def size(text: str) -> tuple[int, int]:
    """`224` or `224,192` as (height, width)."""
    parts = text.split(",")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected a height, or height,width, such as 224")
    return int(parts[0]), int(parts[-1])


def scale(text: str) -> float | tuple[float, float]:
    """`0.2` as a number, `0.2:0.05` as (start, end)."""
    try:
        parts = [float(part) for part in text.split(":")]
    except ValueError:
        parts = []
    if len(parts) not in (1, 2):
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected a number, or start:end to change linearly, as 0.2:0.05")
    return parts[0] if len(parts) == 1 else (parts[0], parts[1])


def literal(text: str) -> Any:
    """A number, list, true, false or null as JSON writes them; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
