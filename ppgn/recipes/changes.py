"""Changes of a recipe by the names of its settings on one level: sampler="langevin", prior_scale=0.1, steps=50."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ppgn.recipes import fields, members


def changed_member(now: Any, member: str, given: Mapping[str, Any], others: Sequence[Any]) -> tuple[Any, set[str]]:
    """(the member after the changes, the names in `given` that it took).

    now: the member before. given[member]: a name, a class, an instance, or its JSON; else `now` is kept. A class takes its
    settings from the first of `others` of that class, else those of the same names and types from `now`, else its defaults.
    given[setting]: a new value of one setting. Raises ValueError for a setting without value or default, and for a wrong value.
    """
    wanted = given.get(member, now)
    chosen = members.from_json(member, wanted) if isinstance(wanted, Mapping) else wanted
    if isinstance(wanted, str):
        chosen = fields.kind_named(member, wanted)
        chosen = now if type(now) is chosen else chosen
    own = {fields.flat_name(member, field.name): field for field in fields.settings_of(chosen)}
    taken = {own[name].name: fields.coerced(own[name], given[name], name) for name in own if name in given}
    used = {member, *(name for name in own if name in given)}
    if not isinstance(chosen, type):  # an instance, or a function
        return (dataclasses.replace(chosen, **taken) if taken else chosen), used
    like = next((other for other in others if type(other) is chosen), now)
    values = {field.name: getattr(like, field.name) for field in own.values() if _has(like, field)} | taken
    who = f"the {member} {fields.name_of(member, chosen)}"
    if missing := members.lacking(chosen, values):
        values_of = ", ".join(f"{fields.flat_name(member, name)}=VALUE" for name in missing)
        raise ValueError(f"{who} needs {' and '.join(missing)}, got none: pass {values_of}")
    return members.instance(chosen, values, who), used


def changed_group(now: Any, name: str, given: Mapping[str, Any]) -> tuple[Any, set[str]]:
    """(`choice` or `retries` after the changes, the names in `given` that it took); given[name]: an instance, or its JSON."""
    kind, wanted = type(now), given.get(name, now)
    wanted = vars(wanted) if isinstance(wanted, kind) else wanted
    part = {field.name: given[field.name] for field in dataclasses.fields(kind) if field.name in given}
    whole = {**vars(now), **wanted, **part} if isinstance(wanted, Mapping) else wanted
    return members.of_fields(kind, whole, name), {name, *part}


def unknown_setting(name: str, value: Any, made: Mapping[str, Any], others: Sequence[str]) -> str:
    """The sentence about a setting that no member has. made: the members; others: names of all settings beside theirs."""
    owners = {
        (member, word): {fields.flat_name(member, field.name) for field in fields.settings_of(kind)}
        for member, family in fields.FAMILIES.items()
        for word, kind in family.items()
    }
    having = [place for place, names in owners.items() if name in names]
    if not having:
        every = {*fields.FAMILIES, *others}.union(*owners.values())
        return f"unknown settings {name}: choose from {', '.join(sorted(every))}"
    member = having[0][0]
    chosen = fields.name_of(member, made[member])
    has = ", ".join(fields.flat_name(member, field.name) for field in fields.settings_of(made[member])) or "none"
    return (
        f"got {name} {value!r}, which the {member} {chosen} does not have (its settings: {has}): leave it out, or choose "
        f"{member} {' or '.join(word for _, word in having)}"
    )


def _has(thing: Any, field: dataclasses.Field[Any]) -> bool:
    """Whether a member has a setting of that name and type."""
    try:
        fields.coerced(field, getattr(thing, field.name), field.name)
    except (AttributeError, ValueError):  # no such setting, or another one of the same name
        return False
    return True
