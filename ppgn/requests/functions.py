"""Any function of an image as a request, and weighted sums of requests."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ppgn.conditions import And, Measure, PerChain, select_chains, with_parts
from ppgn.probe import Passes
from ppgn.requests.request import Request, selected
from ppgn.types import Code, Condition, LogProb


@dataclass(frozen=True, eq=False)
class FunctionRequest(Request):
    """Any condition, image -> log-probability per chain.

    A condition with a target per chain selects some of them by `for_chains` (`conditions.select_chains`). Any other has one
    target for all chains, or fits only the whole batch that it was made for. about: the description of the function.
    """

    function: Condition
    chains: tuple[int, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def couples(self) -> bool:
        """Whether the condition, or a condition inside it, has `couples = True`."""
        return any(getattr(part, "couples", False) for part in with_parts(self.function))

    @property
    def splits(self) -> bool:
        """Whether the condition, and all conditions inside it, have `for_chains`."""
        return all(isinstance(part, PerChain) for part in with_parts(self.function))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the function, for every chain."""
        name = self.about.get("condition") or getattr(self.function, "__name__", type(self.function).__name__)
        return (str(name),) * len(self.chains)

    def select(self, chains: Sequence[int]) -> FunctionRequest:
        return replace(self, chains=selected(self.chains, chains))

    def condition(self, passes: Passes) -> Condition:
        return select_chains(self.function, self.chains)

    def quantity(self, measure: Measure | None = None) -> str:
        """What the contract of conditions asks of every function."""
        return "log-probability"

    def describe(self) -> dict[str, Any]:
        return {"kind": "condition", **self.about}


@dataclass(frozen=True, eq=False)
class WeightedRequest(Request):
    """sum over requests of weight * request: AND of all of them, NOT by a negative weight.

    Raises ValueError without requests, for another number of weights, for requests of different numbers of chains, and for a
    weight that is not finite.
    """

    requests: tuple[Request, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(math.isfinite(weight) for weight in self.weights):
            raise ValueError(f"a sum of requests got the weights {list(self.weights)}, expected finite numbers: correct them")
        lengths = {len(request) for request in self.requests}
        if not self.requests or len(self.weights) != len(self.requests) or len(lengths) > 1:
            raise ValueError(
                f"a sum of requests got {len(self.requests)} requests of {sorted(lengths)} chains and {len(self.weights)} "
                f"weights, expected as many weights as requests, all of as many chains: pass one weight for each"
            )

    @property
    def kind(self) -> str:
        """The kind of the requests where all agree, else "plugged"."""
        kinds = {request.kind for request in self.requests}
        return kinds.pop() if len(kinds) == 1 else "plugged"

    @property
    def exact(self) -> tuple[str, ...]:
        """All parts that any of the requests needs in float32."""
        return tuple(dict.fromkeys(part for request in self.requests for part in request.exact))

    @property
    def couples(self) -> bool:
        """Whether any of the requests couples chains."""
        return any(request.couples for request in self.requests)

    @property
    def splits(self) -> bool:
        """Whether all of the requests split."""
        return all(request.splits for request in self.requests)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the requests with their weights: "church + 0.2 layer3:7 - 0.5 parachute"."""
        parts = [
            [name if weight == 1 else f"{weight:g} {name}" for name in request.names]
            for request, weight in zip(self.requests, self.weights, strict=True)
        ]
        return tuple(" + ".join(row).replace("+ -", "- ") for row in zip(*parts, strict=True))

    def select(self, chains: Sequence[int]) -> WeightedRequest:
        return replace(self, requests=tuple(request.select(chains) for request in self.requests))

    def condition(self, passes: Passes) -> Condition:
        return And(*(request.condition(passes) for request in self.requests), weights=self.weights)

    def code_condition(self, passes: Passes) -> Callable[[Measure], Callable[[Code], LogProb]] | None:
        parts = [request.code_condition(passes) for request in self.requests]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return lambda measure: And(*(part(measure) for part in found), weights=self.weights)

    def quantity(self, measure: Measure | None = None) -> str:
        """What all of the requests count, else a value without a unit."""
        found = {request.quantity(measure) for request in self.requests}
        return found.pop() if len(found) == 1 else "value"

    def describe(self) -> dict[str, Any]:
        terms = [{**request.describe(), "weight": weight} for request, weight in zip(self.requests, self.weights, strict=True)]
        return {"kind": "sum", "terms": terms}


def function(condition: Condition, chains: int = 1, about: Mapping[str, Any] | None = None) -> FunctionRequest:
    """Any function of an image as a request of a number of chains. about: its description, as JSON."""
    return FunctionRequest(condition, tuple(range(chains)), about or {})


def weighted(requests: Sequence[Request], weights: Sequence[float] | None = None) -> WeightedRequest:
    """The weighted sum of requests, by default with weights 1; a request of one target serves every chain of the others.

    Raises ValueError for requests of several targets each whose numbers differ, and as `WeightedRequest`.
    """
    most = max((len(request) for request in requests), default=0)
    if len({len(request) for request in requests} - {1}) > 1:
        listed = " and ".join(f"{len(request)} {request.describe()['kind']} targets" for request in requests)
        raise ValueError(f"a sum got {listed}, expected as many of each, or one for all chains: list as many, or one")
    spread = [request.select([0] * most) if len(request) == 1 else request for request in requests]
    return WeightedRequest(tuple(spread), (1.0,) * len(spread) if weights is None else tuple(weights))
