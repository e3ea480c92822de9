"""The two limits of a search, in the features of the bundle's encoder: how far codes are from what the generator knows, and how
unlike each other their pictures are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ppgn import recipes, starts
from ppgn.autocast import without_autocast
from ppgn.recipes import Setup
from ppgn.types import Code

REFERENCES = 32
"""Realistic codes with which gaps and diversity are compared."""


@without_autocast()
@torch.no_grad()
def reference(setup: Setup) -> tuple[float, float]:
    """(mean gap, diversity) of REFERENCES realistic codes, whatever their pictures show. Neither is 0, as both divide."""
    code = realistic_codes(setup, range(REFERENCES))
    seen = setup.bundle.encoder(recipes.objective(setup).generator(code))
    gap = float(gaps(setup, code, seen).mean())
    return max(gap, 1e-12), max(diversity(seen, [range(REFERENCES)]), 1e-12)


@without_autocast()
@torch.no_grad()
def realistic_codes(setup: Setup, seeds: Sequence[int]) -> Code:
    """Codes that are distributed as those of real pictures, `[chain, *code]`; where the chain moves pixels, their pictures.

    They come from the bundle's score model of codes, else from its Gaussian "start", else from N(mean, std^2) of its code space,
    which is clipped from below at the lowest code.
    """
    bundle, space = setup.bundle, setup.bundle.code
    models = [bundle.parts[name] for name in ("noise_level", "start") if name in bundle.parts]
    if models:
        code = starts.drawn_code(seeds, space.shape, models[0], bundle.device)
    else:
        low = 0.0 if space.relu else space.low
        std = 1.0 if space.std is None else space.std
        code = starts.random_code(seeds, space.shape, mean=space.mean, std=std, low=low, device=bundle.device)
    return bundle.generator(code) if setup.recipe.codes == "pixels" else code


@torch.no_grad()
def gaps(setup: Setup, code: Code, seen: Code) -> Tensor:
    """|E(G(h)) - h| of each chain, the root mean square over units in code units: `[chain]`.

    code: h, of which the generator sees the part above 0 where it stands before a ReLU. seen: E(G(h)). Where the chain moves
    pixels x, h is E(x).
    """
    if setup.recipe.codes == "pixels":
        encoder, generator = setup.bundle.encoder, setup.bundle.generator
        difference = encoder(generator(seen)) - seen
    else:
        difference = seen - (code.relu() if setup.recipe.codes == "before_relu" and setup.bundle.code.relu else code)
    return difference.flatten(1).square().mean(1).sqrt()


def diversity(seen: Code, kinds: Sequence[Sequence[int]]) -> float:
    """Mean over kinds of the mean 1 - cos(E(x), E(x')) of two different chains of the kind.

    seen: E(x), `[chain, *code]`. kinds: lists of at least two chains each. For n unit vectors u the mean over pairs is
    (n - |sum u|^2 / n) / (n - 1).
    """
    unit = functional.normalize(seen.flatten(1).double(), dim=1)
    found = [(len(own) - float(unit[list(own)].sum(0).square().sum()) / len(own)) / (len(own) - 1) for own in kinds]
    return sum(found) / len(found)
