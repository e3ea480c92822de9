"""The methods of benchmarks/story.py: what each is called, when it was published, and how it draws. A new method is a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lite
import torch
from torch import Tensor

import ppgn
from ppgn import illumination, methods
from ppgn.probe import Probe

SIZE = 224
"""Side of pictures without a learned generator: that of Lite0's input."""
BUNDLE = "natural128"


@dataclass(frozen=True)
class Method:
    """A method of the story.

    year: of publication. draw: (unit of Lite0, "classifier:497" say; a seed for each picture) -> pictures `[picture, 3, height,
    width]` in [0, 1]. settings: what makes them besides; kept pictures of others are not used. needs_pictures: whether `draw`
    also takes a folder of real pictures that excite the unit.
    """

    year: int
    draw: Callable[..., Tensor]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs_pictures: bool = False


def by_recipe(
    year: int, recipe: str | None, bundle: str = f"pixels:{SIZE}", measure: str = "activation", **changes: Any
) -> Method:
    """A method that is a recipe by name (None: the bundle's own), with some settings changed. measure: of Lite0's classes; of its
    hidden units it is the activation."""
    settings = ppgn.recipes.recipe_for(bundle, "plugged", recipe, **changes)

    def draw(unit: str, seeds: Sequence[int]) -> Tensor:
        climbed = measure if unit.startswith("classifier") else "activation"
        request = ppgn.unit(lite.lite0(), unit, measure=climbed).select([0] * len(seeds))
        return ppgn.sample(bundle, request, seed=list(seeds), recipe=settings).images

    return Method(year, draw, {"bundle": bundle, "climbed": measure, **settings.to_json()})


def dreamt(unit: str, seeds: Sequence[int]) -> Tensor:
    """DeepDream of noise, in octaves."""
    made = [methods.dream(lite.lite0(), unit, size=SIZE, seed=seed, **DREAM).picture for seed in seeds]
    return torch.stack(made)


def evolved(unit: str, seeds: Sequence[int]) -> Tensor:
    """CPPNs that are evolved for a unit, which needs no gradient: the fooling images of 2015."""
    layer, _, number = unit.rpartition(":")
    probe = Probe(lite.lite0(), [layer])

    def network(image: Tensor) -> Tensor:
        value = probe(image)[layer]
        if value.ndim == 2:
            return value
        reached = value[:, int(number)].mean((1, 2))
        return torch.stack([reached, torch.zeros_like(reached)], 1)  # its softmax grows with the unit

    target = [int(number)] if layer == "classifier" else [0]
    encoding = illumination.Cppn(SIZE, 3)
    return torch.cat([illumination.illuminate(network, encoding, classes=target, seed=seed, **EVOLUTION).images()
                      for seed in seeds])  # fmt: skip


def faceted(unit: str, seeds: Sequence[int], folder: Path) -> Tensor:
    """As many facets of a unit as there are seeds, from the pictures in a folder."""
    options = {"features": "conv_head", "clusters": len(seeds), "most": 100, "seed": seeds[0]}
    return methods.multifaceted(lite.lite0(), unit, folder, **options).images


DREAM: dict[str, Any] = {"octaves": 4, "steps": 51}
EVOLUTION: dict[str, Any] = {"generations": 25, "population": 20}
METHODS: dict[str, Method] = {
    "erhan_2009": by_recipe(2009, "erhan_2009"),
    "simonyan_2013": by_recipe(2013, "simonyan_2013"),
    "yosinski_2015": by_recipe(2015, "yosinski_2015"),
    "mahendran_2015": by_recipe(2015, "mahendran_2015"),
    "deepdream": Method(2015, dreamt, DREAM),
    "cppn": Method(2015, evolved, EVOLUTION),
    "mfv": Method(2016, faceted, {"most": 100}, needs_pictures=True),
    "dgn_am": by_recipe(2016, "dgn_am", BUNDLE),
    "ppgn": by_recipe(2017, None, BUNDLE, "log_softmax"),
    "lucid": by_recipe(2017, "lucid", steps=256),
    "maco": by_recipe(2023, "maco", steps=64),
}
"""Name -> method, in the order of the figure."""
