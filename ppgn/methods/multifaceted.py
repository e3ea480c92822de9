"""Multifaceted feature visualisation: the kinds of pictures that excite a unit, one picture for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import images, requests
from ppgn.conditions import Logit
from ppgn.facets import NEAREST, Facets, facets
from ppgn.images import in_unit_range, resize
from ppgn.methods.stages import chosen_recipe, run_from
from ppgn.probe import Layer, Passes, Preprocessed
from ppgn.recipes import PIONEERS, Recipe
from ppgn.requests import Request
from ppgn.sampling import OnStep
from ppgn.seeds import check_seeds
from ppgn.types import Image, at_least_one

AT_ONCE = 32
"""Pictures that a network sees at once."""
ZOOM = 1.2
"""Of the picture between the first stage and the second."""
LATER_STAGES: tuple[dict[str, Any], ...] = (
    {"steps": 150, "step_size": 1 / 255, "denoise_weight": (0.01 * 255, 2 * 255)},
    {"steps": 20, "step_size": 2 / 255, "denoise_weight": (0.1 * 255, 2 * 255), "view_spread": 0.2},
    {"steps": 10, "step_size": 2 / 255, "denoise_weight": (0.4 * 255, 2 * 255)},
)
"""Changes of the recipe "mfv", whose constants are those of the first stage (act_max.tvd.mean.py); pixels from 0 to 255 there."""
MULTIFACETED_STEPS = PIONEERS["mfv"]["steps"] + sum(stage["steps"] for stage in LATER_STAGES)
"""Of all stages."""
MARGIN = 50 / 227
"""Border without a gradient in the third stage, as a share of the network's input."""


@dataclass(frozen=True, eq=False)
class Multifaceted:
    """A picture for each facet, the largest facet first: images `[facet, channel, height, width]`; starts, the mean pictures that
    they began at; activations `[facet]`; facets: which pictures are in which."""

    images: Image = field(repr=False)
    starts: Image = field(repr=False)
    activations: Tensor
    facets: Facets = field(repr=False)


def multifaceted(
    network: Preprocessed,
    unit: Request | str,
    pictures: Image | str | Path,
    *,
    features: str,
    clusters: int = 10,
    most: int | None = None,
    nearest: int = NEAREST,
    seed: int = 0,
    recipe: Recipe | None = None,
    watch: OnStep | None = None,
    **changes: Any,
) -> Multifaceted:
    """The facets of a unit (Nguyen et al. 2016, "Multifaceted feature visualization"), each from the mean of its pictures.

    Of the `most` pictures that excite the unit most (None: all) the values of the layer `features` are reduced by PCA and t-SNE
    and clustered by k-means (`facets.facets`); the mean of the `nearest` pictures at each centre goes through four stages
    (`in_four_stages`). unit: "layer:17" or any request of a single chain. pictures: `[picture, channel, height, width]` in
    [0, 1], or a folder, such as all pictures of a class. changes: settings of all stages. Raises ValueError for what does not
    fit.
    """
    request = requests.unit(network, unit) if isinstance(unit, str) else unit
    if len(request) != 1:
        raise ValueError(f"got {len(request)} units, expected one, whose facets are looked for: choose one")
    side = _side(network)
    seeds = check_seeds(range(seed, seed + at_least_one("clusters", clusters, "ask for one facet or more")))
    shown = (
        _pictures(pictures, side)
        if isinstance(pictures, str | Path)
        else resize(in_unit_range(pictures, "got pictures with"), side)
    )
    activations = measured(lambda some: request.select([0] * len(some)).condition(_no_passes())(some), shown)
    vectors = measured(Layer(network, features), shown)
    found = facets(activations, vectors, shown, clusters=clusters, most=most, nearest=nearest, seed=seed)
    made, last = in_four_stages(found.starts, request.each(clusters), side, seeds, recipe, watch, **changes)
    return Multifaceted(made, found.starts, last, found)


def in_four_stages(
    starts: Image,
    request: Request,
    side: int,
    seeds: Sequence[int],
    recipe: Recipe | None = None,
    watch: OnStep | None = None,
    **changes: Any,
) -> tuple[Image, Tensor]:
    """Pictures from starts `[chain, channel, side, side]` through the four stages, and the values of their conditions `[chain]`.

    After the first stage pictures are enlarged by ZOOM, and the network sees random crops of `side` pixels; the third stage draws
    in their middle alone. Total variation is denoised after each step. Gradients are divided by their mean size over the whole
    picture, where the released script divides by that over the crop.
    """
    first = chosen_recipe("mfv", recipe, {"view_side": side, **changes})
    samples = run_from(starts, request, first, seeds, None, watch)
    enlarged = round(ZOOM * side)
    pictures = resize(samples.images.clamp(0, 1), (enlarged, enlarged))
    for number, stage in enumerate(LATER_STAGES):
        margin = round(MARGIN * side) if number == 1 else 0
        later = first.changed(**{**stage, "view_margin": margin, **changes})
        samples = run_from(pictures, request, later, seeds, None, watch)
        pictures = samples.images.clamp(0, 1)
    return pictures, samples.log_prob


def measured(function: Callable[[Image], Tensor], pictures: Image) -> Tensor:
    """function(pictures), some at a time, without a graph."""
    with torch.no_grad():
        return torch.cat([function(some) for some in pictures.split(AT_ONCE)])


def _no_passes() -> Passes:
    """No networks of a bundle, and logits as the values of classes."""
    return Passes({}, measure=Logit())


def _side(network: Preprocessed) -> int:
    """The side of the network's input. Raises ValueError for one of any size or one that is no square."""
    size = network.size if isinstance(network.size, tuple) else (network.size, network.size)
    if size[0] is None or size[0] != size[1]:
        raise ValueError(f"multifaceted pictures got a network with input size {network.size}, expected a square: give its side")
    return size[0]


def _pictures(folder: str | Path, side: int) -> Image:
    """All pictures under a folder, as squares."""
    files = images.pictures_in(Path(folder), "that excite the unit")
    return torch.stack([images.load_image(file, side) for file in files])
