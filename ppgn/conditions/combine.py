"""Conditions made of conditions. Each calls its parts once, and changes none of them.

A condition that asks each chain for something of its own has a method `for_chains(chains)`, the same condition for some of
its chains; `select_chains` calls it, and those made of conditions hand it on to their parts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from ppgn.images import resize
from ppgn.types import Condition, Image, LogProb, real, shown


def select_chains(condition: Condition, chains: Sequence[int]) -> Condition:
    """The condition for some of its chains, in their order; itself where it asks all chains for the same.

    Raises ValueError for a chain that the condition has no request for.
    """
    try:
        return condition.for_chains(chains) if isinstance(condition, PerChain) else condition
    except IndexError as fault:
        raise ValueError(
            f"{type(condition).__name__} was asked for the chains {list(chains)}, expected only chains that it has a request "
            f"for: pass as many requests as chains, or one for all"
        ) from fault


def with_parts(condition: Any) -> Iterator[Condition]:
    """The condition, and all that it is made of: its `conditions` or its `condition`, and theirs in turn."""
    yield condition
    parts = getattr(condition, "conditions", None) or (getattr(condition, "condition", None),)
    for part in parts:
        if callable(part):
            yield from with_parts(part)


@runtime_checkable
class PerChain(Protocol):
    """A condition that asks each chain for something of its own."""

    def for_chains(self, chains: Sequence[int]) -> Any:
        """The same for some of its chains, in their order."""
        ...


class And:
    """sum of weight * condition(image): log p of all of them, where they are independent given the image. `[chain]`.

    weights: one per condition, by default 1. Raises ValueError without conditions or for another number of weights.
    """

    def __init__(self, *conditions: Condition, weights: Sequence[float] | None = None) -> None:
        self.conditions = _check_parts("And", conditions)
        self.weights = (1.0,) * len(conditions) if weights is None else tuple(weights)
        if len(self.weights) != len(conditions):
            raise ValueError(
                f"And got {len(self.weights)} weights for {len(conditions)} conditions, expected one each: pass as many, or none"
            )
        for weight in self.weights:
            check_weight(weight)

    def for_chains(self, chains: Sequence[int]) -> And:
        """The same of its parts for some chains."""
        return And(*(select_chains(part, chains) for part in self.conditions), weights=self.weights)

    def __call__(self, image: Image) -> LogProb:
        first, *rest = (weight * condition(image) for weight, condition in zip(self.weights, self.conditions, strict=True))
        return sum(rest, start=first)


def check_weight(weight: float) -> None:
    """Raises ValueError for a weight that is no finite number."""
    if not math.isfinite(real(weight)):
        raise ValueError(f"a condition got weight {shown(weight)}, expected a finite number: 1 is its log-probability as it is")


class Or:
    """log sum exp of condition(image): log p of any of them, where they exclude each other (classes, say). `[chain]`."""

    def __init__(self, *conditions: Condition) -> None:
        self.conditions = _check_parts("Or", conditions)

    def for_chains(self, chains: Sequence[int]) -> Or:
        """The same of its parts for some chains."""
        return Or(*(select_chains(part, chains) for part in self.conditions))

    def __call__(self, image: Image) -> LogProb:
        return torch.logsumexp(torch.stack([condition(image) for condition in self.conditions]), 0)


class Not:
    """log(1 - exp(condition(image))): the condition does not hold. `[chain]`.

    1 - p is kept from below at the type's precision, with the gradient that it has there. Raises ValueError for a value
    above 0, which is no log-probability: of an activation take Weighted(condition, -1).
    """

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    def for_chains(self, chains: Sequence[int]) -> Not:
        """The same of its part for some chains."""
        return Not(select_chains(self.condition, chains))

    def __call__(self, image: Image) -> LogProb:
        log_prob = self.condition(image)
        precision = torch.finfo(log_prob.dtype).eps
        if bool((log_prob > 16 * precision).any()):  # more than the rounding of a sum over classes
            raise ValueError(
                f"Not got the value {float(log_prob.detach().max()):.3g}, expected a log-probability of at most 0: "
                f"use Weighted(condition, -1) for an activation, a logit or a score"
            )
        below = log_prob - (log_prob - log_prob.clamp(max=-precision)).detach()
        likely = below > -math.log(2)  # log(-expm1) loses digits below it, log1p(-exp) above
        # The second form gets a harmless input where it is unused, because its gradient there could be NaN even times 0.
        unlikely = torch.log1p(-torch.exp(torch.where(likely, -1.0, below)))
        return torch.where(likely, torch.log(-torch.expm1(below)), unlikely)


class Weighted:
    """weight * condition(image): a likelihood at temperature 1 / weight, avoided where the weight is negative. `[chain]`."""

    def __init__(self, condition: Condition, weight: float) -> None:
        check_weight(weight)
        self.condition = condition
        self.weight = weight

    def for_chains(self, chains: Sequence[int]) -> Weighted:
        """The same of its part for some chains."""
        return Weighted(select_chains(self.condition, chains), self.weight)

    def __call__(self, image: Image) -> LogProb:
        return self.weight * self.condition(image)


class Region:
    """condition(part of the image): rows top to top + height, columns left to left + width, in pixels. `[chain]`.

    size: resize the part to it first (height, width), for a network that takes one size only. Raises ValueError when
    the part is empty or not inside the image.
    """

    def __init__(
        self, condition: Condition, top: int, left: int, height: int, width: int, size: int | tuple[int, int] | None = None
    ) -> None:
        self.condition = condition
        self.box = (top, left, height, width)
        self.size = size

    def for_chains(self, chains: Sequence[int]) -> Region:
        """The same of its part for some chains."""
        return Region(select_chains(self.condition, chains), *self.box, size=self.size)

    def __call__(self, image: Image) -> LogProb:
        top, left, height, width = self.box
        if min(top, left) < 0 or min(height, width) < 1 or top + height > image.shape[-2] or left + width > image.shape[-1]:
            raise ValueError(
                f"a region got (top, left, height, width) = {self.box}, expected a part of an image of "
                f"{tuple(image.shape[-2:])}: choose a smaller one"
            )
        part = image[..., top : top + height, left : left + width]
        return self.condition(part if self.size is None else resize(part, self.size))


def _check_parts(who: str, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if not conditions or not all(callable(part) for part in conditions):
        raise ValueError(f"{who} got {len(conditions)} conditions, expected callables, at least one: pass {who}(first, second)")
    return conditions
