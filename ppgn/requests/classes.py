"""Classes of a bundle, and of plugged-in networks, by name."""

from __future__ import annotations

import difflib
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from torch import Tensor

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.conditions import And, ClassesOfGroups, ClassMeasure, Measure, split_group
from ppgn.loaders import BUNDLE_CLASSIFIER
from ppgn.probe import Passes
from ppgn.requests.names import composed, plain, same_name
from ppgn.requests.request import Request, is_probability, selected
from ppgn.types import Code, Condition, Image, LogProb, plain_number, shown

LISTED = 20
"""The most classes that a message lists; of more it names the nearest."""
NUMBER = re.compile(r"-?[0-9]{1,18}")
Target: TypeAlias = int | tuple[int, ...]
"""A class, or one class of each of several groups."""


@dataclass(frozen=True, eq=False)
class ClassRequest(Request):
    """log p(target | image) by the head of the bundle's encoder, with a softmax over each group where classes stand in groups
    (`ClassesOfGroups`, also of alternatives).

    Where the bundle has a second classifier it is the mean of both log-probabilities, so that a chain cannot fool one alone.
    """

    classes: tuple[str, ...]
    groups: Mapping[str, tuple[int, int]]
    targets: tuple[Target, ...]
    alternatives: bool = False
    noun: ClassVar[str] = "class"

    @property
    def kind(self) -> str:
        return "class"

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each chain's class, or of all of its classes."""
        return tuple(
            self.classes[target] if isinstance(target, int) else " & ".join(self.classes[one] for one in target)
            for target in self.targets
        )

    def select(self, chains: Sequence[int]) -> ClassRequest:
        return replace(self, targets=selected(self.targets, chains))

    def condition(self, passes: Passes) -> Condition:
        first = self._classes(passes.encoder.logits, passes.measure)
        if passes.classifier is None:
            return first
        return And(first, self._classes(passes.classifier.logits, passes.measure), weights=[0.5, 0.5])

    def code_condition(self, passes: Passes) -> Callable[[Measure], Callable[[Code], LogProb]] | None:
        head = getattr(passes.parts.get("encoder"), "logits_from_code", None)
        return None if head is None else lambda measure: self._classes(head, measure)

    def _classes(self, logits: Callable[[Tensor], Tensor], measure: Measure) -> Condition:
        """log p(target) by logits `[chain, class]` of images, or of codes."""
        single = [target for target in self.targets if isinstance(target, int)]
        if len(self.groups) == 1 and len(single) == len(self.targets):
            return ClassMeasure(logits, single, measure)
        chosen = [(target,) if isinstance(target, int) else target for target in self.targets]
        return ClassesOfGroups(logits, chosen, self.groups, measure, self.alternatives)

    def describe(self) -> dict[str, Any]:
        return {"kind": "class", "network": BUNDLE_CLASSIFIER}

    def probability(self, measure: Measure | None = None) -> bool:
        return is_probability(measure)

    def quantity(self, measure: Measure | None = None) -> str:
        return "log-probability" if self.probability(measure) else "logit"


@dataclass(frozen=True, eq=False)
class NetworkClassRequest(Request):
    """Classes of a plugged-in network by the recipe's measure. scores: image -> `[chain, class]`."""

    scores: Callable[[Image], Tensor]
    classes: tuple[str, ...]
    targets: tuple[int, ...]
    about: Mapping[str, Any]
    noun: ClassVar[str] = "class"

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each chain's class."""
        return tuple(self.classes[target] for target in self.targets)

    def select(self, chains: Sequence[int]) -> NetworkClassRequest:
        return replace(self, targets=selected(self.targets, chains))

    def condition(self, passes: Passes) -> Condition:
        return ClassMeasure(self.scores, self.targets, passes.measure)

    def describe(self) -> dict[str, Any]:
        return {"kind": "class", **self.about}

    def probability(self, measure: Measure | None = None) -> bool:
        return is_probability(measure)

    def quantity(self, measure: Measure | None = None) -> str:
        return "log-probability" if self.probability(measure) else "logit"


def class_index(names: Sequence[str], wanted: str | int, whose: str = "the bundle", groups: Sequence[str] = ()) -> int:
    """The index of a class: a whole number is the index itself, text a name, name without its group, or unique part of a name.

    Text of digits is an index too, unless names are numbers: then it is a name. A name that is spelled exactly so goes first;
    else case does not matter, nor whether words are joined by spaces, "_" or "-". groups: those that the names stand in
    (`Bundle.groups`); no other colon divides a name. Raises ValueError, with the classes of `whose` network or the nearest of
    them, for an unknown or ambiguous class.
    """
    number = number_in(wanted)
    if number is not None:
        return _in_range(names, number, whose)
    if not isinstance(wanted, str):
        raise ValueError(f"got {shown(wanted)} for a class, expected its name or number: pass one of them")
    wanted = wanted.strip()
    bare = [split_group(name, groups)[1] for name in names]
    if NUMBER.fullmatch(wanted):
        found = [index for index, name in enumerate(names) if wanted == composed(name)]
        found = found or [index for index, name in enumerate(bare) if wanted == composed(name)]
        if not found and not _has_numbers(names, bare):
            return _in_range(names, int(wanted), whose)
    else:
        found = (same_name(names, wanted) or same_name(bare, wanted)) if plain(wanted) else []
        found = found or [index for index, name in enumerate(names) if plain(wanted) and plain(wanted) in plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{index} {names[index]}" for index in found[:5])
        raise ValueError(f"class {wanted!r} fits {len(found)} classes ({several}): write more of the name, or its number")
    near = _nearest(names, bare, wanted)
    guess = f"did you mean {', '.join(map(repr, near))}? " if near else ""
    raise ValueError(f"no class {wanted!r}: {guess}{whose} has {_listed_names(names)}")


def _in_range(names: Sequence[str], number: int, whose: str) -> int:
    if not 0 <= number < len(names):
        raise ValueError(f"class {number} is out of range: {whose} has {_listed_names(names)}, numbered from 0")
    return number


def _has_numbers(names: Sequence[str], bare: Sequence[str]) -> bool:
    """Whether names are numbers, other than those that classes without names have: 0, 1, 2, ... in their order."""
    return any(map(NUMBER.fullmatch, (*names, *bare))) and list(names) != [str(index) for index in range(len(names))]


def _nearest(names: Sequence[str], bare: Sequence[str], wanted: str) -> list[str]:
    """The nearest three names: of a number those with the nearest numbers, else those that are spelled much like it."""
    if NUMBER.fullmatch(wanted):
        numbers = [(abs(int(text) - int(wanted)), name) for name, own in zip(names, bare, strict=True)
                   for text in {name, own} if NUMBER.fullmatch(text)]  # fmt: skip
        return [name for _, name in sorted(numbers, key=lambda pair: pair[0])[:3]]
    lowered = [plain(name) for name in names]
    return [names[lowered.index(name)] for name in difflib.get_close_matches(plain(wanted), lowered, 3)]


def _listed_names(names: Sequence[str]) -> str:
    few = len(names) <= LISTED and not all(name.isdecimal() for name in names)
    return ", ".join(f"{index} {name}" for index, name in enumerate(names)) if few else f"{len(names)} classes"


def target_of(names: Sequence[str], wanted: Any, groups: Sequence[str] = ()) -> Target:
    """A class as `class_index`, or several of different groups, as a list or as text: "type:Handbags & colour:Red".

    Text that is the name of a class is that class, though it holds a "&". groups: as for `class_index`.
    """
    number = number_in(wanted)
    if number is not None:
        return class_index(names, number)
    several = wanted.split("&") if isinstance(wanted, str) and not same_name(names, wanted) else [wanted]
    parts = several if isinstance(wanted, str) else _listed(wanted)
    found = tuple(class_index(names, part, groups=groups) for part in parts)
    return found[0] if len(found) == 1 else found


def number_in(wanted: Any) -> int | None:
    """The whole number that anything stands for: an int, one of NumPy, or a tensor with one number; else None, as of booleans."""
    if isinstance(plain_number(wanted), bool):
        return None
    try:
        return operator.index(wanted)
    except TypeError:
        return None


def classes(bundle: Bundle | str | Path, wanted: Any) -> ClassRequest:
    """Classes of a bundle, one per chain: a name or number, or a list of them.

    Each may be one class of each of several groups, "type:Handbags & colour:Red". Raises ValueError for an unknown class, and
    for a bundle without classes.
    """
    bundle = loaders.bundle(bundle)
    if not bundle.classes:
        raise ValueError(
            f"{bundle.name} knows no classes, got {shown(wanted)}: ask for a unit, a function or another network's class"
        )
    listed = [wanted] if isinstance(wanted, str) or number_in(wanted) is not None else _listed(wanted)
    targets = tuple(target_of(bundle.classes, one, bundle.groups) for one in listed)
    return ClassRequest(bundle.classes, bundle.class_groups, targets, bundle.alternatives)


def listed_classes(bundle: Bundle | str | Path, wanted: Sequence[str | int]) -> ClassRequest:
    """Classes by names, numbers, "all" (the first group) or "GROUP:all", each once.

    Where they come from several groups, such as "type:Handbags" and "colour:Red", the targets are all combinations of a class of
    each group. Raises ValueError as `classes`.
    """
    bundle = loaders.bundle(bundle)
    if not bundle.classes:
        return classes(bundle, wanted)
    groups = bundle.class_groups
    every = {f"{group}:all": span for group, span in groups.items()} | {"all": next(iter(groups.values()))}
    found: list[Target] = []
    for name in wanted:
        span = every.get(name) if isinstance(name, str) else None
        found += range(*span) if span is not None else [target_of(bundle.classes, name, bundle.groups)]
    if not any(isinstance(target, tuple) for target in found):
        by_group = [[one for one in found if isinstance(one, int) and first <= one < last] for first, last in groups.values()]
        by_group = [own for own in by_group if own]
        found = found if len(by_group) == 1 else list(itertools.product(*by_group))
    return ClassRequest(bundle.classes, groups, tuple(dict.fromkeys(found)))


def _listed(wanted: Any) -> list[Any]:
    if not isinstance(wanted, Iterable) or getattr(wanted, "ndim", 1) == 0:
        raise ValueError(
            f"got {shown(wanted)} to ask for, expected a class by name or number, a list of them, a request or a function of an "
            f"image: pass one of these"
        )
    return list(wanted)
