"""Chains that begin at a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders, recipes, requests, starts
from ppgn.bundle import Bundle
from ppgn.images import as_picture, in_unit_range
from ppgn.recipes import Recipe, Setup
from ppgn.sampling.batches import Begin, run_batches
from ppgn.sampling.samples import OnStep, Samples, refuse_retries, seeds_of
from ppgn.seeds import Stream, normal
from ppgn.types import Code, Encoder


def from_picture(
    bundle: Bundle | str | Path,
    picture: Any,
    wanted: Any,
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: OnStep | None = None,
    recipe: str | Recipe | None = None,
    **changes: Any,
) -> Samples:
    """`count` chains from the code of one picture `[channel, height, width]` in [0, 1], a tensor, a floating-point array
    or a picture of Pillow; otherwise as `sample`.

    count: 1, or as many as are listed; without noise only chains of different targets differ. The released example takes 200
    steps of 0.5, DGN-AM 30 of 1. Raises ValueError for a picture of another size than the bundle's, or outside [0, 1].
    """
    refuse_retries(changes, "a chain from a picture")
    bundle = loaders.bundle(bundle)
    request = requests.of(bundle, wanted, count, default=1)
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, request.kind, recipe, **changes), request)
    start = picture_code(bundle, picture, setup.recipe)
    begin = Begin(lambda chains, seeds: repeated(start, seeds))
    return run_batches(setup, request, seeds_of(seed, len(request)), batch, watch, begin)[0]


def picture_code(bundle: Bundle, picture: Any, recipe: Recipe) -> Code:
    """The code `[1, *code]` of a picture, which is the picture itself where pixels are the code.

    Raises ValueError for a picture that does not fit the bundle, and for a bundle without an encoder.
    """
    return starts.from_image(encoder_of(bundle, recipe), checked_picture(bundle, picture)[None])


def repeated(code: Code, seeds: Sequence[int]) -> Code:
    """One code `[1, *code]` for every chain, `[len(seeds), *code]`."""
    return code.expand(len(seeds), *code.shape[1:])


def encoder_of(bundle: Bundle, recipe: Recipe) -> Encoder:
    """Picture -> the code that chains of the recipe move: the bundle's encoder (ValueError without one), or the identity."""
    if recipe.codes == "pixels":
        return lambda image: image
    if bundle.encoder is None:
        raise ValueError(f"{bundle.name} has no encoder, expected one to begin at a picture: use a bundle that has it")
    return bundle.encoder


def checked_picture(bundle: Bundle, picture: Any) -> Tensor:
    """The picture on the bundle's device. Raises ValueError for another shape than that of its images, and outside [0, 1]."""
    picture, shape = as_picture(picture, bundle.image.channels), bundle.image.shape
    if tuple(picture.shape) != shape:
        raise ValueError(
            f"got a picture of shape {tuple(picture.shape)}, expected [channel, height, width] = {list(shape)} for bundle "
            f"{bundle.name}: load it with images.load_image, or resize it"
        )
    return in_unit_range(picture, "got a picture with").to(bundle.device)


def noised(setup: Setup, code: Code, seeds: Sequence[int], start_noise: float) -> Code:
    """code + N(0, (start_noise * std of each unit)^2), clipped to the recipe's bounds; the code itself for start_noise 0."""
    if start_noise == 0:
        return code
    std = setup.space.std
    spread = 1.0 if std is None else torch.as_tensor(std).to(code)
    noise = normal(seeds, 0, code.shape[1:], stream=Stream.START, dtype=code.dtype, device=code.device)
    return setup.space.clip(code + start_noise * spread * noise)
