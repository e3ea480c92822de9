"""DeepDream: what a layer sees in a picture, amplified at several scales."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ppgn import requests
from ppgn.conditions import Amplified, Tiled
from ppgn.images import as_picture, at_most, height_and_width, in_unit_range, resize
from ppgn.methods.stages import chosen_recipe, noise, run_from
from ppgn.probe import Preprocessed
from ppgn.recipes import Recipe
from ppgn.sampling import OnStep, Samples
from ppgn.seeds import check_seeds
from ppgn.types import at_least_one, real, shown

SMALLEST_SIDE = 32
"""Pixels of the smallest octave: layers of convolutions see less than that in nothing."""


@dataclass(frozen=True, eq=False)
class Dreamt:
    """A dream: picture `[channel, height, width]` in [0, 1], and the sizes (height, width) of its octaves, smallest first."""

    picture: Tensor = field(repr=False)
    octaves: tuple[tuple[int, int], ...]
    recipe: Recipe = field(repr=False)
    samples: Samples = field(repr=False)


def dream(
    network: nn.Module | Preprocessed,
    layer: str,
    picture: Any = None,
    *,
    guide: Any = None,
    size: int | tuple[int, int] = 512,
    octaves: int = 4,
    octave_scale: float = 1.4,
    tile: int = 512,
    seed: int = 0,
    recipe: Recipe | None = None,
    watch: OnStep | None = None,
    **changes: Any,
) -> Dreamt:
    """Amplifies what a layer sees in a picture, octave by octave (Mordvintsev et al. 2015, dream.ipynb).

    The picture is shrunk by octave_scale octaves - 1 times. At each size, smallest first, gradient ascent makes detail, which is
    enlarged and added to the picture of the next size. network: `Preprocessed`, or a module that takes images in [0, 1]; it sees
    pictures at their own size, in tiles of `tile` pixels where they are larger (`conditions.Tiled`), so memory holds a graph of
    one tile. layer: "block4", or channels of it, "block4:3,8" (`conditions.Amplified`). picture: `[channel, height, width]` in
    [0, 1], an array or a picture of Pillow; None is noise of `size`. guide: another picture, whose features of the layer are
    amplified. changes: settings of the recipe "deepdream", such as steps=20, step_size=0.01. Raises ValueError for what does
    not fit.
    """
    (seed,) = check_seeds([seed])
    if picture is None:
        start = noise(seed, (3, *height_and_width(size, "a dream")))[0]
    else:
        start = in_unit_range(as_picture(picture, 3), "got a picture with")
    sizes = octave_sizes((start.shape[-2], start.shape[-1]), octaves, octave_scale)
    seeds = check_seeds(range(seed, seed + len(sizes)))
    if at_least_one("tile", tile, "give pixels") < SMALLEST_SIDE:
        raise ValueError(
            f"a dream got tile {tile}, expected at least {SMALLEST_SIDE} pixels: layers see less than that in nothing"
        )
    seen = network.at_any_size() if isinstance(network, Preprocessed) else network
    shown_guide = None if guide is None else at_most(in_unit_range(as_picture(guide, 3), "got a guide with"), tile).to(start)
    condition = Tiled(Amplified(seen, layer, shown_guide), tile)
    request = requests.function(condition, 1, {"condition": f"deepdream {layer}"})
    chosen = chosen_recipe("deepdream", recipe, changes)
    detail: Tensor | None = None
    for octave_seed, octave in zip(seeds, sizes, strict=True):
        base = resize(start[None], octave)
        begin = base if detail is None else (base + resize(detail, octave)).clamp(0, 1)
        samples = run_from(begin, request, _with_jitter(chosen, min(octave)), [octave_seed], 1, watch)
        detail = samples.images - base
    return Dreamt(samples.images[0], sizes, chosen, samples)


def octave_sizes(size: tuple[int, int], octaves: int, octave_scale: float) -> tuple[tuple[int, int], ...]:
    """(height, width) of each octave, smallest first; those with a side below SMALLEST_SIDE are left out."""
    octaves = at_least_one("octaves", octaves, "1 is the picture at its own size")
    if not 1 < real(octave_scale) < math.inf:
        raise ValueError(f"a dream got octave_scale {shown(octave_scale)}, expected more than 1: 1.4 is that of the notebook")
    found = [size]
    while len(found) < octaves:
        height, width = (round(side / octave_scale ** len(found)) for side in size)
        if min(height, width) < SMALLEST_SIDE:
            break
        found.append((height, width))
    return tuple(reversed(found))


def _with_jitter(recipe: Recipe, side: int) -> Recipe:
    """The recipe with a jitter of at most an eighth of a side, as the view shows grey beyond the picture."""
    jitter = getattr(recipe.view, "jitter", 0)
    return recipe.changed(view_jitter=side // 8) if jitter > side // 8 else recipe
