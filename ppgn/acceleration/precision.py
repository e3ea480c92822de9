"""The precision "auto": bfloat16 where the device has units for it and it leads chains the same way, else float32."""

from __future__ import annotations

import functools
import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.acceleration.conversion import DTYPES
from ppgn.acceleration.copies import cached_copy, converted
from ppgn.errors import one_line
from ppgn.types import Code

AGREEMENT = 0.9
"""The least cosine between the gradients in both precisions. It was chosen on units of plugged-in networks, which reach the same
values above it (docs/speed.md), and is carried over to generators that nobody has measured."""
PROCESSOR = Path("/proc/cpuinfo")
_log = logging.getLogger("ppgn")

InPrecision = Callable[[str], Callable[[Tensor], Tensor]]
"""Precision -> a function in that precision. The sum of its values is differentiated."""


@functools.cache
def has_bfloat16_units(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 in units of their own: a processor with AMX (Linux says so), a GPU of
    NVIDIA's from Ampere on. Elsewhere bfloat16 is slower than float32 as a rule.

    No stopwatch decides, so that the same command makes the same pictures on a busy machine.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and PROCESSOR.is_file() and "amx_bf16" in PROCESSOR.read_text().split()


def choose_precision(
    function: InPrecision | Sequence[InPrecision],
    starts: Callable[[], Tensor],
    *,
    device: torch.device,
    trusted: bool = False,
    who: str = "the network",
) -> tuple[str, str]:
    """("float32" or "bfloat16", the reason), which is logged.

    bfloat16 is chosen where the device has units for it, and where it is `trusted` or the cosine between the
    gradients in both precisions at starts() is at least AGREEMENT, for each function. A function that fails in bfloat16, for
    whatever reason, runs in float32.

    trusted: somebody measured that results in bfloat16 are as good. who: the subject of the logged sentence.
    """
    functions = [function] if callable(function) else function
    try:
        if not has_bfloat16_units(device):
            name, why = "float32", "this device has no units for bfloat16"
        elif trusted:
            name, why = "bfloat16", "this device has units for it"
        else:
            at = starts()
            cosine = min(agreement(*(gradient(one(precision), at) for precision in DTYPES)) for one in functions)
            name, why = "bfloat16" if cosine >= AGREEMENT else "float32", f"gradients agree to {cosine:.3f}"
    except Exception as fault:  # whatever somebody's network raises when its weights have another type, or too little memory
        name, why = "float32", f"bfloat16 could not be tried ({one_line(fault)})"
    _log.info(f"{who} runs in {name}: {why}")
    return name, why


def network_precision(
    generator: Any,
    encoder: Any | None,
    starts: Callable[[], Code],
    *,
    device: torch.device,
    has_classes: bool = False,
    trusted: bool = False,
    who: str = "the network",
) -> tuple[str, str]:
    """`choose_precision` of a generator and its encoder, once in a process while the generator lives unchanged.

    At starts() the gradients of half the mean square of E(G(code)) must agree, and with has_classes those of
    log p(first class | G(code)). Without an encoder E is the identity.
    """

    def decide(generator: Any) -> tuple[str, str]:
        values = [_half_mean_square, *([_first_class] if has_classes and encoder is not None else [])]
        functions = [_passing(generator, encoder, value) for value in values]
        return choose_precision(functions, starts, device=device, trusted=trusted, who=who)

    if not isinstance(generator, nn.Module):
        return decide(generator)
    compared = has_bfloat16_units(device) and not trusted
    other = _weights_digest(encoder) if compared and isinstance(encoder, nn.Module) else ""
    return cached_copy(generator, ("auto", device, other, trusted), decide)


def gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d sum(function(at)) / d at, flattened to one axis."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = at.clone().requires_grad_(True)
        return torch.autograd.grad(function(leaf).sum(), leaf)[0].flatten()


def agreement(first: Tensor, second: Tensor) -> float:
    """The cosine between two gradients, in [-1, 1]; 0 where one of them is 0 or not finite."""
    first, second = first.double(), second.double()  # small gradients have squares that float32 does not hold
    size = float(first.norm() * second.norm())
    return float(first @ second) / size if size and math.isfinite(size) else 0.0


def _passing(generator: Any, encoder: Any | None, value: Callable[[Any, Tensor], Tensor]) -> InPrecision:
    """value(E, E(G(code))) with both networks in a precision."""

    def in_precision(precision: str) -> Callable[[Tensor], Tensor]:
        decode = converted(generator, precision)
        encode = None if encoder is None else converted(encoder, precision)
        return lambda code: value(encode, decode(code) if encode is None else encode(decode(code)))

    return in_precision


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
