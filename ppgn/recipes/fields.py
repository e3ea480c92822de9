"""The families of a recipe's members, and their settings: names on one level, types, values."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ppgn.conditions import MEASURES
from ppgn.loaders import import_callable
from ppgn.priors import PRIORS
from ppgn.recipes.bounds import BOUNDS
from ppgn.samplers import SAMPLERS, Spaced, is_number, levels_from, scale_from
from ppgn.starts import STARTS
from ppgn.types import plain_number
from ppgn.views import VIEWS

FAMILIES: dict[str, Mapping[str, Any]] = {
    "sampler": SAMPLERS,
    "prior": PRIORS,
    "start": STARTS,
    "measure": MEASURES,
    "bounds": BOUNDS,
    "view": VIEWS,
}
"""Member of a recipe -> name -> class. A name "my_module:Thing" imports another class."""
METHODS: dict[str, tuple[tuple[str, ...], ...]] = {
    "sampler": (("init", "step"), ("init", "ask", "tell")),
    "prior": (("__call__",), ("bind",)),
    "start": (("draw",),),
    "measure": (("__call__",),),
    "bounds": (("of",),),
    "view": (("__call__", "views"),),
}
"""Member of a recipe -> the methods that it must have, any one of several sets."""
PREFIXES = {"start": "start_", "bounds": "bounds_", "view": "view_"}
"""Prefix of these members' settings where all are on one level: `start_mean`."""


def settings_of(thing: Any) -> tuple[dataclasses.Field[Any], ...]:
    """The fields of a dataclass, or of an instance of one, that are settings; () for any other thing."""
    if not dataclasses.is_dataclass(thing):
        return ()
    return tuple(field for field in dataclasses.fields(thing) if field.init and field.metadata.get("setting", True))


def flat_name(member: str, field: str) -> str:
    """The name of a member's field on one level."""
    return PREFIXES.get(member, "") + field


def kind_named(member: str, name: str) -> Any:
    """The class, or function, of that name. Raises ValueError, with the names of the family, for an unknown one."""
    if ":" in name:
        return import_callable(name)
    if name not in FAMILIES[member]:
        listed = ", ".join(FAMILIES[member])
        raise ValueError(f"unknown {member} {name!r}: choose {listed}, or my_module:Name of your own")
    return FAMILIES[member][name]


def name_of(member: str, thing: Any) -> str:
    """The name of a member's class in its family, or "module:Name"; thing: the member, or its class."""
    known = [name for name, kind in FAMILIES[member].items() if kind is thing or kind is type(thing)]
    if known:
        return known[0]
    kind = thing if isinstance(thing, type) or not dataclasses.is_dataclass(thing) else type(thing)
    return f"{getattr(kind, '__module__', '?')}:{getattr(kind, '__qualname__', type(thing).__qualname__)}"


def check_member(member: str, thing: Any) -> None:
    """Raises ValueError for a member of a recipe without the methods of its family."""
    if isinstance(thing, type) or not any(all(hasattr(thing, name) for name in names) for names in METHODS[member]):
        wanted = " or ".join(" and ".join(names) for names in METHODS[member])
        raise ValueError(
            f"got {name_of(member, thing)} as the {member}, expected an object with {wanted}: add them, or choose "
            f"{', '.join(FAMILIES[member])}"
        )


def check_names(made: Mapping[str, Any], taken: Collection[str]) -> None:
    """Raises ValueError where two settings have one name on one level, of which a change would set both.

    made: the members of a recipe; taken: the names of its other settings.
    """
    owners = dict.fromkeys(taken, "recipe")
    for member, thing in made.items():
        for name in (flat_name(member, field.name) for field in settings_of(thing)):
            if name in owners:
                raise ValueError(
                    f"the {member} {name_of(member, thing)} has a setting {name!r}, expected another name, as the "
                    f"{owners[name]} has one too: rename it"
                )
            owners[name] = member


def value_of(thing: Any, field: dataclasses.Field[Any]) -> Any:
    """The value of a setting in a form that `coerced` reads as the same.

    Two noise levels come with their count, because a pair is read as the highest and the lowest of as many levels as the run
    has steps for.
    """
    value = getattr(thing, field.name)
    is_two_levels = "Spaced" in type_of(field) and isinstance(value, Sequence) and len(value) == 2
    return Spaced(*value, count=2) if is_two_levels else value


def type_of(field: dataclasses.Field[Any]) -> str:
    """The type of a field as its class writes it: "float", "Scale", "int | None"."""
    return field.type.__name__ if isinstance(field.type, type) else str(field.type)


def coerced(field: dataclasses.Field[Any], value: Any, who: str) -> Any:
    """The value in the type of the field, from JSON, text or a caller. Raises ValueError where it cannot be one."""
    kind, value = type_of(field), plain_number(value)
    if "Scale" in kind or "Linear" in kind:
        return scale_from(value, who)
    if "Spaced" in kind:
        return levels_from(value, who)
    if kind in ("int", "float") and not is_number(value, int if kind == "int" else (int, float)):
        raise ValueError(f"{who} got {value!r}, expected a {'whole' if kind == 'int' else 'finite'} number: pass one")
    if kind == "bool" and not isinstance(value, bool):
        raise ValueError(f"{who} got {value!r}, expected true or false: pass one of them")
    if kind == "str" and not isinstance(value, str):
        raise ValueError(f"{who} got {value!r}, expected a word: pass text")
    return tuple(value) if isinstance(value, list) and not kind.startswith("list") else value
