"""Plug & Play Generative Networks: images through a learned prior, asked for by any network you plug in."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ppgn import checks, conditions, priors, samplers
    from ppgn.bundle import Bundle, BundleError, list_bundles
    from ppgn.bundle import load_bundle as load
    from ppgn.objective import Objective, Term
    from ppgn.recipes import Samples, Settings, sample
    from ppgn.types import ChainState, Evaluation

__version__ = "0.1.0"
_MODULES = ("checks", "conditions", "priors", "samplers")
_WHERE = {
    "Bundle": ("bundle", "Bundle"),
    "BundleError": ("bundle", "BundleError"),
    "ChainState": ("types", "ChainState"),
    "Evaluation": ("types", "Evaluation"),
    "Objective": ("objective", "Objective"),
    "Samples": ("recipes", "Samples"),
    "Settings": ("recipes", "Settings"),
    "Term": ("objective", "Term"),
    "list_bundles": ("bundle", "list_bundles"),
    "load": ("bundle", "load_bundle"),
    "sample": ("recipes", "sample"),
}
__all__ = [
    "Bundle",
    "BundleError",
    "ChainState",
    "Evaluation",
    "Objective",
    "Samples",
    "Settings",
    "Term",
    "checks",
    "conditions",
    "list_bundles",
    "load",
    "priors",
    "sample",
    "samplers",
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
