"""The space of a search: settings of a recipe, their ranges, and the way from numbers to a recipe and back."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from ppgn import recipes
from ppgn.priors import NoPrior
from ppgn.recipes import Recipe
from ppgn.samplers import Linear, Scale
from ppgn.types import Evaluation

SEARCHED = {
    "langevin": ("prior_scale", "condition_scale", "noise_scale", "temperature"),
    "released": ("prior_scale", "step_size", "step_size_end", "temperature"),  # its condition_scale only sets ratios
    "ascent": ("prior_scale", "step_size", "step_size_end"),
    "adaptive": ("prior_scale", "step_size", "step_size_end", "noise_scale", "temperature"),  # it finds its condition_scale
}
"""Sampler -> the settings that are searched beside the steps. step_size_end is the end of step_size as a share of its start."""
END = "step_size_end"


MEANINGS = {
    "prior_scale": ("how much of the way to what the prior makes of the code a step goes", "share", "0.001 to all of the way"),
    "condition_scale": (
        "how far a step follows the gradient of the condition", "code units per unit of gradient",
        "a step along the gradient at realistic codes is 0.001 to 10 times the mean size of a realistic code; as much, as the "
        "gradient shrinks once the condition is met",
    ),
    "noise_scale": (
        "standard deviation of the noise of a step", "code units", "0.001 to 0.3 times the mean size of a realistic code",
    ),
    "step_size": ("size of the first step", "code units", "0.01 to 2 times the mean size of a realistic code"),
    END: ("size of the last step", "share of the first", "from a hundredth of the first step to all of it"),
    "temperature": ("of the softmax over classes", "no unit", "above 1 asks for more where the class is likely already"),
}  # fmt: skip
"""Setting -> what it is, its unit, and why its range (`ranges`) is what it is."""
OTHERWISE = {
    ("released", "prior_scale"): (
        "weight of the prior's direction", "no unit",
        "the prior's part of a step at realistic codes is 0.001 to 10 times the condition's part",
    ),
    ("adaptive", "step_size"): ("size of the first step", "standard deviations of the sampler", "0.01 to 2 of them"),
}  # fmt: skip
"""(sampler, setting) -> the same where it differs."""


def meaning(sampler: str, name: str) -> tuple[str, str, str]:
    """What a setting of a sampler is, its unit, and why its range is what it is."""
    return OTHERWISE.get((sampler, name), MEANINGS[name])


def searched(recipe: Recipe, kept: Collection[str], classes: bool) -> list[str]:
    """The settings of SEARCHED that change anything for this recipe and are not among `kept`, where step_size includes its end.

    classes: whether the request is for classes of the bundle, whose measure has a temperature. Left out are the scale of no
    prior and of no noise, and schedules that are functions. Raises ValueError for a sampler that is not in SEARCHED, and where
    nothing is left.
    """
    flat = recipe.flat()
    if flat["sampler"] not in SEARCHED:
        raise ValueError(f"got sampler {flat['sampler']!r}, expected one that can be tuned: choose {', '.join(SEARCHED)}")

    def counts(name: str) -> bool:
        value = flat.get("step_size" if name == END else name)
        if value is None or _is_function(value):
            return False
        if name == "temperature":
            return classes
        if name == "prior_scale":
            return not isinstance(recipe.prior, NoPrior)
        return not (name == "noise_scale" and value == 0)

    held = {*kept, END} if "step_size" in kept else set(kept)
    names = SEARCHED[flat["sampler"]]
    found = [name for name in names if name not in held and counts(name)]
    if not found:
        raise ValueError(f"nothing is left to search of {', '.join(names)}: do not set one of them")
    return found


def ranges(recipe: Recipe, evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """Setting -> (low, high), from the mean sizes of code |h|, prior |d| and condition |g| at realistic codes.

    evaluation: of realistic codes. Eq. 11's terms: e1 is 0.001 to 1 of the way to R(h); e2 |g| is 0.001 to 10 |h|, as g shrinks
    once the condition is met; e3 is 0.001 to 0.3 |h|. The released sampler: e1 |d| is 0.001 to 10 e2 |g|. A step is 0.01 to 2 |h|
    (or 0.01 to 2 in the adaptive sampler's standard deviations) and shrinks to 0.01 to 1 of it. So the ranges fit whatever the
    condition counts in. A size of 0 (a unit that no such picture excites) is taken as 1. Raises ValueError where the condition
    or a size is not finite.
    """
    sizes = [float(one.abs().mean()) or 1.0 for one in (evaluation.code, evaluation.direction, evaluation.gradient)]
    if not all(map(math.isfinite, (*sizes, float(evaluation.log_prob.sum())))):
        raise ValueError(
            "the condition, its gradient or the prior is infinite or NaN at realistic codes, expected finite numbers: correct "
            "the condition, or check its network's input range"
        )
    code, direction, gradient = sizes
    flat = recipe.flat()
    released, adaptive = flat["sampler"] == "released", flat["sampler"] == "adaptive"
    ratio = (_start(flat["condition_scale"]) or 1.0) * gradient / direction if released else 1.0
    return {
        "prior_scale": (1e-3 * ratio, (10 if released else 1) * ratio),
        "condition_scale": (1e-3 * code / gradient, 10 * code / gradient),
        "noise_scale": (1e-3 * code, 0.3 * code),
        "step_size": (0.01, 2.0) if adaptive else (0.01 * code, 2 * code),
        END: (0.01, 1.0),
        "temperature": (0.5, 20.0),
    }


def place(recipe: Recipe, names: Collection[str]) -> dict[str, float]:
    """The place of a recipe: its value of each of these settings, of a schedule the start."""
    flat = recipe.flat()
    return {name: _share(flat["step_size"]) if name == END else _start(flat[name]) for name in names}


def recipe_at(recipe: Recipe, where: Mapping[str, float]) -> Recipe:
    """The recipe with other values of some settings. The end of a schedule moves with its start, at the same share of it."""
    flat = recipe.flat()
    starts = {name: value for name, value in where.items() if name != END}
    changes: dict[str, Any] = {name: _moved(flat[name], value) for name, value in starts.items()}
    if END in where:
        schedule = flat["step_size"] if isinstance(flat["step_size"], Linear) else Linear(0.0, 0.0)
        start = starts.get("step_size", _start(flat["step_size"]))
        changes["step_size"] = replace(schedule, start=start, end=where[END] * start)
    return recipe.changed(**changes)


def first_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe whose run is the first steps of a run of this one: schedules over the whole run end where they are then."""
    if steps == recipe.steps:
        return recipe
    sampler = recipe.sampler
    scales = {one.name: getattr(sampler, one.name) for one in recipes.settings_of(sampler)}
    ended = {
        name: replace(scale, end=scale.start + (scale.end - scale.start) * steps / recipe.steps)
        for name, scale in scales.items()
        if isinstance(scale, Linear) and scale.steps is None
    }
    return replace(recipe, sampler=replace(sampler, **ended), steps=steps)


def _is_function(scale: Any) -> bool:
    return callable(scale) and not isinstance(scale, Linear)


def _start(scale: Scale) -> float:
    if isinstance(scale, Linear):
        return scale.start
    return scale(0) if callable(scale) else scale


def _share(scale: Scale) -> float:
    """The end of a schedule as a share of its start; 1 for a constant."""
    return scale.end / scale.start if isinstance(scale, Linear) and scale.start else 1.0


def _moved(scale: Scale, start: float) -> Scale:
    return replace(scale, start=start, end=_share(scale) * start) if isinstance(scale, Linear) else start
