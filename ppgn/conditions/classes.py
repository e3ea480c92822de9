"""Conditions on the class that a network sees in the image."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ppgn.constants import constant
from ppgn.types import Condition, Image, LogProb


def class_groups(names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Group -> (first, last + 1) of its classes: names such as "type:Handbags" and "colour:Red" stand in groups, with a softmax
    each; names without a colon are one group, "". Raises ValueError where a group's names do not stand together."""
    groups: dict[str, tuple[int, int]] = {}
    for index, name in enumerate(names):
        group = name.partition(":")[0] if ":" in name else ""
        first, last = groups.get(group, (index, index))
        if last != index:
            raise ValueError(
                f"the classes of the group {group!r} do not stand together ({name!r} comes apart): sort them by group"
            )
        groups[group] = (first, index + 1)
    return groups


class ClassLogProb:
    """log p(target | image) = log softmax(network(image))[target], with its true gradient (PPGN, Eq. 11, second term).

    network: image `[chain, channel, height, width]` -> logits `[chain, class]`. target: one class for all chains, or
    one per chain. Returns `[chain]`, in nats. Raises ValueError when the network's output is not 2-D, when a target
    is no class of the network, and when a list of targets has another length than there are chains.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return at_target(_logits(self.network, image).log_softmax(1), self.target)


class ReleasedClass:
    """log p(target | image) as value, but with the gradient of the released PPGN code:

        (1 - p_target) * d logit_target / d image

    that is, softmax's gradient with every entry but the target's set to 0: logit ascent that slows down as p nears 1.
    Arguments, shapes and errors as ClassLogProb.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return released_log_prob(_logits(self.network, image), self.target)


class ClassLogit:
    """network(image)[target], the score before the softmax: a log-probability up to a constant, with no other class in it.

    What DGN-AM (Nguyen et al. 2016) climbs. Arguments, shapes and errors as ClassLogProb.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return at_target(_logits(self.network, image), self.target)


class ClassesOfGroups:
    """sum over groups of log p(class of the group | image), a softmax over each group: "type:Handbags" and "colour:Red".

    network: image -> logits `[chain, class]` of all groups. targets: for each chain the classes asked of it, at most one of each
    group. groups: see `class_groups`. kind: ClassLogProb, ReleasedClass or ClassLogit. Returns `[chain]`, in nats. Raises
    ValueError for a class of no group, two of one group, or none at all in a chain.
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        targets: Sequence[Sequence[int]],
        groups: Mapping[str, tuple[int, int]],
        kind: Callable[[Callable[[Tensor], Tensor], Sequence[int]], Condition] = ClassLogProb,
    ) -> None:
        self.parts: list[tuple[Condition, list[float]]] = []
        counted = [0] * len(targets)
        for group, (first, last) in groups.items():
            inside = [[one - first for one in chain if first <= one < last] for chain in targets]
            if max(len(own) for own in inside) > 1:
                raise ValueError(f"a chain was asked for two classes of the group {group!r}, expected one: ask for one of them")
            counted = [count + len(own) for count, own in zip(counted, inside, strict=True)]
            if any(inside):
                condition = kind(_columns(network, first, last), [own[0] if own else 0 for own in inside])
                self.parts.append((condition, [float(len(own)) for own in inside]))
        if any(count != len(chain) or not count for count, chain in zip(counted, targets, strict=True)):
            raise ValueError(f"got the classes {list(targets)}, expected at least one for each chain, each in {dict(groups)}")

    def __call__(self, image: Image) -> LogProb:
        values = [condition(image) * constant(tuple(asked), image.dtype, image.device) for condition, asked in self.parts]
        return torch.stack(values).sum(0)


def _columns(network: Callable[[Tensor], Tensor], first: int, last: int) -> Callable[[Tensor], Tensor]:
    return lambda image: _logits(network, image)[:, first:last]


def released_log_prob(scores: Tensor, target: int | tuple[int, ...], who: str = "a class condition") -> LogProb:
    """log softmax(scores `[chain, class]`)[target] with the gradient of ReleasedClass: `[chain]`."""
    score = at_target(scores, target, who)
    log_prob = at_target(scores.detach().log_softmax(1), target, who)
    one_minus_p = -torch.expm1(log_prob)
    return one_minus_p * (score - score.detach()) + log_prob


def _check_target(target: int | Sequence[int]) -> int | tuple[int, ...]:
    try:
        return tuple(operator.index(one) for one in target) if isinstance(target, Sequence) else operator.index(target)
    except TypeError as error:
        raise ValueError(
            f"a class condition got the target {target!r}, expected an int or one int per chain: pass class numbers"
        ) from error


def _logits(network: Callable[[Tensor], Tensor], image: Image) -> Tensor:
    logits = network(image)
    if logits.ndim != 2 or len(logits) != len(image):
        raise ValueError(
            f"the network of a class condition returned shape {tuple(logits.shape)}, expected [chain, class] with "
            f"{len(image)} chains: give a network whose output is one row of logits per image"
        )
    return logits


def at_target(values: Tensor, target: int | tuple[int, ...], who: str = "a class condition") -> Tensor:
    """values `[chain, class]` at each chain's target: `[chain]`. Raises ValueError, in the name of `who`, if it has none."""
    chains, classes = values.shape
    targets = target if isinstance(target, tuple) else (target,) * chains
    if len(targets) != chains:
        raise ValueError(
            f"{who} got {len(targets)} targets for {chains} chains, expected one per chain: "
            f"pass as many targets as chains, or one for all"
        )
    outside = [one for one in targets if not 0 <= one < classes]
    if outside:
        raise ValueError(
            f"{who} got the target {outside[0]}, expected 0 to {classes - 1}: choose one of the {classes} that there are"
        )
    return values.gather(1, constant(targets, torch.long, values.device)[:, None])[:, 0]
