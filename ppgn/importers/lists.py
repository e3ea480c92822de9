"""Files beside released networks: statistics of their units, names of their classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from ppgn.types import CodeSpace

FC6 = {"mean": 0.63, "std": 3.74}
"""Of a unit of CaffeNet's fc6 after its ReLU over real pictures, about (as measured on the released network)."""
HIGHEST = 30.0
"""Where the released sampler clips codes."""


def code_of(shape: Sequence[int], statistics: str | Path | None, relu: bool = True) -> CodeSpace:
    """The code space that a file of one number per unit describes, its mean + 3 std over real pictures.

    std is a third of that number: a little more than it is, because no mean of codes after a ReLU is below 0. Without a file the
    bounds are the released ones, mean and std those of CaffeNet's fc6. Raises ValueError for a file that does not fit.
    """
    shape = tuple(shape)
    if statistics is None:
        return CodeSpace(shape, **FC6, low=0.0, high=HIGHEST, relu=relu)
    numbers = _numbers(statistics)
    if len(numbers) != math.prod(shape):
        raise ValueError(
            f"{statistics} has {len(numbers)} numbers, expected {math.prod(shape)}, one per unit: is it of this layer?"
        )
    high = torch.tensor(numbers).reshape(shape)
    return CodeSpace(shape, low=0.0, high=high, mean=FC6["mean"], std=high / 3, relu=relu)


def _numbers(file: str | Path) -> list[float]:
    try:
        numbers = [float(word) for word in text_of(file).split()]
    except ValueError as fault:
        raise ValueError(f"{file} holds something else than numbers ({fault}): give one number per line, one per unit") from fault
    if not all(0 <= number < math.inf for number in numbers):
        raise ValueError(f"{file} holds numbers below 0 or without end, expected the highest of each unit: is it of this layer?")
    return numbers


def class_names(file: str | Path | None, count: int) -> list[str]:
    """Names of the classes, one per line as in synset_words.txt ("n01440764 tench, Tinca tinca") or the list of Places205
    ("/a/abbey 0"), whose numbers are left out; without a file, numbers. ValueError for another number of lines than scores."""
    if file is None:
        return [str(number) for number in range(count)]
    lines = [line.strip() for line in text_of(file).splitlines() if line.strip()]
    if len(lines) != count:
        raise ValueError(
            f"{file} has {len(lines)} lines, expected {count}, one per class of the encoder: is it the list of its classes?"
        )
    words = [line.split(maxsplit=1) for line in lines]
    if all(len(pair) == 2 and pair[0][:1] == "n" and pair[0][1:].isdecimal() for pair in words):
        return [pair[1] for pair in words]
    numbered = [line.rpartition(" ") for line in lines]
    if all(number == str(place) for place, (_, _, number) in enumerate(numbered)):
        return [name for name, _, _ in numbered]
    return lines


def text_of(file: str | Path) -> str:
    """The text of a file; ValueError where it cannot be read."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise ValueError(
            f"{file} cannot be read ({getattr(fault, 'strerror', None) or 'it is no text'}): give a text file"
        ) from fault
