"""Style transfer: the content of one picture in the style of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn import requests
from ppgn.conditions import And, FeatureMatch, GramMatch
from ppgn.images import as_picture, in_unit_range
from ppgn.methods.stages import chosen_recipe, noise, run_from
from ppgn.probe import Layer, Preprocessed, Probe
from ppgn.recipes import Recipe
from ppgn.sampling import OnStep, Samples
from ppgn.seeds import check_seeds
from ppgn.types import real, shown

STYLE_WEIGHT = 30.0
"""Of the style beside the content, both as shares of the squared size of what they match."""


def transfer_style(
    network: nn.Module | Preprocessed,
    content: Any,
    style: Any,
    *,
    content_layer: str,
    style_layers: Sequence[str],
    style_weight: float = STYLE_WEIGHT,
    from_noise: bool = False,
    seed: int = 0,
    recipe: Recipe | None = None,
    watch: OnStep | None = None,
    **changes: Any,
) -> Samples:
    """The picture x with the least |f(x) - f(content)|^2 / |f(content)|^2 + style_weight * mean over style_layers of
    |gram(x) - gram(style)|^2 / |gram(style)|^2: Gatys et al. 2016, "Image style transfer using convolutional neural networks".

    f: the values of content_layer; gram: Gram matrices of a layer's channels, per position (`conditions.gram`). Unlike in the
    paper each match is divided by the size of what it matches, so that the weight holds for any network. network: `Preprocessed`,
    or a module that takes images in [0, 1]; it sees pictures at their own size. content, style: `[channel, height, width]` in
    [0, 1], arrays or pictures of Pillow, of any size; the result has that of the content, from which the ascent begins, or from
    noise. changes: settings of the recipe "style_transfer", such as steps=500. Raises ValueError for what does not fit.
    """
    if not 0 <= real(style_weight) < torch.inf:
        raise ValueError(
            f"a style transfer got style_weight {shown(style_weight)}, expected a finite number of at least 0: correct it"
        )
    (seed,) = check_seeds([seed])
    pictures = [in_unit_range(as_picture(one, 3), "got a picture with") for one in (content, style)]
    seen = network.at_any_size() if isinstance(network, Preprocessed) else network
    matches = And(content_match(seen, content_layer, pictures[0]), style_match(seen, style_layers, pictures[1]),
                  weights=(1.0, style_weight))  # fmt: skip
    request = requests.function(matches, 1, {"condition": "content and style"})
    start = pictures[0][None]
    if from_noise:
        start = noise(seed, start.shape[1:], dtype=start.dtype, device=start.device)
    return run_from(start, request, chosen_recipe("style_transfer", recipe, changes), [seed], 1, watch)


def content_match(network: nn.Module | Preprocessed | Probe, layer: str, picture: Tensor) -> FeatureMatch:
    """-|f(image) - f(picture)|^2 / |f(picture)|^2 of a layer."""
    found = FeatureMatch.to_picture(Layer(network, layer), picture)
    return relative(found)


def relative(match: FeatureMatch) -> FeatureMatch:
    """The match with -|difference|^2 / |target|^2 as its value."""
    size = match.target.square().sum().clamp(min=torch.finfo(match.target.dtype).tiny)
    return FeatureMatch(match.features, match.target, float((size / 2).sqrt()))


def style_match(network: nn.Module | Preprocessed, layers: Sequence[str], picture: Tensor) -> GramMatch:
    """-mean over layers of |gram(image) - gram(picture)|^2 / |gram(picture)|^2."""
    found = GramMatch(Probe(network, layers), picture)
    for layer, gram in found.grams.items():
        size = float(gram.square().sum().clamp(min=torch.finfo(gram.dtype).tiny))
        found.weights[layer] = 8 * len(gram) ** 2 / (size * len(found.grams))  # undoes 1 / (4 channels^2) and the half
    return found
