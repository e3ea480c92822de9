"""The settings of a recipe as fields of a form: they derive from the dataclasses of its members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgn import recipes
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.samplers import Linear, Spaced
from ppgn.web.shell import option, plain

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
NEEDED: dict[str, dict[str, float]] = {
    "langevin": {"prior_scale": 0.1, "condition_scale": 1.0},
    "ascent": {"step_size": 1.0},
    "adaptive": {"prior_scale": 0.1, "step_size": 0.2},
}
"""Rule -> first values of the settings that it cannot be without, where no recipe of the bundle has any."""
SHOWN = 40
"""Characters of a wrong value that its error repeats."""


def recipe_names(bundle: Bundle) -> list[str]:
    """The recipes that a form offers: the bundle's own, and those of the papers that it can run."""
    return [OWN, *recipes.runnable(bundle)]


def recipe_of(bundle: Bundle, kind: str, name: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe of a form: the named one for requests of that kind, with changes by their names on one level. Chains of a page
    do not begin anew."""
    return recipes.recipe_for(bundle, kind, None if name in ("", OWN) else name, **{**(changes or {}), "tries": 1})


def _complete(bundle: Bundle, kind: str, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
    """The members, with first values of what a rule needs and no recipe of the bundle has."""
    try:
        recipe_of(bundle, kind, name, members)
    except ValueError:  # what else is wrong, the next use says
        return {**NEEDED.get(members.get("sampler", ""), {}), **members}
    return dict(members)


def form_of(bundle: Bundle, kind: str, name: str, members: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A form: the kind of request, the recipe and the members that it is for, and "groups" of fields with name, kind ("number",
    "scale", "choice", "switch"), value and range."""
    recipe = recipe_of(bundle, kind, name, _complete(bundle, kind, name, members or {}))
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
        found = {field["name"]: field["value"] for group in form["groups"] for field in group["fields"]}
        words = [form["kind"], form["recipe"], *found, *(found[member] for member in MEMBERS if member in found)]
    except (TypeError, KeyError) as fault:
        raise ValueError("got settings that are no form of this page, expected one: load the page anew") from fault
    if not all(isinstance(word, str) for word in words):
        raise ValueError("got names in a form that are no texts, expected those of this page: load the page anew")
    return found


def members_of(bundle: Bundle, form: Any) -> dict[str, str]:
    """The members that were chosen in a form in the place of the recipe's. Raises ValueError for one that is not listed."""
    typed, flat = values_of(form), recipe_of(bundle, form["kind"], form["recipe"]).flat()
    return _listed({member: typed[member] for member in MEMBERS if member in typed and typed[member] != flat[member]})


def with_member(bundle: Bundle, form: Any, member: str, name: str) -> dict[str, Any]:
    """A form with another member. What was typed into settings that it has as well stays.

    Raises ValueError for a member that is not listed.
    """
    typed, kind, recipe = values_of(form), form["kind"], form["recipe"]
    sent = _listed(form.get("members", {}))
    before = values_of(form_of(bundle, kind, recipe, sent))
    made = form_of(bundle, kind, recipe, _listed({**sent, member: name}))
    for field in (field for group in made["groups"] for field in group["fields"]):
        setting = field["name"]
        if setting not in MEMBERS and setting in before and typed.get(setting, before[setting]) != before[setting]:
            field["value"] = typed[setting]
    return made


def _listed(members: Any) -> dict[str, str]:
    """Members by name. Raises ValueError for one that is not listed."""
    found = dict(members) if isinstance(members, Mapping) else {"form": members}
    for member, name in found.items():
        known = recipes.FAMILIES[member] if member in MEMBERS else {}
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"got the {member} {name!r}, expected {', '.join(known) or ', '.join(MEMBERS)}: choose one")
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
    found = _complete(bundle, kind, name, members)
    for setting, value in typed.items():
        if setting not in MEMBERS and setting in known and value != known[setting]["value"]:
            found[setting] = _value(known[setting], value)
    recipe_of(bundle, kind, name, found)  # says what is wrong
    return name, found


def check_most(changes: Mapping[str, Any], most: int) -> None:
    """Raises ValueError for a count in changes that is more than a page allows: of steps, or of what each of them does."""
    for name, value in changes.items():
        if isinstance(value, int) and value > most:
            raise ValueError(f"got {name} {value}, expected at most {most} on this page: ask for less")


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
    kind = field["kind"]
    if kind in ("choice", "switch"):
        choices = field["choices"] if kind == "choice" else (True, False)
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
            raise ValueError(f"got {field['name']} {str(value)[:SHOWN]}, expected {', '.join(map(str, choices))}: choose one")
        return value
    try:
        if kind == "scale":
            start, end = map(float, value)
            return start if start == end else (start, end)
        return int(value) if field["step"] == 1 and float(value) == int(value) else float(value)
    except (TypeError, ValueError, OverflowError) as fault:
        raise ValueError(f"got {field['name']} {str(value)[:SHOWN]}, expected a number: correct it") from fault


def flags(name: str, changes: Mapping[str, Any]) -> list[str]:
    """The words of the command line for a named recipe with changes."""
    found = [] if name in ("", OWN) else option("recipe", name)
    for setting, value in changes.items():
        if isinstance(value, bool):
            found += option(setting if value else f"no_{setting}")
        else:
            found += option(setting, ":".join(map(plain, value)) if isinstance(value, tuple) else value)
    return found
