"""Codes of the first generation: of real pictures, or drawn from what the bundle knows of codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ppgn import images, recipes
from ppgn.bundle import Bundle
from ppgn.evolution import spread_of
from ppgn.seeds import Stream, normal
from ppgn.starts import GaussianCodes, NoiseLevelCodes, from_image
from ppgn.types import Code

AT_ONCE = 50
"""Pictures that a network sees or makes at once."""
MODELS = {"noise_level": NoiseLevelCodes(), "start": GaussianCodes()}
"""Part of a bundle that models its codes -> the draws of it, the better one first."""


def first_codes(bundle: Bundle, seeds: Sequence[int], population: int, codes: Code | None = None) -> Code:
    """`[unit, population, *code]`: the given codes `[picture, *code]`, over and over, or draws. Raises ValueError for other
    shapes."""
    if codes is not None:
        if len(codes) < 1 or tuple(codes.shape[1:]) != bundle.code.shape:
            raise ValueError(
                f"got first codes of shape {list(codes.shape)}, expected [picture, {', '.join(map(str, bundle.code.shape))}]: "
                f"take codes of {bundle.name}"
            )
        rows = (torch.arange(population)[None] * len(seeds) + torch.arange(len(seeds))[:, None]) % len(codes)
        return codes[rows]  # neighbours in the list go to different units
    model = next((start for name, start in MODELS.items() if name in bundle.parts), None)
    if model is not None:
        setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"))
        return torch.stack(list(model.draw(seeds, range(population), bundle.code, setup.passes())), 1)
    noise = normal(seeds, 0, (population, *bundle.code.shape), stream=Stream.START, device=bundle.device)
    return bundle.code.clip(torch.as_tensor(bundle.code.mean) + spread_of(bundle.code, noise) * noise)


def codes_of_pictures(bundle: Bundle, folder: str | Path, most: int) -> Code:
    """Codes `[picture, *code]` of up to `most` pictures in a folder and its folders, spread evenly over their sorted names.

    Raises ValueError for a bundle without an encoder, a folder without pictures, and a picture that cannot be read.
    """
    if bundle.encoder is None:
        raise ValueError(f"{bundle.name} has no encoder, expected one to take codes of pictures: leave the pictures out")
    files = images.pictures_in(Path(folder), "for the first generation")
    chosen = [files[index] for index in images.spread(len(files), most)]
    parts = []
    for first in range(0, len(chosen), AT_ONCE):
        shown = [images.load_image(file, bundle.image.size, bundle.image.channels) for file in chosen[first : first + AT_ONCE]]
        parts.append(from_image(bundle.encoder, torch.stack(shown).to(bundle.device)))
    return torch.cat(parts)
