"""Which of several names a user means."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence


def composed(name: str) -> str:
    """The name in Unicode's composed form (NFC): "é" is one character, however it was typed or a disk stores it."""
    return unicodedata.normalize("NFC", name).strip()


def spaced(name: str) -> str:
    """The composed name with spaces for "_" and "-"."""
    return composed(name).replace("_", " ").replace("-", " ")


def plain(name: str) -> str:
    """The composed name with spaces for "_" and "-", without regard to case."""
    return composed(spaced(name).casefold())


FORMS: tuple[Callable[[str], str], ...] = (composed, spaced, plain)
"""From strict to lax."""


def same_name(names: Sequence[str], wanted: str) -> list[int]:
    """The indices of the names that are the same as the wanted one.

    Those that are spelled exactly so, whatever their Unicode form; else those that differ by "_" or "-" for spaces; else by case
    as well. Several indices mean that names cannot be told apart.
    """
    for form in FORMS:
        if found := [index for index, name in enumerate(names) if form(name) == form(wanted)]:
            return found
    return []
