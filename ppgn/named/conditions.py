"""`--condition my_module:function` -> a condition that keeps its contract."""

from __future__ import annotations

import torch

from ppgn import checks
from ppgn.bundle import Bundle
from ppgn.faults import told
from ppgn.named.attributes import attribute
from ppgn.recipes.precision import two_starts
from ppgn.types import Condition, Image


def condition(spec: str, bundle: Bundle | None = None) -> Condition:
    """`my_module:function`, image -> log-probability per chain; the working directory is looked into first.

    With a bundle it is checked on two of its images (`ppgn.checks.check_condition`). Raises ValueError for a module or
    function that does not exist, and where it breaks the contract.
    """
    function = attribute(spec)
    if bundle is None:
        return function
    try:
        checks.check_condition(function, two_images(bundle))
    except ValueError as fault:
        raise ValueError(f"{spec} breaks the contract of conditions: {fault}") from fault
    except Exception as fault:  # anything can go wrong in a user's function
        raise ValueError(f"{spec} failed on two images of {bundle.name} ({told(fault)}): correct the function") from fault
    return function


def two_images(bundle: Bundle) -> Image:
    """G(code) at two starts, `[2, channel, height, width]`: what a chain's conditions first see."""
    with torch.no_grad():
        return bundle.generator(two_starts(bundle)).clamp(0, 1)
