"""A plugged-in network in bfloat16, where that is quicker on this machine and asks for the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ppgn import measured
from ppgn.named.attributes import told
from ppgn.probe import Probe, Seen
from ppgn.probe.seen import dtype_of
from ppgn.speed import DTYPES
from ppgn.speed import dtype_of as dtype_named
from ppgn.types import Image

AGREEMENT = 0.9
"""The least cosine between the gradients of both precisions to the image (docs/speed.md: what is reached is the same)."""
_log = logging.getLogger("ppgn")


def quick(seen: Seen, images: Image, precision: str = "auto", *, name: str = "", layers: Sequence[str] = ()) -> Seen:
    """The network in that precision: itself in "float32", a copy in "bfloat16", and with "auto" the copy where a pass and its
    way back take at most `measured.WORTH` of float32's time (measured once on a machine and kept; `ppgn -v` says it) and
    gradients agree.

    images: `[image, channel, height, width]` in [0, 1], what chains show the network; there the gradients of half the mean
    square of the `layers`, or of the output, must have a cosine of `AGREEMENT` at least. A network that fails in bfloat16 stays
    as it is. name: what it is called in messages and under what its time is kept; without one it is measured each time.
    Raises ValueError for an unknown precision.
    """
    if precision not in ("auto", *DTYPES):
        raise ValueError(f"got the precision {precision!r} for a network, expected auto, {', '.join(DTYPES)}: choose one of them")
    if precision == "float32" or dtype_of(seen.network) != torch.float32:
        return seen
    if precision == "bfloat16":
        return _copy(seen, precision)
    try:
        other = _copy(seen, "bfloat16")
        agree = agreement(*(gradient(lambda image, own=own: _value(own, image, layers), images) for own in (seen, other)))
        seconds = _seconds(seen, other, images, name, layers)
    except Exception as fault:  # whatever somebody's network raises when its weights have another type
        _log.info(f"{name or 'the network'} runs in float32: it could not be tried in bfloat16 ({told(fault)})")
        return seen
    share = seconds["bfloat16"] / seconds["float32"]
    taken = share <= measured.WORTH and agree >= AGREEMENT
    why = f"in bfloat16 a pass takes {share:.2f} of the time on this machine, and gradients agree to {agree:.3f}"
    _log.info(f"{name or 'the network'} runs in {'bfloat16' if taken else 'float32'}: {why}")
    return other if taken else seen


def _copy(seen: Seen, precision: str) -> Seen:
    other = copy.copy(seen)
    other.network = copy.deepcopy(seen.network).to(dtype_named(precision))
    return other


def _value(seen: Seen, image: Image, layers: Sequence[str]) -> Tensor:
    """Half the mean square of each layer, or of the output, added up."""
    values = list(Probe(seen, layers)(image).values()) if layers else [seen(image)]
    return torch.stack([value.square().mean() / 2 for value in values]).sum()


def gradient(function: Callable[[Image], Tensor], images: Image) -> Tensor:
    """d sum(function(images)) / d images, in a row."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = images.clone().requires_grad_(True)
        return torch.autograd.grad(function(leaf).sum(), leaf)[0].flatten()


def agreement(one: Tensor, other: Tensor) -> float:
    """The cosine between two gradients; 0 where one of them is 0."""
    return float(functional.cosine_similarity(one, other, 0))


def _seconds(seen: Seen, other: Seen, images: Image, name: str, layers: Sequence[str]) -> dict[str, float]:
    ways = {"float32": seen, "bfloat16": other}

    def measure() -> dict[str, float]:
        return {
            way: measured.seconds_back(lambda image, own=own: _value(own, image, layers), images) for way, own in ways.items()
        }

    if not name:
        return measure()
    shape = "x".join(str(length) for length in images.shape)
    return measured.once(f"{measured.here(images.device)} {name} {','.join(layers)} {seen.size} {shape}", ways, measure)
