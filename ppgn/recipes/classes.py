"""Classes by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, TypeAlias

from ppgn.bundle import Bundle
from ppgn.types import Condition

LISTED = 20  # more classes than that are not listed in a message, only the nearest


def class_index(names: Sequence[str], wanted: str | int, whose: str = "the bundle") -> int:
    """The index of a class by name, unique part of a name (case aside) or number; ValueError saying what `whose` network has."""
    text = str(wanted).strip().lower().replace("_", " ")
    lowered = [name.lower().replace("_", " ") for name in names]
    nearest = ", ".join(repr(names[lowered.index(one)]) for one in difflib.get_close_matches(text, lowered, 3))
    few = len(names) <= LISTED and not all(name.isdecimal() for name in names)
    listed = ", ".join(f"{index} {name}" for index, name in enumerate(names)) if few else f"{len(names)} classes"
    if text in lowered:
        return lowered.index(text)
    if text.isdecimal():
        if int(text) < len(names):
            return int(text)
        raise ValueError(f"class {wanted} is out of range: {whose} has {listed}, numbered from 0")
    found = [index for index, name in enumerate(lowered) if text and text in name]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{index} {names[index]}" for index in found[:5])
        raise ValueError(f"class {wanted!r} fits {len(found)} classes ({several}): write more of the name, or the number")
    guess = f"did you mean {nearest}? " if nearest else ""
    raise ValueError(f"no class {wanted!r}: {guess}{whose} has {listed}")


Target: TypeAlias = int | tuple[int, ...]
"""What a chain is asked for: a class, or one class of each of several groups."""


def target_of(names: Sequence[str], wanted: str | int | Sequence[str | int]) -> Target:
    """A class as `class_index`, or several of different groups, as a list or as text: "type:Handbags & colour:Red"."""
    if isinstance(wanted, int):
        return class_index(names, wanted)
    parts = wanted.split("&") if isinstance(wanted, str) else wanted
    found = tuple(class_index(names, one) for one in parts)
    return found[0] if len(found) == 1 else found


def asked_of(
    bundle: Bundle, condition: Condition | str | int | Sequence[Target], count: int | None, default: int
) -> tuple[Condition | list[Target], int]:
    """(a condition as it is, or one target for each chain; how many chains): `count`, or else the classes listed, or
    else `default`. Raises ValueError for an unknown class, and when classes are listed and are not `count`."""
    if callable(condition):
        return condition, default if count is None else count
    if isinstance(condition, str | int):
        chains = default if count is None else count
        return [target_of(bundle.class_names, condition)] * chains, chains
    if count not in (None, len(condition)):
        raise ValueError(f"got {len(condition)} classes for {count} chains: leave count out, or list one a chain")
    return [target_of(bundle.class_names, one) for one in condition], len(condition)


def of_chains(asked: Any, chains: Sequence[int]) -> Any:
    """What was asked of some chains: targets of a list, `asked.of(chains)` of a condition that has it, else itself; or None."""
    if asked is None:
        return None
    if callable(asked):
        return asked.of(chains) if hasattr(asked, "of") else asked
    return [asked[chain] for chain in chains]
