"""Recipes in JSON files, as tuning and saved samples write them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgn.images import check_regular
from ppgn.recipes.recipe import Recipe
from ppgn.types import at_least_one

FIX = "give settings.json of a tuning, or samples.json of saved samples"
MOST_THREADS = 256
"""The cores of a large machine, whose rounding a smaller one can follow with as many threads."""


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
    """(chains at once, threads) of saved samples; None for what the file does not say.

    Raises ValueError as `read_recipe`, for anything but whole numbers above 0, and for more threads than `most_threads`.
    """
    run = _read(file).get("run")
    if run is None:
        return None, None
    if not isinstance(run, Mapping):
        raise ValueError(f"{file}: got run {run!r}, expected an object with batch and threads: leave it out")
    advice = "correct it, or leave it out"
    try:
        batch, threads = (
            None if run.get(name) is None else at_least_one(name, run[name], advice) for name in ("batch", "threads")
        )
    except ValueError as fault:
        raise ValueError(f"{file}: {fault}") from fault
    if threads is not None and threads > most_threads():
        raise ValueError(f"{file}: got threads {threads}, expected at most {most_threads()} on this machine: {advice}")
    return batch, threads


def most_threads() -> int:
    """The most threads that samples from another machine may ask for; the system may end a process that asks for too many."""
    return max(MOST_THREADS, 4 * (os.cpu_count() or 1))


def _read(file: str | Path) -> dict[str, Any]:
    check_regular(file)
    try:
        stored = json.loads(Path(file).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ValueError(f"cannot read a recipe in {file} ({fault}): {FIX}") from fault
    if not isinstance(stored, dict):
        raise ValueError(f"{file} holds {type(stored).__name__}, expected an object with a recipe: {FIX}")
    return stored
