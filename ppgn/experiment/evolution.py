"""An evolution in memory: `ask` gives the pictures of a generation, `tell` takes their responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ppgn.bundle import Bundle
from ppgn.experiment.elite import Elite
from ppgn.experiment.first import AT_ONCE, first_codes
from ppgn.experiment.rules import checked_settings, population_of, rule_named
from ppgn.samplers import bound
from ppgn.types import ChainState, Code, Image, plain_number

HEADINGS = ("generation", "picture", "showing", "kind", "seed", "unit", "file")
"""Columns of tables of responses, beside which the units have theirs."""


@dataclass(frozen=True)
class Plan:
    """How an evolution runs.

    budget: pictures shown in all, with their repeats. method: a name in `evolution.RULES`, or "my_module:Rule", a dataclass
    that keeps the contract `types.AskTell` and has a field population (`checks.check_ask_tell` checks it). population: pictures
    of a generation for each unit, 0 for that of the method. repeats: how often each picture is shown; the mean counts. elite:
    how many of the best pictures so far are shown again in each generation, so that the best is no lucky one. seed: of the first
    unit; the next ones count up. settings: fields of the rule, such as {"step_size": 0.3}. Raises ValueError for what cannot be.
    """

    budget: int = 3000
    method: str = "cma"
    population: int = 0
    repeats: int = 1
    elite: int = 0
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.method, str) or not isinstance(self.settings, Mapping):
            raise ValueError(
                f"got method {self.method!r} and settings {self.settings!r}, expected a name and a mapping: correct them"
            )
        for name, least in {"budget": 1, "repeats": 1, "population": 0, "elite": 0, "seed": 0}.items():
            value = plain_number(getattr(self, name))
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"got {name} {value!r}, expected a whole number of at least {least}: correct it")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "settings", checked_settings(self.method, self.settings))
        self.rule()

    def rule(self) -> Any:
        """The rule with its settings. Raises ValueError for those that cannot be."""
        return rule_named(self.method)(population=self.size, **self.settings)

    @property
    def size(self) -> int:
        """Pictures of a generation for each unit."""
        return self.population or population_of(self.method)

    def shown_each(self, units: int) -> int:
        """Pictures shown in a generation at most, repeats included."""
        return units * (self.size + self.elite) * self.repeats


@dataclass(frozen=True, eq=False)
class Generation:
    """The pictures of a generation. codes `[picture, *code]`; owners: the unit that each is for; fresh: how many of them are
    new; again: (unit, place) in the elite of the others, which are shown once more; centres: those new ones that are no samples
    of the search but its centre."""

    number: int
    codes: Code
    owners: tuple[int, ...]
    fresh: int
    again: tuple[tuple[int, int], ...] = ()
    centres: range = range(0)

    def kind(self, picture: int) -> str:
        """What a picture is: "sample" or "centre" of the search, or "elite", shown once more."""
        return "elite" if picture >= self.fresh else "centre" if picture in self.centres else "sample"


class Evolution:
    """Evolutions of pictures, one for each unit, in one stream: pictures of the units take turns.

    units: names. codes: of the first generation, `[picture, *code]`, such as those of real pictures; else draws of the bundle's
    model of codes. state, elite: where an earlier one was, in place of a first generation. Raises ValueError for a budget below
    one generation, for codes that do not fit, and for names of units that are not unique or those of other columns.
    """

    def __init__(
        self,
        bundle: Bundle,
        plan: Plan,
        units: Sequence[str] = ("response",),
        codes: Code | None = None,
        state: ChainState | None = None,
        elite: Elite | None = None,
    ) -> None:
        if isinstance(units, str):
            raise ValueError(f"got the units {units!r}, expected a list of names: write ({units!r},)")
        self.bundle, self.plan, self.units = bundle, plan, tuple(units)
        odd = [name for name in self.units if not name or self.units.count(name) > 1 or name in HEADINGS]
        if odd or not self.units:
            raise ValueError(
                f"got the units {list(self.units)}, expected names that differ from each other and from {', '.join(HEADINGS)}: "
                f"rename {odd[0] if odd else 'them'}"
            )
        self.rule = bound(plan.rule(), 0, 0, bundle.code)
        if plan.budget < self.shown_each:
            raise ValueError(
                f"got a budget of {plan.budget} pictures, expected at least {self.shown_each}, one generation: "
                f"{len(self.units)} units * ({plan.size} population + {plan.elite} elite) * {plan.repeats} repeats: raise it"
            )
        self.state = self._first(codes) if state is None else state
        self.elite = Elite.empty(len(self.units), plan.elite, self.state.code) if elite is None else elite
        self._asked: Generation | None = None

    def _first(self, codes: Code | None) -> ChainState:
        seeds = tuple(range(self.plan.seed, self.plan.seed + len(self.units)))
        first = first_codes(self.bundle, seeds, self.plan.size, codes)
        for begin in ("init_from", "init_around"):
            if hasattr(self.rule, begin):
                return getattr(self.rule, begin)(first, seeds)
        return self.rule.init(first.mean(1), seeds)

    @property
    def shown_each(self) -> int:
        """Pictures shown in a generation at most, repeats included."""
        return self.plan.shown_each(len(self.units))

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
            raise ValueError(f"the budget of {self.plan.budget} pictures is spent, expected some left: raise it to go on")
        if self._asked is None:
            try:
                asked = self._checked(self.rule.ask(self.state))
            except KeyError as fault:
                raise ValueError(
                    f"the state of the run lacks {fault} for the method {self.plan.method}, expected that of one version: "
                    f"go on with the version of ppgn with which it began"
                ) from fault
            codes, owners = asked.transpose(0, 1).flatten(0, 1), [*range(len(self.units))] * asked.shape[1]
            places = self.elite.shown(self.plan.elite, codes)
            again = [self.elite.codes[unit, place] for unit, place in places]
            together = torch.cat([codes, torch.stack(again)]) if again else codes
            units = (*owners, *(unit for unit, _ in places))
            centres = range(len(codes) - len(self.units) * getattr(self.rule, "centres", 0), len(codes))
            self._asked = Generation(self.state.step, together, units, len(codes), tuple(places), centres)
        return self._asked

    def _checked(self, asked: Any) -> Code:
        """What the rule asks. Raises ValueError for anything but finite codes of its population."""
        wanted = (len(self.units), self.plan.size, *self.bundle.code.shape)
        if not isinstance(asked, torch.Tensor) or tuple(asked.shape) != wanted or not bool(asked.isfinite().all()):
            got = f"shape {list(asked.shape)}" if isinstance(asked, torch.Tensor) else type(asked).__name__
            raise ValueError(
                f"the method {self.plan.method} asked for {got}, expected finite codes [unit, population, *code] of shape "
                f"{list(wanted)}: check it with ppgn.checks.check_ask_tell"
            )
        return asked

    def images(self, codes: Code) -> Image:
        """The pictures of codes `[picture, *code]`, in [0, 1]."""
        with torch.no_grad():
            return torch.cat([self.bundle.generator(some).clamp(0, 1) for some in codes.split(AT_ONCE)])

    def tell(self, responses: Any) -> None:
        """Takes the responses of the generation asked for.

        responses: `[showing, unit]`, or `[showing]` of a single unit: first each picture once, then each once more, as often as
        they are repeated. Higher is better. NaN and infinite ones: that showing is out. Raises ValueError for another shape, and
        where a unit has none at all; the evolution then stays as it was.
        """
        generation, told = self.ask(), torch.as_tensor(responses, dtype=torch.float64).cpu()
        wanted = len(generation.codes) * self.plan.repeats
        if told.shape != (wanted, len(self.units)) and not (len(self.units) == 1 and told.shape == (wanted,)):
            raise ValueError(
                f"got responses of shape {list(told.shape)}, expected [{wanted}, {len(self.units)}], one of each unit for each "
                f"picture shown: tell all of them"
            )
        whole = torch.where(told.isinf(), torch.nan, told).reshape(self.plan.repeats, len(generation.codes), -1)
        own = whole[:, torch.arange(len(generation.codes)), torch.tensor(generation.owners)]
        scores = own.nanmean(0)[: generation.fresh].reshape(-1, len(self.units)).T
        for unit, row in zip(self.units, scores, strict=True):
            if bool(row.isnan().all()):
                of = f" of {unit}" if len(self.units) > 1 else ""
                raise ValueError(f"no picture has a response{of}, expected some: check the recording, and tell them again")
        state = self.rule.tell(self.state, scores.to(self.state.code.device))
        if state.step != self.state.step + 1:
            raise ValueError(
                f"the method {self.plan.method} went from step {self.state.step} to {state.step}, expected one more: "
                f"check it with ppgn.checks.check_ask_tell"
            )
        self.elite = self.elite.after(generation, own)
        self.state, self._asked = state, None

    def best(self, unit: int = 0) -> tuple[Code, float, int]:
        """(the best code `[*code]` of a unit, its mean response, how often it was measured)."""
        return self.elite.best(unit)
