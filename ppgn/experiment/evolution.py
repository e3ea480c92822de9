"""An evolution in memory: `ask` gives the pictures of a generation, `tell` takes their responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ppgn.bundle import Bundle
from ppgn.evolution import RULES
from ppgn.experiment.elite import Elite
from ppgn.experiment.first import first_codes
from ppgn.types import ChainState, Code, Image, at_least_one

POPULATIONS = {"cma": 20, "genetic": 20, "nes": 40, "random": 20}
"""Method -> pictures of a generation where nobody says."""
AT_ONCE = 50
"""Pictures that the generator makes at once."""


@dataclass(frozen=True)
class Plan:
    """How an evolution runs.

    budget: pictures shown in all, with their repeats. method: a name in `evolution.RULES`. population: pictures of a generation
    for each unit, 0 for that of the method. repeats: how often each picture is shown; the mean counts. elite: how many of the
    best pictures so far are shown again in each generation, so that the best is no lucky one. seed: of the first unit; the next
    ones count up. settings: fields of the rule, such as {"step_size": 0.3}. Raises ValueError for what cannot be.
    """

    budget: int = 3000
    method: str = "cma"
    population: int = 0
    repeats: int = 1
    elite: int = 0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in RULES:
            raise ValueError(f"no method {self.method!r}, expected one of {', '.join(RULES)}: choose one of them")
        at_least_one("a budget", self.budget, "it counts pictures that are shown")
        at_least_one("repeats", self.repeats, "a picture is shown once or more")
        if self.elite < 0 or self.population < 0:
            raise ValueError(f"got elite {self.elite} and population {self.population}, expected 0 or more: correct them")
        known = {one.name for one in dataclasses.fields(RULES[self.method]) if not one.name.startswith("_")} - {
            "space",
            "population",
        }
        if odd := set(self.settings) - known:
            names = ", ".join(sorted(known)) or "none"
            raise ValueError(f"{self.method} has no setting {', '.join(sorted(odd))}, expected some of {names}: leave it out")

    @property
    def size(self) -> int:
        """Pictures of a generation for each unit."""
        return self.population or POPULATIONS[self.method]


@dataclass(frozen=True, eq=False)
class Generation:
    """The pictures of a generation. codes `[picture, *code]`; owners: the unit that each is for; fresh: how many of them are new,
    the others are shown again."""

    number: int
    codes: Code
    owners: tuple[int, ...]
    fresh: int


class Evolution:
    """Evolutions of pictures, one for each unit, in one stream: pictures of the units take turns.

    units: names. codes: of the first generation, `[picture, *code]`, such as those of real pictures; else draws of the bundle's
    model of codes. Raises ValueError for a budget below one generation, and for codes that do not fit.
    """

    def __init__(self, bundle: Bundle, plan: Plan, units: Sequence[str] = ("response",), codes: Code | None = None) -> None:
        self.bundle, self.plan, self.units = bundle, plan, tuple(units)
        self.space = bundle.code
        self.rule = RULES[plan.method](population=plan.size, **plan.settings).bound_to(0, 0, self.space)
        if self.plan.budget < self.shown_each:
            raise ValueError(
                f"got a budget of {plan.budget} pictures, expected at least {self.shown_each}, one generation of "
                f"{len(self.units)} times {plan.size} pictures: raise it, or lower population, repeats or elite"
            )
        seeds = tuple(range(plan.seed, plan.seed + len(self.units)))
        first = first_codes(bundle, seeds, plan.size, codes)
        begin = getattr(self.rule, "init_from", None)
        self.state: ChainState = begin(first, seeds) if begin else self.rule.init(first.mean(1), seeds)
        self.elite = Elite.empty(len(self.units), max(1, plan.elite), self.state.code)
        self._asked: Generation | None = None

    @property
    def shown_each(self) -> int:
        """Pictures shown in a generation, repeats included."""
        return len(self.units) * (self.plan.size + self.plan.elite) * self.plan.repeats

    @property
    def generations(self) -> int:
        """Generations within the budget."""
        return self.plan.budget // self.shown_each

    @property
    def done(self) -> bool:
        """Whether the budget is spent."""
        return self.state.step >= self.generations

    def ask(self) -> Generation:
        """The next generation; the same until it was told. Raises ValueError once the budget is spent."""
        if self.done:
            raise ValueError(f"the budget of {self.plan.budget} pictures is spent, expected some left: begin another evolution")
        if self._asked is None:
            asked = self.rule.ask(self.state)
            codes, owners = asked.transpose(0, 1).flatten(0, 1), [*range(len(self.units))] * asked.shape[1]
            again, owned = self.elite.shown(self.plan.elite)
            self._asked = Generation(self.state.step, torch.cat([codes, again]), (*owners, *owned), len(codes))
        return self._asked

    def images(self, codes: Code) -> Image:
        """The pictures of codes `[picture, *code]`, in [0, 1]."""
        with torch.no_grad():
            return torch.cat([self.bundle.generator(some).clamp(0, 1) for some in codes.split(AT_ONCE)])

    def tell(self, responses: Any) -> None:
        """Takes the responses of the generation asked for.

        responses: `[showing, unit]`, or `[showing]` of a single unit: first each picture once, then each once more, as often as
        they are repeated. Higher is better. NaN: that showing is out. Raises ValueError for another shape, for infinite
        responses, and where a unit has none at all; the evolution then stays as it was.
        """
        generation = self.ask()
        told = torch.as_tensor(responses, dtype=torch.float64).reshape(-1, len(self.units))
        wanted = len(generation.codes) * self.plan.repeats
        if len(told) != wanted:
            raise ValueError(f"got {len(told)} responses, expected {wanted}, one for each picture shown: tell all of them")
        if bool(told.isinf().any()):
            raise ValueError("got an infinite response, expected finite ones, or NaN where there is none: measure it again")
        means = told.reshape(self.plan.repeats, len(generation.codes), -1).nanmean(0)
        own = means[torch.arange(len(means)), torch.tensor(generation.owners)]
        scores = own[: generation.fresh].reshape(-1, len(self.units)).T
        for unit, row in zip(self.units, scores, strict=True):
            if bool(row.isnan().all()):
                raise ValueError(f"no picture has a response of {unit}, expected some: check the recording, and tell them again")
        state = self.rule.tell(self.state, scores)
        self.elite = self.elite.after(generation, own, self.plan.elite)
        self.state, self._asked = state, None

    def best(self, unit: int = 0) -> tuple[Code, float, int]:
        """(the best code `[*code]` of a unit, its mean response, how often it was measured)."""
        return self.elite.best(unit)
