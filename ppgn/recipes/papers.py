"""The methods of the papers as changes of a recipe. Sections are those of docs/released-code.md.

A NAME alone is the form of the paper: Eq. 11 with the true gradient. Its scales (prior_scale, condition_scale, noise_scale,
temperature), its steps and its start are the bundle's own ("papers" in bundle.json, where the bundle's default goes past them),
because the papers publish no epsilons; ppgn_x, whose code is pixels, has scales of its own. A NAME_released is the rule of the
released code with its constants to the letter. DGN-AM has one form, that of its code, under both names. No PPGN-x was released.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.priors import NoPrior, ReconstructionPrior
from ppgn.recipes.bounds import FixedBounds, NoBounds, StatisticsBounds
from ppgn.recipes.guidance import GUIDANCE
from ppgn.recipes.pioneers import PIONEERS
from ppgn.recipes.recipe import Recipe

_EQ_11: dict[str, Any] = {"sampler": "langevin", "measure": "log_softmax", "generator": "generator", "condition_limit": 0.0}
_RELEASED: dict[str, Any] = {
    "sampler": "released",  # section 2, items 1 and 6
    "measure": "released",  # section 2: the target's own entry only
    "temperature": 1.0,  # section 2: softmax over the logits as they are
    "generator": "generator",
    "prior_scale": 1e-5,  # section 2, example 1: e1
    "condition_scale": 1.0,  # e2
    "noise_scale": 1e-17,  # e3
    "step_size": 1.0,
    "start": "unclipped",  # section 2: N(0, 1), negative entries included
    "draws": 1,
    "start_mean": 0.0,
    "start_std": 1.0,
    "bounds": "fixed",
    "bounds_low": 0.0,  # section 2, item 7
    "bounds_high": 30.0,
    "reset_every": 0,
    "steps": 201,  # section 2, item 9: 200 * 1 + 1 updates
}
_DGN_AM: dict[str, Any] = {
    "sampler": "ascent",  # all of it: section 3
    "generator": "generator",
    "prior": "none",
    "measure": "logit",  # the raw activation
    "step_size": (8.0, 1e-10),
    "bounds": "statistics",  # [0, mean + 3 std] of each unit over real images
    "decay": 0.99,
    "start": "unclipped",
    "draws": 1,
    "start_mean": 0.0,
    "start_std": 1.0,
    "steps": 200,
}
_PIXELS: dict[str, Any] = {
    "generator": "pixels",
    "prior": "pixel_denoiser",
    "bounds": "fixed",
    "bounds_low": 0.0,  # pixels
    "bounds_high": 1.0,
    "start": "normal",
    "draws": 1,
    "start_mean": 0.5,  # our choice, no start is published: grey, with noise that fills the range
    "start_std": 0.25,
    "prior_scale": 0.1,  # our choices too, on imagenette64: the chain finds the class and the picture stays smooth
    "condition_scale": 0.3,
    "noise_scale": 0.02,
    "steps": 100,
}
COMMON: dict[str, Any] = {"tries": 1, "precision": "float32"}
"""Settings of all methods, whatever a bundle sets for its own samples."""
PAPERS: dict[str, dict[str, Any]] = {
    "ppgn_x": {**COMMON, **_EQ_11, **_PIXELS},
    "dgn_am": {**COMMON, **_DGN_AM},
    "dgn_am_released": {**COMMON, **_DGN_AM},
    "ppgn_h": {**COMMON, **_EQ_11, "prior": "denoiser"},
    "ppgn_h_released": {**COMMON, **_RELEASED, "prior": "denoiser"},  # the released rule, R(h) - h in the place of E(G(h)) - h
    "joint_ppgn_h": {**COMMON, **_EQ_11, "prior": "reconstruction", "generator": "joint_generator"},
    "joint_ppgn_h_released": {**COMMON, **_RELEASED, "prior": "reconstruction", "generator": "joint_generator"},
    "noiseless_joint_ppgn_h": {**COMMON, **_EQ_11, "prior": "reconstruction"},
    "noiseless_joint_ppgn_h_released": {**COMMON, **_RELEASED, "prior": "reconstruction"},
}
"""Method -> its changes of the bundle's recipe, by names on one level (section 1 says how the methods differ)."""
NAMED = {**PAPERS, **GUIDANCE, **PIONEERS}
"""All methods that a recipe can be named after."""
FALLBACKS = {"caption": ("caption", "plugged", "class"), "plugged": ("plugged", "class"), "class": ("class",)}
"""Kind of request -> the kinds whose stored recipe serves it, the first that a bundle has."""


def recipe_for(bundle: Bundle | str | Path, kind: str = "class", name: str | Recipe | None = None, **changes: Any) -> Recipe:
    """The bundle's recipe for a kind of request, changed by a method of the papers, then by `changes`.

    kind: "class" of the bundle; "caption" for its captioner; or "plugged", a unit, another network's class or any function.
    Their gradients differ in size, so the bundle may hold a recipe for each. name: of NAMED, or a whole recipe that takes the
    place of the bundle's. changes: settings by their names on one level (`Recipe.changed`); None leaves a setting as it is.
    Raises ValueError for an unknown name or setting, and for a setting that the chosen members do not have.
    """
    bundle = loaders.bundle(bundle)
    if kind not in FALLBACKS:
        raise ValueError(f"got a recipe for requests of kind {kind!r}, expected {', '.join(FALLBACKS)}: choose one of them")
    recipes, papers = (_parsed(bundle, stored) for stored in (bundle.recipes, bundle.papers))
    stored = [*_stored(recipes, kind), *_stored(papers, kind)]
    others = [*stored, *recipes.values(), *papers.values()]
    if isinstance(name, Recipe):
        return name.changed(others, **changes)
    base = stored[0] if stored else _default(bundle)
    if name is None:
        return base.changed(others, **changes)
    if not isinstance(name, str) or name not in NAMED:
        raise ValueError(f"unknown recipe {name!r}: choose {', '.join(NAMED)}")
    of_papers = _stored(papers, kind)
    base = of_papers[0] if of_papers else base
    return base.changed(of_papers, **NAMED[name]).changed(others, **changes)


def _default(bundle: Bundle) -> Recipe:
    """The recipe of a bundle that stores none: the released rule, with R(h) = E(G(h)) as the prior where there is an encoder."""
    bounds = StatisticsBounds() if _is_bounded(bundle) else FixedBounds() if bundle.code.relu else NoBounds()
    return Recipe(prior=NoPrior() if bundle.encoder is None else ReconstructionPrior(), bounds=bounds)


def _is_bounded(bundle: Bundle) -> bool:
    return bundle.code.low is not None and bundle.code.high is not None


def runnable(bundle: Bundle) -> tuple[str, ...]:
    """The names in PAPERS for which the bundle has all networks, and the bounds of its codes where they are those measured."""
    parts = {"joint_generator", "denoiser", "pixel_denoiser"}
    lacking = (parts - set(bundle.parts)) | ({"reconstruction"} if bundle.encoder is None else set())
    if not _is_bounded(bundle):
        lacking.add("statistics")
    return tuple(name for name, changes in PAPERS.items() if not lacking & set(changes.values()))


def _parsed(bundle: Bundle, stored: Mapping[str, Any]) -> dict[str, Recipe]:
    """Kind of request -> recipe. Raises ValueError, with the bundle's name, for one that is wrong."""
    try:
        return {kind: Recipe.from_json(one) for kind, one in stored.items()}
    except ValueError as fault:
        raise ValueError(f"a recipe of the bundle {bundle.name}: {fault}") from fault


def _stored(recipes: Mapping[str, Recipe], kind: str) -> list[Recipe]:
    return [recipes[one] for one in FALLBACKS[kind] if one in recipes][:1]
