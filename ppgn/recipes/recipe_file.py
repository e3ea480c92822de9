"""Recipes in JSON files, as tuning and saved samples write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgn.images import check_regular
from ppgn.recipes.recipe import Recipe

FIX = "give settings.json of a tuning, or samples.json of saved samples"


def read_recipe(file: str | Path) -> Recipe:
    """The recipe that a JSON file holds as {"recipe": {...}, ...}. Raises ValueError where it holds none, or a wrong one."""
    stored = _read(file)
    if "recipe" not in stored:
        if "settings" in stored:
            raise ValueError(f"{file} holds the flat settings of an older ppgn, expected a recipe: make the file anew")
        raise ValueError(f"{file} holds no recipe, expected an object with one under 'recipe': {FIX}")
    try:
        return Recipe.from_json(stored["recipe"])
    except ValueError as fault:
        raise ValueError(f"{file}: {fault}") from fault


def stored_network_precision(file: str | Path) -> str | None:
    """The precision in which the plugged-in network of saved samples ran; None where the file names none."""
    about = _read(file).get("condition")
    found = about.get("network_precision") if isinstance(about, Mapping) else None
    return found if isinstance(found, str) else None


def stored_run(file: str | Path) -> tuple[int | None, int | None]:
    """(chains at once, threads) of saved samples; None for what the file does not say. Raises ValueError as `read_recipe`."""
    run = _read(file).get("run")
    found = [run.get(name) if isinstance(run, Mapping) else None for name in ("batch", "threads")]
    batch, threads = (value if isinstance(value, int) and value >= 1 else None for value in found)
    return batch, threads


def _read(file: str | Path) -> dict[str, Any]:
    check_regular(file)
    try:
        stored = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ValueError(f"cannot read a recipe in {file} ({fault}): {FIX}") from fault
    if not isinstance(stored, dict):
        raise ValueError(f"{file} holds {type(stored).__name__}, expected an object with a recipe: {FIX}")
    return stored
