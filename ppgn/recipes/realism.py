"""How near pictures are to what a bundle's generator knows, and how unlike each other, in the features of its encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ppgn import starts
from ppgn.bundle import Bundle
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import device_of, objective_for
from ppgn.types import Code, Evaluation

USUAL = 32
"""Codes like real ones that gaps and diversity are compared with."""


def usual(bundle: Bundle, settings: Settings) -> tuple[float, float]:
    """(mean gap, diversity) of USUAL codes like those of real pictures, whatever these show; neither is 0, as they divide."""
    code = like_real(bundle, range(USUAL), settings)
    evaluation = objective_for(bundle, None, settings).evaluate(code)
    with torch.no_grad():
        seen = bundle.encoder(evaluation.image)
    gap = float(gaps(bundle, evaluation, seen, settings).mean())
    return max(gap, 1e-12), max(diversity(seen, [list(range(USUAL))]), 1e-12)


@torch.no_grad()
def like_real(bundle: Bundle, seeds: Sequence[int], settings: Settings) -> Code:
    """Codes like those of real pictures, `[chain, *code]`, or with generator "pixels" the pictures that they stand for.

    From the bundle's score model of real codes, else its Gaussian "start", else N(mean, std^2) of its statistics, not below 0.
    """
    device = device_of(bundle)
    models = [bundle.parts[name] for name in ("noise_level", "start") if name in bundle.parts]
    if models:
        code = starts.drawn_code(seeds, bundle.code_shape, models[0], device)
    else:
        known = {"mean": 0.0, "std": 1.0, **bundle.info["code"]}
        mean, std = (torch.tensor(known[name], device=device) for name in ("mean", "std"))
        code = starts.random_code(seeds, bundle.code_shape, mean=mean, std=std, low=0.0, device=device)
    return bundle.generator(code) if settings.generator == "pixels" else code


@torch.no_grad()
def gaps(bundle: Bundle, evaluation: Evaluation, seen: Code, settings: Settings) -> Tensor:
    """|E(G(h)) - h| of each chain, the root mean square over units: `[chain]`, in code units.

    seen: E(G(h)). h is what the generator is given: after the ReLU with prior "noise_level"; and with generator "pixels", whose
    code is the picture x, E(x).
    """
    if settings.generator == "pixels":
        difference = bundle.encoder(bundle.generator(seen)) - seen
    else:
        difference = seen - (evaluation.code.relu() if settings.prior == "noise_level" else evaluation.code)
    return difference.flatten(1).square().mean(1).sqrt()


def diversity(seen: Code, kinds: Sequence[Sequence[int]]) -> float:
    """Mean over kinds, lists of two chains or more, of the mean 1 - cos(E(x), E(x')) of two different ones.

    Of n unit vectors u that is (n - |sum u|^2 / n) / (n - 1).
    """
    unit = functional.normalize(seen.flatten(1).double(), dim=1)
    found = [(len(own) - float(unit[own].sum(0).square().sum()) / len(own)) / (len(own) - 1) for own in kinds]
    return sum(found) / len(found)
