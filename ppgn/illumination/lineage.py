"""Who descends from whom: the living elites and those of their ancestors that a gallery shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

CHAIN = 4
"""The most ancestors that are kept between two places where a family branches; without such a limit a run would grow for ever."""
THUMBNAIL = 48
"""Side of an ancestor's picture in pixels."""


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A picture that was or is an elite. parent: the id of its nearest ancestor that is kept, -1 without one. class_: the class,
    of those that it became the elite of when it was born, with the highest confidence. depth: its ancestors in all, kept or not.
    genome: of living elites alone. thumbnail: uint8 `[channel, side, side]`, of dead ones alone while they are in the run.
    """

    id: int
    parent: int
    generation: int
    class_: int
    confidence: float
    depth: int
    genome: Any = field(default=None, repr=False)
    thumbnail: Tensor | None = field(default=None, repr=False)


def thinned(members: dict[int, Ancestor], living: Iterable[int]) -> dict[int, Ancestor]:
    """The living and their ancestors. In a line of dead ones without other living descendants CHAIN are kept at most, those first
    that became elites of another class than their parent, then those after which most generations passed."""
    alive = set(living)
    kept: set[int] = set()
    children: dict[int, int] = {}
    for one in sorted(alive):
        while one not in kept:
            kept.add(one)
            parent = members[one].parent
            if parent < 0:
                break
            children[parent] = children.get(parent, 0) + 1
            one = parent
    single = {one for one in kept if one not in alive and children.get(one, 0) == 1}
    gone: set[int] = set()
    for end in sorted(kept - single):
        line, below = [], members[end]
        while below.parent in single:
            above = members[below.parent]
            switched = above.parent < 0 or members[above.parent].class_ != above.class_
            line.append((not switched, above.generation - below.generation, above.id))
            below = above
        gone |= {one for *_, one in sorted(line)[CHAIN:]}
    return {one: _adopted(members[one], members, gone) for one in sorted(kept - gone)}


def _adopted(member: Ancestor, members: dict[int, Ancestor], gone: set[int]) -> Ancestor:
    parent = member.parent
    while parent in gone:
        parent = members[parent].parent
    return member if parent == member.parent else replace(member, parent=parent)


def ancestors(members: dict[int, Ancestor], one: int) -> tuple[Ancestor, ...]:
    """The kept ancestors of a member, the oldest first."""
    found, parent = [], members[one].parent
    while parent >= 0:
        found.append(members[parent])
        parent = members[parent].parent
    return tuple(reversed(found))
