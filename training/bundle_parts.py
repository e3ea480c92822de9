"""The networks of a run as a bundle, in memory while they train and as a folder at the end; and the recipes it begins with."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ppgn.acceleration import folded, to_channels_last
from ppgn.bundle import Bundle, save_bundle
from ppgn.networks import RectifiedGaussian, RectifiedGaussianConfig
from ppgn.types import CodeSpace, ImageSpec
from training.checkpoints import freeze, read_network
from training.export import CHECKPOINT, code_statistics, whole_recipes
from training.noise_level import trained_noise_level
from training.picture_pack import PACK, read_facts
from training.stages import Plan

HIGHEST = 30.0
"""Least upper bound of the codes of chains, that of the released code; wider where real codes are larger."""
GENTLE = {"name": "linear", "start": 0.1, "end": 0.05}
RECIPES: dict[str, dict[str, Any]] = {
    "class": {
        "sampler": {"name": "adaptive", "prior_scale": 0.15, "step_size": GENTLE},
        "start": {"name": "guided", "guidance": 6.0, "temperature": 3.0},
        "measure": {"name": "log_softmax", "temperature": 4.0},
        "steps": 10,
        "precision": "auto",
    },
    "plugged": {
        "sampler": {
            "name": "released", "prior_scale": 0.001, "condition_scale": 1.0, "noise_scale": 0.0,
            "step_size": {"name": "linear", "start": 0.5, "end": 0.02},
        },
        "start": {"name": "noise_level"},
        "measure": {"name": "log_softmax", "temperature": 3.0},
        "steps": 50,
    },
}  # fmt: skip
"""Those of natural128: codes by the score model, guided by the head, then a few adaptive steps."""
PAPERS: dict[str, dict[str, Any]] = {
    "class": {
        "sampler": {"name": "langevin", "prior_scale": 0.15, "condition_scale": 50.0},
        "start": {"name": "codes"},
        "measure": {"name": "log_softmax", "temperature": 3.0},
        "steps": 50,
    }
}


def with_bounds(recipes: Mapping[str, Mapping[str, Any]], highest: float) -> dict[str, dict[str, Any]]:
    """Recipes whose chains may reach the largest real code."""
    bounds = {"name": "fixed", "low": 0.0, "high": max(HIGHEST, float(math.ceil(highest)))}
    return whole_recipes({kind: {**recipe, "bounds": bounds} for kind, recipe in recipes.items()})


def gathered(plan: Plan, generator: Any = None) -> Bundle:
    """The bundle of a run in memory. generator: one that trains, of which a copy is taken; by default that of the checkpoint."""
    codes = plan.all_codes()["train"]
    made = read_network(plan.run / "generator" / CHECKPOINT, "generator") if generator is None else copy.deepcopy(generator).cpu()
    level = plan.run / "noise_level" / CHECKPOINT
    parts = {
        "encoder": read_network(plan.encoder, "encoder"),
        "generator": freeze(made.float()),
        "noise_level": trained_noise_level(level, 1000) if generator is None else read_network(level, "noise_level"),
        "denoiser": read_network(plan.run / "denoiser" / CHECKPOINT, "denoiser"),
        "start": freeze(RectifiedGaussian(RectifiedGaussianConfig(codes.shape[1])).fit(codes)),
    }
    after = codes.relu()
    mean, std = after.mean(0), after.std(0)
    space = CodeSpace((codes.shape[1],), low=0.0, high=mean + 3 * std, mean=mean, std=std, relu=True)
    highest = float(after.max())
    classes = read_facts(plan.run / PACK).classes
    recipes, papers = with_bounds(RECIPES, highest), with_bounds(PAPERS, highest)
    return Bundle(plan.run.name, parts, space, ImageSpec(*plan.size), classes, recipes, papers)


def ready(bundle: Bundle) -> Bundle:
    """A copy of the bundle with its BatchNorms folded, as one that was loaded."""
    parts = {name: to_channels_last(folded(copy.deepcopy(part))) for name, part in bundle.parts.items()}
    return Bundle(bundle.name, parts, bundle.code, bundle.image, bundle.classes, bundle.recipes, bundle.papers)


def write(plan: Plan, bundle: Bundle, out: Path, about: Mapping[str, Any]) -> Path:
    """Writes a gathered bundle. about: name, licence, source, data, training and scores, as in `save_bundle`."""
    codes = plan.all_codes()["train"].relu()
    with torch.no_grad():
        return save_bundle(
            out, parts=bundle.parts, code=code_statistics(codes), image=bundle.image, classes=bundle.classes,
            recipes=bundle.recipes, papers=bundle.papers, **about,
        )  # fmt: skip
