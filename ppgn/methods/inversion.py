"""Inversion: pictures with the features of a given one, layer by layer, by optimisation and by a generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import FeatureMatch
from ppgn.images import as_picture, in_unit_range
from ppgn.methods.stages import chosen_recipe, noise, run_from
from ppgn.methods.style import relative
from ppgn.priors import HandMade
from ppgn.probe import Layer, Preprocessed
from ppgn.recipes import Recipe
from ppgn.sampling import Begin, OnStep, picture_code, run_batches
from ppgn.seeds import check_seeds
from ppgn.types import Image, LogProb

INVERSIONS = ("optimisation", "generator")
CODE = "fc6"
"""The layer of a bundle's encoder that its codes are."""
VARIATION = (3.0, 50.0)
"""Weight of total variation, a mean over pixels, beside the match: of the first layer and of the last, evenly spaced between them
on a logarithmic scale. The paper's is 1, 10 or 100 by depth (section 3.3)."""
NORM = 0.05
"""Weight of the norm, a mean over pixels."""
BY_GENERATOR: dict[str, Any] = {
    "sampler": "adam", "prior": "none", "step_size": (0.1, 0.005), "prior_scale": 0.0, "nesterov": False, "steps": 200,
    "draws": 1, "tries": 1, "precision": "float32",
}  # fmt: skip
"""Changes of a bundle's recipe for the search of codes."""


@dataclass(frozen=True, eq=False)
class Inverted:
    """The inversions of a picture. Rows are (layer, method), methods "optimisation" and "generator".

    images: `[row, channel, height, width]`. feature_error: |f(image) - f(picture)|^2 / |f(picture)|^2 of each row's layer;
    pixel_error: root mean square of the difference of pixels.
    """

    picture: Tensor = field(repr=False)
    rows: tuple[tuple[str, str], ...]
    images: Image = field(repr=False)
    feature_error: tuple[float, ...]
    pixel_error: tuple[float, ...]


def invert(
    bundle: Bundle | str | Path,
    picture: Any,
    layers: str | Sequence[str] | None = None,
    *,
    network: Preprocessed | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
    watch: OnStep | None = None,
    **changes: Any,
) -> Inverted:
    """Inverts layers of a network at a picture by two methods, side by side.

    Optimisation (Mahendran & Vedaldi 2015): the pixels x with the least |f(x) - f(picture)|^2 / |f(picture)|^2 + variation * mean
    squared differences of neighbours + NORM * mean |2x - 1|^6, variation a weight that grows with depth (VARIATION). Generator
    (Dosovitskiy & Brox 2016): for the codes that the bundle has, one pass G(E(picture)), as its generator was trained to invert
    E; for any other layer the code h from E(picture) on with the least |f(G(h)) - f(picture)|^2, as no generator was trained for
    that layer. layers: by default fc6, pool5 and three layers in the middle of the bundle's encoder (`usual_layers`); of
    `network` where there is one. picture: `[channel, height, width]` in [0, 1] of the bundle's size. changes: settings of the
    recipe "inversion". Raises ValueError for what does not fit.
    """
    bundle = loaders.bundle(bundle)
    (seed,) = check_seeds([seed])
    shown = in_unit_range(as_picture(picture, bundle.image.channels), "got a picture with").to(bundle.device)
    named = (layers,) if isinstance(layers, str) else layers or ()
    wanted = usual_layers(bundle) if layers is None and network is None else tuple(dict.fromkeys(named))
    if not wanted:
        raise ValueError("an inversion got no layer of the network, expected one or more: name them")
    code = picture_code(bundle, shown, recipes.recipe_for(bundle, "plugged"))
    chosen = chosen_recipe("inversion", recipe, changes)
    rows, made, errors = [], [], []
    weights = torch.logspace(math.log10(VARIATION[0]), math.log10(VARIATION[1]), len(wanted)).tolist()
    looked_at: Any = bundle.encoder if network is None else network
    for layer, variation in zip(wanted, weights, strict=True):
        is_code = network is None and layer == CODE
        features: Callable[[Image], Tensor] = looked_at if is_code else Layer(looked_at, layer)
        match = relative(FeatureMatch.to_picture(features, shown))
        by = {"optimisation": _optimised(match, shown, variation, seed, chosen, watch)}
        by["generator"] = bundle.generator(code).detach() if is_code else _searched(match, bundle, code, seed, watch)
        for method, image in by.items():
            image = image.clamp(0, 1)
            rows.append((layer, method))
            made.append(image[0])
            with torch.no_grad():
                errors.append((-float(match(image)), float((image[0] - shown).square().mean().sqrt())))
    return Inverted(shown, tuple(rows), torch.stack(made), *(tuple(column) for column in zip(*errors, strict=True)))


def usual_layers(bundle: Bundle) -> tuple[str, ...]:
    """The layers of the bundle's encoder that are inverted by default: its depths, pool5 and fc6."""
    config = getattr(bundle.encoder, "config", None)
    depths = [f"trunk.{name}" for name in getattr(config, "depths", ())]
    if not depths:
        raise ValueError(
            f"the bundle {bundle.name} does not say which layers its encoder has, expected names of layers: list some"
        )
    last = [name for name, _ in bundle.encoder.trunk.named_children()][-1]  # pyright: ignore[reportOptionalMemberAccess]
    return (*depths, f"trunk.{last}", CODE)


def _optimised(match: FeatureMatch, picture: Tensor, weight: float, seed: int, recipe: Recipe, watch: OnStep | None) -> Image:
    """The pixels whose features match, from noise on."""
    pixels = picture.numel()
    variation, norm = HandMade(1.0, 2.0, 0.0), HandMade(0.0, norm_weight=1.0)

    def worth(image: Image) -> LogProb:
        energy = weight * variation.energy(image) + NORM * 2**norm.norm_power * norm.energy(image)
        return match(image) - energy / pixels

    begin = noise(seed, picture.shape, recipe.start.mean, recipe.start.std, picture.dtype, picture.device)
    request = requests.function(worth, 1, {"condition": "inversion"})
    return run_from(begin, request, recipe, [seed], 1, watch).images


def _searched(match: FeatureMatch, bundle: Bundle, code: Tensor, seed: int, watch: OnStep | None) -> Image:
    """G of the code whose features match, from E(picture) on."""
    request = requests.function(match, 1, {"condition": "inversion"})
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", **BY_GENERATOR), request)
    return run_batches(setup, request, [seed], 1, watch, Begin(lambda chains, seeds: code))[0].images
