"""Plug & Play Generative Networks: images through a learned prior, asked for by any network you plug in."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppgn import (
        checks,
        conditions,
        evaluation,
        experiment,
        explanation,
        illumination,
        methods,
        priors,
        recipes,
        requests,
        samplers,
        sampling,
        starts,
        tuning,
    )
    from ppgn.bundle import Bundle, list_bundles
    from ppgn.errors import BundleError
    from ppgn.experiment import evolve
    from ppgn.explanation import explain
    from ppgn.loaders import bundle as load
    from ppgn.objective import Objective, Term
    from ppgn.recipes import Recipe
    from ppgn.requests import unit
    from ppgn.sampling import Samples, from_picture, in_paint, sample, walk
    from ppgn.types import ChainState, CodeSpace, Evaluation, ImageSpec

__version__ = "0.1.0"
_MODULES = (
    "checks",
    "conditions",
    "evaluation",
    "experiment",
    "explanation",
    "illumination",
    "methods",
    "priors",
    "recipes",
    "requests",
    "samplers",
    "sampling",
    "starts",
    "tuning",
)
_WHERE = {
    "Bundle": ("bundle", "Bundle"),
    "BundleError": ("errors", "BundleError"),
    "ChainState": ("types", "ChainState"),
    "CodeSpace": ("types", "CodeSpace"),
    "Evaluation": ("types", "Evaluation"),
    "ImageSpec": ("types", "ImageSpec"),
    "Objective": ("objective", "Objective"),
    "Recipe": ("recipes", "Recipe"),
    "Samples": ("sampling", "Samples"),
    "Term": ("objective", "Term"),
    "evolve": ("experiment", "evolve"),
    "explain": ("explanation", "explain"),
    "from_picture": ("sampling", "from_picture"),
    "in_paint": ("sampling", "in_paint"),
    "list_bundles": ("bundle", "list_bundles"),
    "load": ("loaders", "bundle"),
    "sample": ("sampling", "sample"),
    "unit": ("requests", "unit"),
    "walk": ("sampling", "walk"),
}
__all__ = [
    "Bundle",
    "BundleError",
    "ChainState",
    "CodeSpace",
    "Evaluation",
    "ImageSpec",
    "Objective",
    "Recipe",
    "Samples",
    "Term",
    "checks",
    "conditions",
    "evaluation",
    "evolve",
    "experiment",
    "explain",
    "explanation",
    "from_picture",
    "illumination",
    "in_paint",
    "list_bundles",
    "load",
    "methods",
    "priors",
    "recipes",
    "requests",
    "sample",
    "samplers",
    "sampling",
    "starts",
    "tuning",
    "unit",
    "walk",
]


def __getattr__(name: str) -> Any:
    """Loads a part when it is first asked for, so that `ppgn --help` does not wait for torch."""
    if name in _MODULES:
        return importlib.import_module(f"ppgn.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'ppgn' has no attribute {name!r}")
    room, attribute = _WHERE[name]
    return getattr(importlib.import_module(f"ppgn.{room}"), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
