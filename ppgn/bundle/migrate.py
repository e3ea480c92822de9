"""Version 1 of bundle.json -> version 2: one size became height and width, flat settings became nested recipes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgn.bundle.description import FILE, VERSION, check_fields, checked, read_json, write_json
from ppgn.errors import BundleError

FIELDS: dict[str, type] = {
    "format": str, "version": int, "name": str, "parts": dict, "code": dict, "image": dict, "class_names": list, "recipe": dict,
    "training": dict, "data": dict, "licence": str, "source": str, "scores": dict,
}  # fmt: skip
NEEDED = ("name", "parts", "code", "image", "class_names", "recipe")
RECIPE: dict[str, type] = {
    "name": str, "settings": dict, "plugged": dict, "caption": dict, "papers": dict, "precisions": list
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "sampler": "released", "generator": "generator", "prior": "reconstruction", "gradient": "released", "temperature": 1.0,
    "prior_scale": 1e-5, "condition_scale": 1.0, "condition_limit": 0.0, "noise_scale": 0.0, "step_size": 1.0,
    "step_size_end": 1.0, "start": "normal", "draws": 1, "draw_power": 1.0, "start_mean": 0.0, "start_std": 1.0,
    "bounds": "fixed", "code_low": 0.0, "code_high": 30.0, "momentum": 0.0, "level": 0.5, "level_end": 0.05, "corrections": 1,
    "decay": 1.0, "reset_every": 0, "steps": 200, "tries": 1, "accept": -0.7, "precision": "float32", "compile": False,
}  # fmt: skip
"""The flat settings of version 1, with their defaults. "compile" has no successor: it changed the speed, never a sample."""
CHOICES = {
    "sampler": ("langevin", "released", "ascent", "adaptive", "annealed"),
    "prior": ("reconstruction", "denoiser", "none", "pixel_denoiser", "noise_level"),
    "gradient": ("log_softmax", "released", "logit"),
    "start": ("normal", "codes", "noise_level", "unclipped"),
    "bounds": ("fixed", "statistics"),
}
"""Settings in words that decide which fields a nested recipe has."""


def read_info(folder: Path) -> dict[str, Any]:
    """bundle.json as version 2, with every optional field filled in.

    Raises BundleError where it is malformed, of something else than a bundle, or of a version that is not known.
    """
    info = read_json(folder)
    try:
        described = to_version_2(info) if info.get("version") == 1 else _of_this_version(info)
        return checked({"groups": groups_of(described.get("classes")), **described})
    except BundleError as fault:
        raise BundleError(f"{folder / FILE}: {fault}") from fault


def _of_this_version(info: dict[str, Any]) -> dict[str, Any]:
    if info.get("version") != VERSION:
        raise BundleError(f"got version {info.get('version')!r}, expected 1 or {VERSION}: update ppgn or export the bundle again")
    return info


def groups_of(names: Any) -> list[str]:
    """The groups of class names in a file that was written before groups were declared: all that stand before a colon, where
    every name has one and those of a group stand together; else none."""
    if not isinstance(names, list) or not all(isinstance(name, str) and ":" in name for name in names):
        return []
    found = [group for group, _ in itertools.groupby(name.partition(":")[0] for name in names)]
    return found if len(set(found)) == len(found) < len(names) else []


def migrate_bundle(folder: str | Path) -> bool:
    """Rewrites a bundle.json of version 1 as version 2, in a single move, weights untouched; False where it was version 2 before.

    Raises BundleError as `read_info` does, and then leaves the file as it is.
    """
    info = read_info(Path(folder))
    if read_json(Path(folder)).get("version") == VERSION:
        return False
    write_json(Path(folder), info)
    return True


def to_version_2(info: Mapping[str, Any]) -> dict[str, Any]:
    """A description of version 1 -> version 2; `info` stays as it is. Raises BundleError for an unknown or wrong field."""
    check_fields("the bundle", info, FIELDS, NEEDED)
    image, recipe = info["image"], info["recipe"]
    check_fields("its image", image, {"size": int, "channels": int}, ("size", "channels"))
    check_fields("its recipe", recipe, RECIPE)
    changed = {
        "version": 2,
        "code": {**info["code"], "relu": True},
        "image": {"height": image["size"], "width": image["size"], "channels": image["channels"]},
        "classes": info["class_names"],
        **_recipes(recipe),
        "precisions": recipe.get("precisions", []),
    }
    kept = ("format", "version", "name", "parts", "code", "image")
    first = {name: changed.get(name, info[name]) for name in kept}
    rest = {name: info[name] for name in ("training", "data", "licence", "source", "scores") if name in info}
    return {**first, **changed, **rest}


def _recipes(stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The fields "recipes" and "papers", by kind of request.

    Version 1 ran the recipe of a kind, or the class's where there was none; and the methods of the papers, all of them Eq. 11,
    with "papers" put over the class's and under the kind's.
    """
    settings, papers = stored.get("settings", {}), stored.get("papers", {})
    kinds = {"class": {}, **{kind: stored[kind] for kind in ("plugged", "caption") if stored.get(kind)}}
    return {
        "recipes": {kind: nested({**settings, **changes}) for kind, changes in kinds.items()},
        "papers": {kind: nested({**settings, **papers, **changes, "sampler": "langevin"}) for kind, changes in kinds.items()},
    }


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings as a nested recipe, with the fields that its sampler, prior, start, measure and bounds have.

    Raises BundleError for an unknown setting, one of another type, and a word that is no choice.
    """
    check_fields("its recipe", flat, {name: type(default) for name, default in SETTINGS.items()})
    given = {name: type(default)(flat.get(name, default)) for name, default in SETTINGS.items()}
    for name, known in CHOICES.items():
        if given[name] not in known:
            raise BundleError(f"its recipe has {name} {given[name]!r}, expected {', '.join(known)}: correct it")
    prior, start, measure, bounds = (given[name] for name in ("prior", "start", "gradient", "bounds"))
    drawn = {"mean": given["start_mean"], "std": given["start_std"]}
    return {
        "sampler": _sampler(given),
        "prior": {"name": prior, **({"level": given["level"]} if prior == "noise_level" else {})},
        "start": {"name": start, **(drawn if start in ("normal", "unclipped") else {})},
        "measure": {"name": measure, **({} if measure == "logit" else {"temperature": given["temperature"]})},
        "generator": given["generator"],
        "bounds": {"name": bounds, **({"low": given["code_low"], "high": given["code_high"]} if bounds == "fixed" else {})},
        "choice": {name: given[name] for name in ("draws", "draw_power")},
        "retries": {name: given[name] for name in ("tries", "accept")},
        "steps": given["steps"],
        "precision": given["precision"],
    }


def _sampler(given: Mapping[str, Any]) -> dict[str, Any]:
    falls = given["step_size"] != given["step_size_end"]
    step = {"name": "linear", "start": given["step_size"], "end": given["step_size_end"]} if falls else given["step_size"]
    fields = {
        "langevin": ("prior_scale", "condition_scale", "noise_scale", "condition_limit"),
        "released": ("prior_scale", "condition_scale", "noise_scale", "step_size", "reset_every"),
        "ascent": ("step_size", "decay", "prior_scale"),
        "adaptive": ("prior_scale", "step_size", "noise_scale", "momentum"),
        "annealed": ("levels", "corrections", "step_size", "condition_scale"),
    }
    levels = {"name": "spaced", "highest": given["level"], "lowest": given["level_end"]}
    constant = given["sampler"] == "annealed"  # whose step_size never fell
    known = {**given, "levels": levels, "step_size": given["step_size"] if constant else step}
    return {"name": given["sampler"], **{name: known[name] for name in fields[given["sampler"]]}}
