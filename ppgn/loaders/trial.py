"""Two codes and two images of a bundle, on which networks and conditions are checked before chains run."""

from __future__ import annotations

import torch

from ppgn import starts
from ppgn.bundle import Bundle
from ppgn.types import Code, Image

SEEDS = (0, 1)


def two_codes(bundle: Bundle) -> Code:
    """Codes `[2, *code]` drawn from the bundle's model of real codes, else from N(0, 1) clipped to the bounds of its codes.

    Codes behind a ReLU are rectified.
    """
    if "start" in bundle.parts:
        return starts.drawn_code(SEEDS, bundle.code.shape, bundle.parts["start"], bundle.device)
    low = 0.0 if bundle.code.relu else None
    return bundle.code.clip(starts.random_code(SEEDS, bundle.code.shape, low=low, device=bundle.device))


def two_images(bundle: Bundle) -> Image:
    """G(code) of `two_codes`, `[2, channel, height, width]` in [0, 1]: like the first images that a condition sees."""
    with torch.no_grad():
        return bundle.generator(two_codes(bundle)).clamp(0, 1)
