"""The recipe of a chain, a nested value that equals its JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppgn.conditions import Logit, Released
from ppgn.generators import PICTURE_GENERATORS
from ppgn.priors import ReconstructionPrior
from ppgn.recipes import fields, members
from ppgn.recipes.bounds import FixedBounds
from ppgn.recipes.changes import changed_group, changed_member, unknown_setting
from ppgn.samplers import ReleasedLangevin
from ppgn.starts import Normal
from ppgn.views import WholePicture

REPRODUCIBLE = "reproducible"
PRECISIONS = ("float32", "bfloat16", "auto", REPRODUCIBLE)


@dataclass(frozen=True)
class Choice:
    """The choice of one of `draws` starting codes of a chain, with probability proportional to p(y | image)^draw_power.

    p is taken at temperature 1. A power above 1 prefers typical pictures of y. Raises ValueError for draws below 1, and for a
    power that is negative or not finite.
    """

    draws: int = 1
    draw_power: float = 1.0

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"got {self.draws} draws, expected at least 1: 1 begins with the first code drawn")
        if not 0 <= self.draw_power < math.inf:
            raise ValueError(f"got draw_power {self.draw_power}, expected at least 0: 0 ignores the condition, 1 is p(y | image)")


@dataclass(frozen=True)
class Retries:
    """Up to `tries` runs of a chain in all, each from another start, until one ends with log p(y | image) of at least `accept`.

    accept: in nats, at temperature 1. The likeliest run is kept. tries 1 keeps every chain. Raises ValueError for tries below 1,
    and for an accept that is not a number.
    """

    tries: int = 1
    accept: float = -0.7

    def __post_init__(self) -> None:
        if self.tries < 1:
            raise ValueError(f"got {self.tries} tries, expected at least 1: 1 keeps every chain")
        if math.isnan(self.accept):
            raise ValueError("got accept nan, expected a log-probability in nats: -0.7 is a probability of one half")


@dataclass(frozen=True)
class Recipe:
    """The rule, the prior and all other settings of a chain. A bundle stores the recipes found best for it.

    sampler: a rule of `ppgn.samplers`, or anything with its `init` and `step`, or with `ask` and `tell`. prior: settings of
    `ppgn.priors`, or any function (code, image) -> direction. start: settings of `ppgn.starts`. measure: scores of classes ->
    log-probability, of `conditions.MEASURES`; words take its temperature. generator: the part of the bundle that makes pictures,
    or one of `generators.PICTURE_GENERATORS`: "pixels", where the code is the picture, "fourier" or "phase". bounds: the range to
    which codes are clipped after every step. view: what conditions see of a picture at a step, of `ppgn.views`. choice: of the
    starting code. retries: of chains that fail (`sample` only). steps: evaluations of a chain, of which the last one's picture is
    kept. precision: of the networks of a step: "float32"; "bfloat16"; "auto", bfloat16 where the device has units for
    it and it is as good (docs/speed.md), else float32; or "reproducible", float32 and one chain at a time on one thread, whose
    picture is then the same alone, in any batch and with any number of threads.

    Raises ValueError for numbers out of range, and for members that do not fit each other.
    """

    sampler: Any = ReleasedLangevin(noise_scale=0.0)
    prior: Any = ReconstructionPrior()
    start: Any = Normal()
    measure: Any = Released()
    generator: str = "generator"
    bounds: Any = FixedBounds()
    view: Any = WholePicture()
    choice: Choice = Choice()
    retries: Retries = Retries()
    steps: int = 200
    precision: str = "float32"

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int):
            raise ValueError(f"got {self.steps!r} steps, expected a whole number: pass an int")
        if self.steps < 1:
            raise ValueError(f"got {self.steps} steps, expected at least 1: ask for one step or more")
        if self.precision not in PRECISIONS:
            raise ValueError(f"unknown precision {self.precision!r}: choose {', '.join(PRECISIONS)}")
        if self.retries.tries > 1 and isinstance(self.measure, Logit):
            raise ValueError(
                f"got {self.retries.tries} tries with measure 'logit', expected 1: a logit is no log-probability to accept by"
            )
        made = {member: getattr(self, member) for member in fields.FAMILIES}
        for member, thing in made.items():
            fields.check_member(member, thing)
        fields.check_names(made, [*vars(self), *vars(self.choice), *vars(self.retries)])
        _check_codes(self)

    @property
    def codes(self) -> str:
        """The space in which the chain moves: "codes", "before_relu" (before their ReLU), or the name of a picture generator."""
        if self.generator in PICTURE_GENERATORS:
            return self.generator
        return "before_relu" if getattr(self.prior, "codes", None) == "before_relu" else "codes"

    def flat(self) -> dict[str, Any]:
        """Every setting by its name on one level, members by their names: {"sampler": "langevin", "prior_scale": 0.1, ...}."""
        found: dict[str, Any] = {}
        for member in fields.FAMILIES:
            thing = getattr(self, member)
            found[member] = fields.name_of(member, thing)
            found |= {fields.flat_name(member, one.name): fields.value_of(thing, one) for one in fields.settings_of(thing)}
        return found | vars(self.choice) | vars(self.retries) | {name: getattr(self, name) for name in PLAIN}

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON; `from_json` is the inverse. A view of the whole picture is left out, as in recipes of before."""
        named = [member for member in fields.FAMILIES if member != "view" or self.view != WholePicture()]
        found: dict[str, Any] = {member: members.to_json(member, getattr(self, member)) for member in named}
        found |= {name: vars(getattr(self, name)).copy() for name in GROUPS}
        return found | {name: getattr(self, name) for name in PLAIN}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Recipe:
        """The recipe of a JSON object; a setting that is not there has its default. ValueError naming a setting that is wrong."""
        if not isinstance(stored, Mapping):
            raise ValueError(f"a recipe got {type(stored).__name__}, expected an object of settings: give one")
        known = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := set(stored) - set(known):
            raise ValueError(f"a recipe got the unknown settings {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        made: dict[str, Any] = {}
        for name, value in stored.items():
            if name in fields.FAMILIES:
                made[name] = members.from_json(name, value)
            elif name in GROUPS:
                made[name] = members.of_fields(GROUPS[name], value, name)
            else:
                made[name] = fields.coerced(known[name], value, name)
        return cls(**made)

    def changed(self, others: Sequence[Recipe] = (), **changes: Any) -> Recipe:
        """The recipe with some settings changed, by their names on one level; None leaves a setting as it is.

        A member given by name (`sampler="langevin"`) takes its settings from the first of `others` that has it, then those of the
        same names from the member that it replaces, then its defaults. Schedules may be pairs: `step_size=(0.2, 0.05)`. Raises
        ValueError for a setting that the chosen members do not have, with those that they have.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        made: dict[str, Any] = {}
        used = set(PLAIN)
        for member in fields.FAMILIES:
            stored = [getattr(other, member) for other in others]
            made[member], taken = changed_member(getattr(self, member), member, given, stored)
            used |= taken
        for name in GROUPS:
            made[name], taken = changed_group(getattr(self, name), name, given)
            used |= taken
        for field in dataclasses.fields(self):
            if field.name in PLAIN:
                made[field.name] = fields.coerced(field, given.get(field.name, getattr(self, field.name)), field.name)
        if unused := [name for name in given if name not in used]:
            beside = [*PLAIN, *(field.name for kind in GROUPS.values() for field in dataclasses.fields(kind))]
            raise ValueError(unknown_setting(unused[0], given[unused[0]], made, beside))
        return Recipe(**made)


GROUPS: dict[str, Any] = {"choice": Choice, "retries": Retries}
"""Settings that stand together in a recipe."""
PLAIN = ("generator", "steps", "precision")
"""Settings of the recipe itself."""


def _check_codes(recipe: Recipe) -> None:
    """Raises ValueError when members are made for other codes than the chain moves."""
    codes = recipe.codes
    prior = getattr(recipe.prior, "codes", None)
    if prior is not None and prior != codes:
        fix = "choose prior pixel_denoiser or none" if codes == "pixels" else "choose generator pixels, or another prior"
        raise ValueError(f"got prior {fields.name_of('prior', recipe.prior)!r} with generator {recipe.generator!r}: {fix}")
    if hasattr(recipe.sampler, "levels") and codes != "before_relu":
        raise ValueError(
            f"got sampler {fields.name_of('sampler', recipe.sampler)!r} with prior {fields.name_of('prior', recipe.prior)!r}: "
            f"choose prior noise_level, which knows levels"
        )
    for member in ("start", "bounds"):
        made_for = getattr(getattr(recipe, member), "codes", (codes,))
        if codes not in made_for and not (member == "bounds" and codes == "before_relu"):
            with_what = "prior 'noise_level'" if codes == "before_relu" else f"generator {recipe.generator!r}"
            fits = [name for name, kind in fields.FAMILIES[member].items() if codes in getattr(kind, "codes", (codes,))]
            raise ValueError(
                f"got {member} {fields.name_of(member, getattr(recipe, member))!r} with {with_what}: choose {member} "
                f"{' or '.join(fits)}"
            )
