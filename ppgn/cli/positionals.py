"""Words that a flag of several values took although they are the bundle or the picture: `ppgn sample --class church BUNDLE`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence

NUMBER = re.compile(r"-\.?\d")
"""The beginning of a negative number, which is no flag."""


def first(parser: argparse.ArgumentParser, words: Sequence[str]) -> list[str]:
    """The words of a command with its positional arguments first, in their order, those that a flag of several values would take
    among them.

    Where some are lacking, they are the last words of a flag that has more words than it needs: of the last such flag whose
    words are not all numbers. Anything else stays where it is.
    """
    needed = sum(1 for action in parser._actions if not action.option_strings and action.nargs is None)
    groups = list(_groups(parser, words))
    free = [place for option, places in groups if option is None for place in places]
    spare = [places for option, places in groups if option is not None and len(places) > _least(option)]
    worded = [places for places in spare if not words[places[-1]].lstrip("-").replace(".", "").isdigit()] or spare
    lacking = needed - len(free)
    if lacking <= 0 or "-h" in words or "--help" in words or not worded:
        return list(words)
    option = next(option for option, places in groups if places is worded[-1])
    taken = worded[-1][-min(lacking, len(worded[-1]) - _least(option)) :]
    chosen = sorted([*free, *taken])
    return [*(words[place] for place in chosen), *(word for place, word in enumerate(words) if place not in chosen)]


def _groups(parser: argparse.ArgumentParser, words: Sequence[str]) -> Iterator[tuple[argparse.Action | None, list[int]]]:
    """The flags with the places of the words that each takes; None for words that no flag takes."""
    option: argparse.Action | None = None
    places: list[int] = []
    for place, word in enumerate(words):
        if word.startswith("-") and len(word) > 1 and not NUMBER.match(word):
            yield option, places
            name, equals, _ = word.partition("=")
            option, places = (None if equals else parser._option_string_actions.get(name)), []
        elif option is not None and len(places) >= _most(option):
            yield option, places
            option, places = None, [place]
        else:
            places.append(place)
    yield option, places


def _most(option: argparse.Action) -> float:
    """How many words a flag takes at most."""
    if isinstance(option.nargs, int):
        return option.nargs
    return {None: 1, "?": 1}.get(option.nargs, float("inf"))


def _least(option: argparse.Action | None) -> int:
    """How many words a flag keeps in any case."""
    if option is None or option.nargs == "?":
        return 0
    return option.nargs if isinstance(option.nargs, int) else 1
