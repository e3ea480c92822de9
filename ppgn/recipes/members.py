"""Members of a recipe as JSON: {"name": "langevin", "prior_scale": 0.1, ...}."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from ppgn.recipes.fields import coerced, kind_named, name_of, settings_of, value_of
from ppgn.types import plain_number

ARGUMENTS = "arguments"
"""Key of the JSON of an object whose arguments are not known."""


def to_json(member: str, thing: Any) -> dict[str, Any]:
    """{"name": ..., setting: value, ...} of a member. Of an object that is no dataclass it says whether it has arguments."""
    settings = {field.name: _plain(value_of(thing, field)) for field in settings_of(thing)}
    return {"name": name_of(member, thing), **settings, **({ARGUMENTS: "unknown"} if _has_arguments(thing) else {})}


def from_json(member: str, stored: Any) -> Any:
    """The member of {"name": ..., setting: value, ...}; a setting that is not there has its default.

    Raises ValueError for anything else, and for names and values that the class does not have.
    """
    if not isinstance(stored, Mapping) or not isinstance(stored.get("name"), str):
        raise ValueError(f"a recipe got the {member} {stored!r}, expected an object with a name: give one")
    who = f"{member} {stored['name']}"
    kind = kind_named(member, stored["name"])
    given = {name: value for name, value in stored.items() if name != "name"}
    if dataclasses.is_dataclass(kind):
        return of_fields(kind, given, who)
    if ARGUMENTS in given:
        raise ValueError(f"the {who} was saved without its arguments, expected a dataclass, whose fields are saved: make it one")
    if given:
        raise ValueError(f"the {who} takes no settings, got {', '.join(given)}: leave them out")
    return instance(kind, {}, who) if isinstance(kind, type) else kind


def of_fields(kind: Any, given: Any, who: str) -> Any:
    """kind(**given), each value in the type of its field. Raises ValueError for other names, and for a setting that lacks."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{who} got {given!r}, expected an object of settings: give one")
    known = {field.name: field for field in settings_of(kind)}
    if unknown := set(given) - set(known):
        has = ", ".join(known) or "none"
        raise ValueError(f"{who} does not have {', '.join(sorted(map(str, unknown)))} (its settings: {has}): leave it out")
    return instance(kind, {name: coerced(known[name], value, f"{name} of {who}") for name, value in given.items()}, who)


def instance(kind: Any, values: Mapping[str, Any], who: str) -> Any:
    """kind(**values). Raises ValueError, in the name of `who`, for a setting without a value or a default."""
    if missing := lacking(kind, values):
        raise ValueError(f"{who} needs {' and '.join(missing)}, got none: give each a value")
    try:
        return kind(**values)
    except TypeError as fault:  # a class with arguments that are no fields
        raise ValueError(f"{who} lacks a setting ({fault}): make it a dataclass, whose fields are settings") from fault


def lacking(kind: Any, values: Mapping[str, Any]) -> list[str]:
    """The settings that have neither a value nor a default."""
    left_out = [field for field in settings_of(kind) if field.name not in values]
    return [one.name for one in left_out if one.default is one.default_factory is dataclasses.MISSING]


def _has_arguments(thing: Any) -> bool:
    """Whether an object that is no dataclass was made with arguments, which nothing tells afterwards."""
    if dataclasses.is_dataclass(thing) or inspect.isroutine(thing) or isinstance(thing, type):
        return False
    return bool(inspect.signature(type(thing)).parameters)


def _plain(value: Any) -> Any:
    """A value as JSON has it: schedules as objects without their defaults, a function as its name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if _differs(value, field)}
        return {"name": type(value).__name__.lower(), **{name: _plain(one) for name, one in given.items()}}
    value = plain_number(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else getattr(value, "__qualname__", repr(value))


def _differs(value: Any, field: dataclasses.Field[Any]) -> bool:
    """Whether a field has another value than its default."""
    return field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
