"""A run of pixels that begins at given pictures, of whatever size they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ppgn import loaders, recipes, starts
from ppgn.recipes import Recipe
from ppgn.requests import Request
from ppgn.sampling import Begin, OnStep, Samples, run_batches
from ppgn.types import Image

NOISE = 0.1
"""Standard deviation of the pixels of a start without a picture."""


def run_from(
    pictures: Image, request: Request, recipe: Recipe, seeds: Sequence[int], batch: int | None = None, watch: OnStep | None = None
) -> Samples:
    """The samples of chains that begin at pictures `[chain, channel, height, width]` in [0, 1], one request each."""
    channels, height, width = pictures.shape[1:]
    bundle = loaders.bundle(f"pixels:{height}x{width}x{channels}", pictures.device)
    setup = recipes.prepare(bundle, recipe, request)
    at_once = recipes.batch_size(setup, request, len(seeds)) if batch is None else batch
    begin = Begin(lambda chains, seeds: pictures[chains[0] : chains[-1] + 1])  # no copy: chains run in their order
    return run_batches(setup, request, seeds, at_once, watch, begin)[0]


def chosen_recipe(name: str, recipe: Recipe | None, changes: Mapping[str, Any]) -> Recipe:
    """A pioneer's recipe, or another in its place, with changes by name. Raises ValueError as `Recipe.changed`."""
    return (Recipe().changed(**recipes.PIONEERS[name]) if recipe is None else recipe).changed(**changes)


def noise(
    seed: int,
    shape: Sequence[int],
    mean: float = 0.5,
    std: float = NOISE,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Image:
    """A picture `[1, channel, height, width]` of N(mean, std^2), clipped to [0, 1]: the start without a picture."""
    return starts.random_code([seed], shape, mean=mean, std=std, dtype=dtype, device=device).clamp(0, 1)
