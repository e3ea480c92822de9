"""Words of the command line, from the names that the library has for things."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

NEGATIVE = re.compile(r"-[0-9]+|-[0-9]*\.[0-9]+")
"""What the command line reads as a number, and not as a flag."""


def option(name: str, *values: object) -> list[str]:
    """The flag of a name of the library, with its values; numbers to their last digit."""
    flag, texts = "--" + name.strip("_").replace("_", "-"), [plain(value) for value in values]
    if any(text.startswith("-") and not NEGATIVE.fullmatch(text) for text in texts):
        return [f"{flag}={text}" for text in texts]
    return [flag, *texts]


def plain(value: object) -> str:
    """A value as text that is read back as the same; several numbers with commas."""
    if isinstance(value, tuple | list):
        return ",".join(map(plain, value))
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)


def line(words: Sequence[str]) -> str:
    """Words as a command of the shell."""
    return shlex.join(words)
