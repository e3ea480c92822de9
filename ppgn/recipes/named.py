"""The methods of the papers as changes of settings. Sections are those of the facts about the released systems.

A NAME alone is the form of the paper: Eq. 11 with the true gradient. Its scales (prior_scale, condition_scale, noise_scale,
temperature), its steps and its start are the bundle's own ("papers" in its recipe, where the bundle's default goes past them),
because no epsilons of the papers are among the facts; ppgn_x, whose code is pixels, has scales of its own. A NAME_released is
the rule of the released code with its constants to the letter.
DGN-AM has one form, that of its code, under both names. No PPGN-x was released.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ppgn.bundle import Bundle
from ppgn.recipes.captions import is_own_caption
from ppgn.recipes.precision import resolved
from ppgn.recipes.settings import Settings

_EQ_11: dict[str, Any] = {"sampler": "langevin", "gradient": "log_softmax", "generator": "generator", "condition_limit": 0.0}
_RELEASED: dict[str, Any] = {
    "sampler": "released",  # section 2, items 1 and 6
    "gradient": "released",  # section 2: the target's own entry only
    "temperature": 1.0,  # section 2: softmax over the logits as they are
    "generator": "generator",
    "prior_scale": 1e-5,  # section 2, example 1: e1
    "condition_scale": 1.0,  # e2
    "noise_scale": 1e-17,  # e3
    "step_size": 1.0,
    "step_size_end": 1.0,
    "start": "unclipped",  # section 2: N(0, 1), negative entries included
    "draws": 1,
    "start_mean": 0.0,
    "start_std": 1.0,
    "bounds": "fixed",
    "code_low": 0.0,  # section 2, item 7
    "code_high": 30.0,
    "reset_every": 0,
    "steps": 201,  # section 2, item 9: 200 * 1 + 1 updates
}
_DGN_AM: dict[str, Any] = {
    "sampler": "ascent",  # all of it: section 3
    "generator": "generator",
    "prior": "none",
    "gradient": "logit",  # the raw activation
    "temperature": 1.0,
    "step_size": 8.0,
    "step_size_end": 1e-10,
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
    "code_low": 0.0,  # pixels
    "code_high": 1.0,
    "start": "normal",
    "draws": 1,
    "start_mean": 0.5,  # our choice, no start is published: grey, with noise that fills the range
    "start_std": 0.25,
    "prior_scale": 0.1,  # our choices too, on imagenette64: the chain finds the class and the picture stays smooth
    "condition_scale": 0.3,
    "noise_scale": 0.02,
    "steps": 100,
}

PLAIN = {"tries": 1, "precision": "float32"}
"""What is the same in all of them, whatever a bundle does for the sake of its own samples."""
NAMED: dict[str, dict[str, Any]] = {
    "ppgn_x": {**_EQ_11, **_PIXELS},
    "dgn_am": _DGN_AM,
    "dgn_am_released": _DGN_AM,
    "ppgn_h": {**_EQ_11, "prior": "denoiser"},
    "ppgn_h_released": {**_RELEASED, "prior": "denoiser"},  # the released rule, R(h) - h in the place of E(G(h)) - h
    "joint_ppgn_h": {**_EQ_11, "prior": "reconstruction", "generator": "joint_generator"},
    "joint_ppgn_h_released": {**_RELEASED, "prior": "reconstruction", "generator": "joint_generator"},
    "noiseless_joint_ppgn_h": {**_EQ_11, "prior": "reconstruction"},
    "noiseless_joint_ppgn_h_released": {**_RELEASED, "prior": "reconstruction"},
}
"""What each named method changes of the bundle's own settings (section 1 says what differs between the methods)."""


def kind_of(bundle: Bundle, *conditions: Any) -> str:
    """What conditions, or names and numbers of classes, are to the bundle: "class", "caption" (all of its own captioner) or
    "plugged"."""
    plugged = [one for one in conditions if callable(one)]
    captions = [one for one in plugged if is_own_caption(one, bundle)]
    return "class" if not plugged else "caption" if len(captions) == len(conditions) else "plugged"


def settings_for(bundle: Bundle, recipe: str | None = None, *, kind: str = "class", **changes: Any) -> Settings:
    """The bundle's own settings, changed by those of the recipe (a name in NAMED), changed by `changes`.

    kind: what is asked for (`kind_of`), a "class" of the bundle; a "caption" for its captioner; or "plugged", a unit, another
    network's class or any function. The gradients have sizes of their own: the bundle may hold settings for each. A change
    that is None is left out, and the precision "auto" is resolved. Raises ValueError for an unknown recipe or setting, and for a
    scale that the bundle's own sampler does not use.
    """
    known = {field.name for field in dataclasses.fields(Settings)}
    stored = bundle.info.get("recipe", {})
    own = dict(stored.get("settings", {}))
    own |= stored.get("papers", {}) if recipe is not None else {}
    own |= {} if kind == "class" else stored.get(kind) or stored.get("plugged", {})
    unknown = (set(own) | set(changes)) - known
    if unknown:
        raise ValueError(f"unknown settings {', '.join(sorted(unknown))}: choose from {', '.join(sorted(known))}")
    if recipe is not None and recipe not in NAMED:
        raise ValueError(f"unknown recipe {recipe!r}: choose {', '.join(NAMED)}")
    given = {key: value for key, value in changes.items() if value is not None}
    named = {**PLAIN, **NAMED[recipe]} if recipe is not None else {}
    unused = [name for name in ("condition_scale", "condition_limit") if name in given]
    if unused and "sampler" not in given and {**own, **named}.get("sampler") == "adaptive":
        raise ValueError(
            f"got {unused[0]} {given[unused[0]]:g}, which {bundle.name}'s own sampler, adaptive, does not use, as it finds its "
            f"scale: change step_size, or choose sampler langevin"
        )
    return resolved(bundle, Settings(**{**own, **named, **given}))
