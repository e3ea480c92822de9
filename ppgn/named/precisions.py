"""A plugged-in network in bfloat16, where that is quicker on this machine and asks for the same."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from ppgn import measured
from ppgn.faults import told
from ppgn.measured import AGREEMENT, agreement, gradient
from ppgn.probe import Probe, Seen
from ppgn.probe.seen import weights_dtype
from ppgn.speed import DTYPES
from ppgn.types import Image

_log = logging.getLogger("ppgn")


def quick(seen: Seen, images: Image, precision: str = "auto", *, name: str = "", layers: Sequence[str] = ()) -> Seen:
    """The network in "float32" or "bfloat16", itself where it is that already and else a copy. "auto": of a float32 network the
    copy in bfloat16 where a pass and its way back take at most `measured.WORTH` of the time (measured once on a machine and
    kept; `ppgn -v` says it) and gradients agree.

    images: `[image, channel, height, width]` in [0, 1], what chains show the network; there the gradients of half the mean
    square of the `layers`, or of the output, must have a cosine of `measured.AGREEMENT` at least. With "auto" a network that
    fails in bfloat16 stays as it is. name: what it is called in messages and under what its time is kept; without one it is
    measured each time. Raises ValueError for an unknown precision, and for a network that cannot be copied.
    """
    if precision not in ("auto", *DTYPES):
        raise ValueError(f"got the precision {precision!r} for a network, expected auto, {', '.join(DTYPES)}: choose one of them")
    own = weights_dtype(seen.network)
    if precision == "auto":
        return _quicker(seen, images, name, layers) if own == torch.float32 else seen
    if own == DTYPES[precision]:
        return seen
    try:
        return _copy(seen, precision)
    except Exception as fault:  # whatever copying somebody's network raises
        raise ValueError(f"{name or 'the network'} cannot be had in {precision} ({told(fault)}): leave that out") from fault


def _quicker(seen: Seen, images: Image, name: str, layers: Sequence[str]) -> Seen:
    chosen, why = seen, ""
    try:
        seconds = _seconds(seen, images, name, layers)
        share = seconds["bfloat16"] / seconds["float32"]
        why = f"in bfloat16 a pass takes {share:.2f} of the time on this machine"
        if share <= measured.WORTH:
            other = _copy(seen, "bfloat16")
            agree = agreement(*(gradient(partial(_value, one, layers=layers), images) for one in (seen, other)))
            why += f", and gradients agree to {agree:.3f}"
            chosen = other if agree >= AGREEMENT else seen
    except Exception as fault:  # whatever somebody's network raises when its weights have another type
        why = f"it could not be tried in bfloat16 ({told(fault)})"
    _log.info(f"{name or 'the network'} runs in {'float32' if chosen is seen else 'bfloat16'}: {why}")
    return chosen


def _copy(seen: Seen, precision: str) -> Seen:
    other = copy.copy(seen)
    with torch.inference_mode(False), torch.no_grad():
        other.network = copy.deepcopy(seen.network).to(DTYPES[precision])
    return other


def _value(seen: Seen, image: Image, layers: Sequence[str]) -> Tensor:
    """Half the mean square of each layer, or of the output, added up."""
    values = list(Probe(seen, layers)(image).values()) if layers else [seen(image)]
    return torch.stack([value.square().mean() / 2 for value in values]).sum()


def _seconds(seen: Seen, images: Image, name: str, layers: Sequence[str]) -> dict[str, float]:
    def measure() -> dict[str, float]:
        other = _copy(seen, "bfloat16")
        return measured.seconds_of_both(*(partial(_value, one, layers=layers) for one in (seen, other)), at=images)

    if not name:
        return measure()
    modules, weights = sum(1 for _ in seen.network.modules()), sum(one.numel() for one in seen.network.parameters())
    shape = "x".join(str(length) for length in images.shape)
    own = f"{name} {modules} modules {weights} weights {','.join(layers)} {seen.size} {shape}"
    return measured.once(f"{measured.here(images.device)} {own}", DTYPES, measure)
