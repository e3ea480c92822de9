"""Progress of an evaluation, for those who show it: a bar in the terminal, or a line on a page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias, TypeVar

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""on_progress(stage, done, total): called at the start of a stage and after each part, such as ("judging samples", 1, 3)."""

T = TypeVar("T")


def ignore(stage: str, done: int, total: int) -> None:
    """Shows nothing."""


def tracked(items: Iterable[T], stage: str, total: int, on_progress: OnProgress) -> Iterator[T]:
    """The items as they are, with a call of `on_progress` at the start and once each has been used."""
    on_progress(stage, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        on_progress(stage, done, total)
