"""The contract of a request: names, the recipe that fits, and a condition for any of its chains."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ppgn.conditions import Logit, Measure
from ppgn.errors import check_chains
from ppgn.probe import Passes
from ppgn.types import Code, Condition, LogProb


class Request(ABC):
    """The targets of a number of chains, one each.

    kind: the kind of recipe that fits, "class", "caption" or "plugged". noun: the word for a target in errors.
    """

    noun: ClassVar[str] = "condition"

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """A label per chain."""

    @abstractmethod
    def select(self, chains: Sequence[int]) -> Request:
        """The request of some of the chains, in the order given; a chain may come several times."""

    def each(self, count: int) -> Request:
        """`count` chains for each target, target by target. Raises ValueError for too many (`errors.check_chains`)."""
        check_chains(count, len(self))
        return self.select([target for target in range(len(self)) for _ in range(count)])

    @abstractmethod
    def condition(self, passes: Passes) -> Condition:
        """Image `[chain, channel, height, width]` -> log-probability `[chain]`, over passes that the prior shares."""

    def code_condition(self, passes: Passes) -> Callable[[Measure], Callable[[Code], LogProb]] | None:
        """Measure -> (code -> log-probability per chain) by networks that read codes; None where only a picture tells."""
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The request as JSON, without the names: {"kind": "unit", "network": ..., ...}."""

    @property
    def kind(self) -> str:
        """The kind of recipe that fits."""
        return "plugged"

    @property
    def exact(self) -> tuple[str, ...]:
        """Parts of the bundle that must run in float32 for this request."""
        return ()

    @property
    def couples(self) -> bool:
        """Whether the condition looks at several chains at once, so that all of them must run together."""
        return False

    @property
    def splits(self) -> bool:
        """Whether some of the chains may run again without the others."""
        return True

    def __len__(self) -> int:
        return len(self.names)

    def probability(self, measure: Measure | None = None) -> bool:
        """Whether exp(value) is a probability under a measure of classes."""
        return False

    def quantity(self, measure: Measure | None = None) -> str:
        """What the condition's value is under a measure of classes: "log-probability", "activation", "logit" or "value"."""
        return "log-probability" if self.probability(measure) else "value"

    def label(self, chain: int, value: float, measure: Measure | None = None) -> str:
        """The chain's name, and its value as a probability where it is one: "church 0.98", "conv5:3 12.5"."""
        name = self.names[chain]
        return f"{name} {math.exp(value):.2f}" if self.probability(measure) else f"{name} {value:.3g}"


def is_probability(measure: Measure | None) -> bool:
    """Whether a measure of classes gives log-probabilities."""
    return not isinstance(measure, Logit)


def selected(values: Sequence[Any], chains: Sequence[int]) -> tuple[Any, ...]:
    """values[chain] for each of the chains."""
    return tuple(values[chain] for chain in chains)
