"""Rules of searches by their names, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppgn.evolution import RULES
from ppgn.loaders import import_callable
from ppgn.recipes import coerced, settings_of

POPULATION = 20
"""Pictures of a generation where neither the plan nor the rule says."""
METHODS = ("init", "ask", "tell")
"""What a rule has (`types.AskTell`)."""


def rule_named(name: str) -> Any:
    """The rule of that name in `evolution.RULES`, or the one that "my_module:Rule" imports.

    Raises ValueError where there is none, and for one without the methods of a search or a field `population`."""
    if ":" not in name:
        if name not in RULES:
            raise ValueError(f"no method {name!r}, expected one of {', '.join(RULES)}, or my_module:Rule: choose one of them")
        return RULES[name]
    kind = import_callable(name)
    lacking = [method for method in METHODS if not hasattr(kind, method)]
    if lacking or "population" not in {one.name for one in settings_of(kind)}:
        raise ValueError(
            f"got {name} as the method, expected a dataclass with init, ask, tell and a field population: add "
            f"{', '.join(lacking) or 'the field'}"
        )
    return kind


def population_of(name: str) -> int:
    """Pictures of a generation where the plan does not say: the default of the rule's field where that is above 0."""
    default = next(one.default for one in settings_of(rule_named(name)) if one.name == "population")
    return default if isinstance(default, int) and default > 0 else POPULATION


def checked_settings(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the types of the rule's fields. Raises ValueError for those that it does not have, or that cannot be."""
    fields = {one.name: one for one in settings_of(rule_named(name)) if one.name != "population"}
    for setting in given:
        if setting not in fields:
            names = ", ".join(sorted(fields)) or "none"
            raise ValueError(f"{name} has no setting {setting}, expected some of {names}: leave it out")
    return {setting: coerced(fields[setting], value, setting) for setting, value in given.items()}
