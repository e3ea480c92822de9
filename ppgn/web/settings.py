"""The settings of a recipe as fields of a form: they derive from the dataclasses of its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgn import recipes
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.samplers import Linear, Spaced

OWN = "the bundle's own"
MEMBERS = ("sampler", "prior", "start", "measure")
"""Members of a recipe that the form shows, each with a choice of its kind."""
GROUPS = {"choice": ("draws", "draw_power"), "run": ("steps", "precision")}
TITLES = {
    "sampler": "rule of a step", "prior": "prior", "start": "start", "measure": "measure of classes",
    "choice": "choice of the start", "run": "run",
}  # fmt: skip
PRECISIONS = ("auto", "float32", "bfloat16")
ROOM = 4.0
"""A slider goes to so many times the recipe's value; its number can go beyond."""


def recipe_names(bundle: Bundle) -> list[str]:
    """The recipes that a form offers: the bundle's own, and those of the papers that it can run."""
    return [OWN, *recipes.runnable(bundle)]


def recipe_of(bundle: Bundle, kind: str, name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a form: the named one for requests of that kind, with changes by their names on one level."""
    return recipes.recipe_for(bundle, kind, None if name in ("", OWN) else name, **(changes or {}))


def form_of(bundle: Bundle, kind: str, name: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A form: the kind of request, the recipe and the members that it is for, and "groups" of fields with name, kind ("number",
    "scale", "choice", "switch"), value and range."""
    recipe = recipe_of(bundle, kind, name, members)
    flat = recipe.flat()
    groups = []
    for member in MEMBERS:
        thing = getattr(recipe, member)
        fields = [
            {"name": member, "kind": "choice", "value": flat[member], "choices": [*recipes.FAMILIES[member]], "member": True}
        ]
        for one in recipes.settings_of(thing):
            setting = recipes.flat_name(member, one.name)
            fields += _field(setting, recipes.type_of(one), flat[setting])
        about = (type(thing).__doc__ or "").strip().partition("\n")[0]
        groups.append({"title": TITLES[member], "about": about, "fields": fields, "open": member == "sampler"})
    for group, names in GROUPS.items():
        fields = []
        for setting in names:
            if setting == "precision":
                fields.append({"name": setting, "kind": "choice", "value": flat[setting], "choices": list(PRECISIONS)})
            else:
                fields += _field(setting, type(flat[setting]).__name__, flat[setting])
        groups.append({"title": TITLES[group], "about": "", "fields": fields, "open": group == "run"})
    return {"kind": kind, "recipe": name, "members": dict(members or {}), "groups": groups}


def values_of(form: Any) -> dict[str, Any]:
    """The values of a form by their names. Raises ValueError for anything but a form."""
    try:
        return {field["name"]: field["value"] for group in form["groups"] for field in group["fields"]}
    except (TypeError, KeyError) as fault:
        raise ValueError("got settings that are no form of this page, expected one: load the page anew") from fault


def members_of(bundle: Bundle, form: Any) -> dict[str, str]:
    """The members that were chosen in a form in the place of the recipe's. Raises ValueError for one that is not listed."""
    typed, flat = values_of(form), recipe_of(bundle, form["kind"], form["recipe"]).flat()
    found = {one: typed[one] for one in MEMBERS if typed.get(one) not in (None, flat[one])}
    for member, name in found.items():
        if name not in recipes.FAMILIES[member]:
            raise ValueError(f"got the {member} {name!r}, expected {', '.join(recipes.FAMILIES[member])}: choose one")
    return found


def changes_of(bundle: Bundle, kind: str, form: Any) -> tuple[str, dict[str, Any]]:
    """(recipe, what was typed into a form and differs from it), by names on one level, as `recipes.recipe_for` takes them.

    A form for another kind of request counts as not typed. Raises ValueError for what is no setting, or no value of it.
    """
    typed = values_of(form)
    name = form["recipe"]
    if name not in recipe_names(bundle):
        raise ValueError(f"got the recipe {name!r}, expected {', '.join(recipe_names(bundle))}: choose one")
    if form["kind"] != kind:
        return name, {}
    members = members_of(bundle, form)
    known = {one["name"]: one for group in form_of(bundle, kind, name, members)["groups"] for one in group["fields"]}
    found: dict[str, Any] = dict(members)
    for setting, value in typed.items():
        if setting not in MEMBERS and setting in known and value != known[setting]["value"]:
            found[setting] = _value(known[setting], value)
    recipe_of(bundle, kind, name, found)  # says what is wrong
    return name, found


def _field(name: str, kind: str, value: Any) -> list[dict[str, Any]]:
    """The field of a setting; [] for one that a form cannot show."""
    if isinstance(value, bool):
        return [{"name": name, "kind": "switch", "value": value}]
    if isinstance(value, Linear | Spaced):
        ends = (value.start, value.end) if isinstance(value, Linear) else (value.highest, value.lowest)
        return [{"name": name, "kind": "scale", "value": list(ends), "high": ROOM * max(map(abs, ends)) or 1.0, "step": "any"}]
    if not isinstance(value, int | float):
        return []
    high = ROOM * abs(value) or 1.0
    if "Scale" in kind:
        return [{"name": name, "kind": "scale", "value": [value, value], "high": high, "step": "any"}]
    whole = kind == "int"
    return [
        {"name": name, "kind": "number", "value": value, "high": max(4, high) if whole else high, "step": 1 if whole else "any"}
    ]


def _value(field: Mapping[str, Any], value: Any) -> Any:
    try:
        return _number(field, value)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"got {field['name']} {value!r}, expected a number: correct it") from fault


def _number(field: Mapping[str, Any], value: Any) -> Any:
    if field["kind"] == "scale":
        start, end = value
        return float(start) if start == end else (float(start), float(end))
    if field["kind"] == "number":
        return int(value) if field["step"] == 1 and float(value) == int(value) else float(value)
    return bool(value) if field["kind"] == "switch" else str(value)


def flags(name: str, changes: Mapping[str, Any]) -> list[str]:
    """The words of the command line for a named recipe with changes."""
    found = [] if name in ("", OWN) else ["--recipe", name]
    for setting, value in changes.items():
        flag = f"--{setting.replace('_', '-')}"
        if isinstance(value, bool):
            found.append(flag if value else f"--no-{flag[2:]}")
        else:
            found += [flag, ":".join(map(_plain, value)) if isinstance(value, tuple) else _plain(value)]
    return found


def _plain(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
