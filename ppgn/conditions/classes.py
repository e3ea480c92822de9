"""Conditions on the class that a network sees in the image."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ppgn.conditions.measures import Logit, LogSoftmax, Measure, Released
from ppgn.images import constant
from ppgn.types import Image, LogProb


def class_groups(names: Sequence[str], groups: Sequence[str] = ()) -> dict[str, tuple[int, int]]:
    """Group -> (first, last + 1) of its classes: of the groups "type" and "colour" are "type:Handbags" and "colour:Red", with a
    softmax for each group. Without groups all classes are one, "", whatever their names.

    Raises ValueError for a name of no group, a group without names, and where a group's names do not stand together.
    """
    if not groups:
        return {"": (0, len(names))} if names else {}
    spans: dict[str, tuple[int, int]] = {}
    for index, name in enumerate(names):
        group, _ = split_group(name, groups)
        if group is None:
            raise ValueError(f"the class {name!r} is of none of the groups {', '.join(groups)}, expected GROUP:NAME: rename it")
        first, last = spans.get(group, (index, index))
        if last != index:
            raise ValueError(
                f"the classes of the group {group!r} do not stand together ({name!r} comes apart): sort them by group"
            )
        spans[group] = (first, index + 1)
    if empty := [group for group in groups if group not in spans]:
        raise ValueError(f"the group {empty[0]!r} has no classes, expected names such as '{empty[0]}:NAME': leave it out")
    return spans


def split_group(name: str, groups: Sequence[str]) -> tuple[str | None, str]:
    """(group, name without it): ("type", "Handbags") of "type:Handbags", (None, name) where it stands in none of the groups.

    Of groups such as "a" and "a:b" the longer one goes first.
    """
    group = max((one for one in groups if name.startswith(f"{one}:")), key=len, default=None)
    return group, name if group is None else name[len(group) + 1 :]


class ClassMeasure:
    """measure(network(image))[target], for any measure of MEASURES: `[chain]`.

    network: image `[chain, channel, height, width]` -> logits `[chain, class]`. target: one class for all chains, or
    one per chain. Raises ValueError when the network's output is not 2-D, when a target is no class of the network,
    and when a list of targets has another length than there are chains.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int], measure: Measure) -> None:
        self.network = network
        self.target = _check_target(target)
        self.measure = measure

    def for_chains(self, chains: Sequence[int]) -> ClassMeasure:
        """The same for some of its chains, in their order; itself where all have one target."""
        if isinstance(self.target, int):
            return self
        other = copy.copy(self)
        other.target = tuple(self.target[chain] for chain in chains)
        return other

    def __call__(self, image: Image) -> LogProb:
        return self.measure(logits_of(self.network, image), self.target, "a class condition")


class ClassLogProb(ClassMeasure):
    """log p(target | image) = log softmax(network(image))[target], with its true gradient (PPGN, Eq. 11, second term).

    Arguments, shapes and errors as ClassMeasure; in nats.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        super().__init__(network, target, LogSoftmax())


class ReleasedClass(ClassMeasure):
    """log p(target | image) as value, but with the gradient of the released PPGN code (`measures.Released`)."""

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        super().__init__(network, target, Released())


class ClassLogit(ClassMeasure):
    """network(image)[target], the score before the softmax; what DGN-AM (Nguyen et al. 2016) climbs."""

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        super().__init__(network, target, Logit())


class ClassesOfGroups:
    """sum over groups of measure(class of the group), a softmax over each group: "type:Handbags" and "colour:Red".

    network: image -> logits `[chain, class]` of all groups. targets: for each chain the classes asked of it, at most one of each
    group. groups: see `class_groups`. alternatives: whether a picture shows a class of one group or another ("object:church",
    "scene:beach"), rather than one of each; a class that a chain is asked for alone then stands in one softmax over all groups.
    Returns `[chain]`, in nats. Raises ValueError for a class of no group, two of one group, or none at all in a chain.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        targets: Sequence[Sequence[int]],
        groups: Mapping[str, tuple[int, int]],
        measure: Measure | None = None,
        alternatives: bool = False,
    ) -> None:
        self.network, self.measure = network, LogSoftmax() if measure is None else measure
        self.targets, self.groups, self.alternatives = tuple(tuple(chain) for chain in targets), dict(groups), alternatives
        self._check()
        self.parts: list[tuple[tuple[int, int], tuple[int, ...], tuple[float, ...]]] = []
        softmaxes = [[self._softmax(number, len(chain)) for number in chain] for chain in self.targets]
        for span in dict.fromkeys(span for chain in softmaxes for span in chain):
            inside = [
                [number - span[0] for number, own in zip(chain, spans, strict=True) if own == span]
                for chain, spans in zip(self.targets, softmaxes, strict=True)
            ]
            places = tuple(found[0] if found else 0 for found in inside)
            self.parts.append((span, places, tuple(float(len(found)) for found in inside)))

    def _softmax(self, number: int, asked: int) -> tuple[int, int]:
        """(first, last + 1) of the classes that share a softmax with a class of a chain that is asked for so many."""
        spans = list(self.groups.values())
        if self.alternatives and asked == 1:
            return spans[0][0], spans[-1][1]
        return next((first, last) for first, last in spans if first <= number < last)

    def _check(self) -> None:
        counted = [0] * len(self.targets)
        for group, (first, last) in self.groups.items():
            inside = [sum(first <= number < last for number in chain) for chain in self.targets]
            if max(inside) > 1:
                raise ValueError(f"a chain was asked for two classes of the group {group!r}, expected at most one: leave one out")
            counted = [count + found for count, found in zip(counted, inside, strict=True)]
        if any(count != len(chain) or not count for count, chain in zip(counted, self.targets, strict=True)):
            raise ValueError(
                f"got the classes {list(self.targets)}, expected at least one for each chain, each in {self.groups}: "
                f"name such ones"
            )

    def for_chains(self, chains: Sequence[int]) -> ClassesOfGroups:
        """The same for some of its chains, in their order."""
        some = [self.targets[chain] for chain in chains]
        return ClassesOfGroups(self.network, some, self.groups, self.measure, self.alternatives)

    def __call__(self, image: Image) -> LogProb:
        values = []
        for (first, last), places, weights in self.parts:
            value = self.measure(logits_of(self.network, image)[:, first:last], places, "a class condition")
            values.append(value * constant(weights, image.dtype, image.device))
        return torch.stack(values).sum(0)


def logits_of(network: Callable[[Tensor], Tensor], image: Image) -> Tensor:
    """network(image), `[chain, class]`; ValueError for another shape."""
    logits = network(image)
    if logits.ndim != 2 or len(logits) != len(image):
        raise ValueError(
            f"the network of a class condition returned shape {tuple(logits.shape)}, expected [chain, class] with "
            f"{len(image)} chains: give a network whose output is one row of logits per image"
        )
    return logits


def _check_target(target: int | Sequence[int]) -> int | tuple[int, ...]:
    try:
        return tuple(operator.index(number) for number in target) if isinstance(target, Sequence) else operator.index(target)
    except TypeError as error:
        raise ValueError(
            f"a class condition got the target {target!r}, expected an int or one int per chain: pass class numbers"
        ) from error
