"""Progress of long work: a bar in a terminal, and a line a minute where the output goes to a file or another program."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TextIO

EVERY = 60.0
"""Seconds between two lines."""
LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} gone, {remaining} left{postfix}"


class Lines:
    """A text stream to which a bar is drawn: each of its redrawings becomes a line of `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.last = stream, ""

    def write(self, text: str) -> None:
        line = text.strip("\r\n ")
        if line and line != self.last:
            self.last = line
            self.stream.write(f"{line}\n")

    def flush(self) -> None:
        self.stream.flush()


def bar(what: str, items: Iterable[Any] | None = None, *, unit: str = "step", leave: bool = True, **settings: Any) -> Any:
    """A tqdm bar over `items`, or one that is updated by hand, on stderr.

    what: the words before it. settings: others of tqdm, such as `total`. Where stderr is no terminal, the beginning, a line every
    EVERY seconds and the end are written, each with what is done and the time left; where it is closed, nothing.
    """
    from tqdm import tqdm

    if sys.stderr is not None and sys.stderr.isatty():
        return tqdm(items, what, unit=unit, leave=leave, mininterval=0.5, **settings)
    settings["disable"] = settings.get("disable", False) or sys.stderr is None
    several = f"{unit}es" if unit.endswith(("ch", "s")) else f"{unit}s"
    lines: Any = None if sys.stderr is None else Lines(sys.stderr)
    return tqdm(items, what, unit=several, mininterval=EVERY, maxinterval=EVERY, bar_format=LINE, file=lines, **settings)
