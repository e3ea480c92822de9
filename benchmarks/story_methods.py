"""The methods of benchmarks/story.py: what each is called, when it was published, and how it draws. A new method is a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lite
from torch import Tensor

import ppgn

SIZE = 224
"""Side of pictures without a learned generator: that of Lite0's input."""
BUNDLE = "natural128"

Draw = Callable[[str, Sequence[int]], Tensor]
"""(unit of Lite0, "classifier:497" say; a seed for each picture) -> pictures `[picture, 3, height, width]` in [0, 1]."""


@dataclass(frozen=True)
class Method:
    """year: of publication. draw: makes the pictures. settings: what makes them besides; kept pictures of others are not used."""

    year: int
    draw: Draw
    settings: Mapping[str, Any] = field(default_factory=dict)


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


METHODS: dict[str, Method] = {
    "erhan_2009": by_recipe(2009, "erhan_2009"),
    "simonyan_2013": by_recipe(2013, "simonyan_2013"),
    "yosinski_2015": by_recipe(2015, "yosinski_2015"),
    "mahendran_2015": by_recipe(2015, "mahendran_2015"),
    "dgn_am": by_recipe(2016, "dgn_am", BUNDLE),
    "ppgn": by_recipe(2017, None, BUNDLE, "log_softmax"),
    "lucid": by_recipe(2017, "lucid", steps=256),
    "maco": by_recipe(2023, "maco", steps=64),
}
"""Name -> method, in the order of the figure."""
