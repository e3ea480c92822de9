"""The precision "auto": bfloat16 where it is faster on this machine and leads chains the same way, else float32."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.acceleration import timings
from ppgn.acceleration.conversion import DTYPES
from ppgn.acceleration.copies import cached_copy, converted
from ppgn.errors import one_line
from ppgn.types import Code

MAX_TIME_RATIO = 0.8
"""bfloat16 is taken where it takes at most this share of the time in float32."""
AGREEMENT = 0.9
"""The least cosine between the gradients in both precisions. It was chosen on units of plugged-in networks, which reach the same
values above it (docs/speed.md), and is carried over to generators that nobody has measured."""
TIMED_CHAINS = 8
"""Chains of the pass that is timed: about as many as run at once."""
_log = logging.getLogger("ppgn")

InPrecision = Callable[[str], Callable[[Tensor], Tensor]]
"""Precision -> a function in that precision. The sum of its values is differentiated."""


def choose_precision(
    function: InPrecision,
    at: Tensor,
    *,
    compared: Sequence[InPrecision] = (),
    starts: Callable[[], Tensor] | None = None,
    key: str | None = None,
    keep_agreement: bool = False,
    trusted: bool = False,
    who: str = "the network",
) -> tuple[str, str]:
    """("float32" or "bfloat16", the reason), which is logged.

    bfloat16 is chosen where a pass and its way back take at most MAX_TIME_RATIO of the time in float32, and where it is `trusted`
    or the cosine between the gradients in both precisions is at least AGREEMENT. A function that fails in bfloat16, for whatever
    reason, runs in float32.

    function: timed at `at`. compared: functions whose gradients must all agree at starts(); by default the timed one, at `at`.
    key: names the networks; seconds are kept under it for this machine, and without it measured each time. keep_agreement: keep
    the cosine too, because the key names weights and starts as well. trusted: somebody measured that results in bfloat16 are as
    good. who: the subject of the logged sentence.
    """
    kept_as = f"{timings.machine_key(at.device)} {key}" if key else None
    try:
        seconds = _kept(kept_as, DTYPES, lambda: timings.seconds_of_both(*(function(name) for name in DTYPES), at=at))
        ratio = seconds["bfloat16"] / seconds["float32"]
        name, why = "bfloat16", f"a pass in bfloat16 takes {ratio:.2f} of the time in float32 on this machine"
        if ratio > MAX_TIME_RATIO:
            name = "float32"
        elif not trusted:
            kept_as = f"{kept_as} agreement" if kept_as and keep_agreement else None
            functions, place = compared or [function], starts or (lambda: at)
            cosine = _kept(kept_as, ["cosine"], lambda: {"cosine": _agreement(functions, place())})["cosine"]
            name, why = "bfloat16" if cosine >= AGREEMENT else "float32", f"{why}, and gradients agree to {cosine:.3f}"
    except Exception as fault:  # whatever somebody's network raises when its weights have another type, or too little memory
        name, why = "float32", f"bfloat16 could not be tried ({one_line(fault)})"
    _log.info(f"{who} runs in {name}: {why}")
    return name, why


def network_precision(
    generator: Any,
    encoder: Any | None,
    code_shape: Sequence[int],
    starts: Callable[[], Code],
    *,
    device: torch.device,
    has_classes: bool = False,
    key: str | None = None,
    trusted: bool = False,
    who: str = "the network",
) -> tuple[str, str]:
    """`choose_precision` of a generator and its encoder, once in a process while the generator lives unchanged.

    Timed is E(G(code)) of TIMED_CHAINS codes of zeros. At starts() the gradients of half the mean square of E(G(code)) must
    agree, and with has_classes those of log p(first class | G(code)). Without an encoder E is the identity. key: names weights
    and starts, by default a digest of the weights.
    """
    key = key or " ".join(_weights_digest(network) for network in (generator, encoder) if isinstance(network, nn.Module))

    def decide(generator: Any) -> tuple[str, str]:
        with torch.inference_mode(False):
            zeros = torch.zeros(TIMED_CHAINS, *code_shape, device=device)
        values = [_half_mean_square, *([_first_class] if has_classes and encoder is not None else [])]
        timed, *compared = (_passing(generator, encoder, value) for value in (_code, *values))
        kept = {"key": key, "keep_agreement": True}
        return choose_precision(timed, zeros, compared=compared, starts=starts, trusted=trusted, who=who, **kept)

    if not isinstance(generator, nn.Module):
        return decide(generator)
    return cached_copy(generator, ("auto", timings.machine_key(device), key, trusted), decide)


def _kept(key: str | None, names: Collection[str], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    return timings.cached(key, names, measure) if key else measure()


def _agreement(functions: Sequence[InPrecision], at: Tensor) -> float:
    """The smallest cosine between the gradients in both precisions, in (0, 1]: the cache holds nothing at or below 0."""
    gradients = ([timings.gradient(function(precision), at) for precision in DTYPES] for function in functions)
    return max(min(timings.agreement(*pair) for pair in gradients), torch.finfo(torch.float32).tiny)


def _passing(generator: Any, encoder: Any | None, value: Callable[[Any, Tensor], Tensor]) -> InPrecision:
    """value(E, E(G(code))) with both networks in a precision."""

    def in_precision(precision: str) -> Callable[[Tensor], Tensor]:
        decode = converted(generator, precision)
        encode = None if encoder is None else converted(encoder, precision)
        return lambda code: value(encode, decode(code) if encode is None else encode(decode(code)))

    return in_precision


def _code(_: Any, code: Tensor) -> Tensor:
    return code


def _half_mean_square(_: Any, code: Tensor) -> Tensor:
    return code.square().mean() / 2


def _first_class(encoder: Any, code: Tensor) -> Tensor:
    return encoder.logits_from_code(code).log_softmax(1)[:, 0]


def _weights_digest(network: nn.Module) -> str:
    """Hex digits of a network's type, parameters and buffers."""

    def digest(network: nn.Module) -> str:
        found = hashlib.sha256(type(network).__qualname__.encode())
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return found.hexdigest()[:24]

    return cached_copy(network, ("digest",), digest)
