"""What "auto" stands for: the precision that is best for a bundle on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppgn import measured, starts
from ppgn.bundle import Bundle
from ppgn.faults import told
from ppgn.recipes.copies import quick_copy
from ppgn.recipes.settings import Settings
from ppgn.speed import DTYPES
from ppgn.types import Code, Image

CHAINS = 8
_said: set[str] = set()
_log = logging.getLogger("ppgn")


def resolved(bundle: Bundle, settings: Settings) -> Settings:
    """The settings with the precision "auto" replaced by what is best on this machine.

    That is bfloat16 where a step in it takes at most `measured.WORTH` of float32's time, and its pictures are as good: the bundle
    says that this was measured ("precisions" of its recipe), or else `agreement_of` the bundle is at least `measured.AGREEMENT`.
    Both are measured once on each machine and kept in ~/.cache/ppgn/speed.json. Otherwise it is float32.
    """
    if settings.precision != "auto":
        return settings
    chosen, why = _chosen(bundle)
    said = f"{bundle.name} runs in {chosen}: {why}"
    if said not in _said:
        _said.add(said)
        _log.info(said)
    return dataclasses.replace(settings, precision=chosen)


def _chosen(bundle: Bundle) -> tuple[str, str]:
    """The precision and why."""
    try:
        seconds = seconds_of(bundle)
        share = seconds["bfloat16"] / seconds["float32"]
        why = f"a step in bfloat16 takes {share:.2f} of the time in float32 on this machine"
        if share > measured.WORTH:
            return "float32", why
        if "bfloat16" in bundle.info.get("recipe", {}).get("precisions", []):
            return "bfloat16", why
        agree = measured.once(f"{_key(bundle)} agreement", ["cosine"], lambda: {"cosine": agreement_of(bundle)})["cosine"]
    except Exception as fault:  # whatever somebody's network raises when its weights have another type, or too little memory
        return "float32", f"bfloat16 could not be tried ({told(fault)})"
    return "bfloat16" if agree >= measured.AGREEMENT else "float32", f"{why}, and gradients agree to {agree:.3f}"


def agreement_of(bundle: Bundle) -> float:
    """The cosine between gradients in float32 and in bfloat16 to two codes, in (0, 1]: the smaller one of half the mean square of
    E(G(code)) and of log p(first class | G(code))."""
    code = two_starts(bundle)

    def first_class(encoder: Any, image: Image) -> Tensor:
        return encoder.logits_from_code(encoder(image)).log_softmax(1)[:, 0]

    def half_square(encoder: Any, image: Image) -> Tensor:
        return encoder(image).square().mean() / 2

    def agreement(value: Callable[[Any, Image], Tensor]) -> float:
        return measured.agreement(*(measured.gradient(_passing(bundle, precision, value), code) for precision in DTYPES))

    values = (half_square, *((first_class,) if bundle.class_names else ()))
    return max(min(agreement(value) for value in values), torch.finfo(torch.float32).tiny)


def two_starts(bundle: Bundle) -> Code:
    """Two codes `[2, *code]`: of the bundle's model of real codes where it has one, else N(0, 1) clipped at 0."""
    if "start" in bundle.parts:
        return starts.drawn_code((0, 1), bundle.code_shape, bundle.parts["start"], bundle.device)
    return starts.random_code((0, 1), bundle.code_shape, low=0.0, device=bundle.device)


def seconds_of(bundle: Bundle) -> dict[str, float]:
    """Precision -> seconds of a pass of `CHAINS` chains through generator and encoder and back, measured once on a machine."""

    def measure() -> dict[str, float]:
        with torch.inference_mode(False):
            code = torch.zeros(CHAINS, *bundle.code_shape, device=bundle.device)
        return measured.seconds_of_both(*(_passing(bundle, precision, _code_of) for precision in DTYPES), at=code)

    return measured.once(_key(bundle), DTYPES, measure)


def _code_of(encoder: Any, image: Image) -> Tensor:
    return encoder(image)


def _passing(bundle: Bundle, precision: str, value: Callable[[Any, Image], Tensor]) -> Callable[[Code], Tensor]:
    """The value of the encoder and G(code), both in that precision."""
    generator, encoder = (quick_copy(bundle.parts[name], precision) for name in ("generator", "encoder"))
    return lambda code: value(encoder, generator(code))


def _key(bundle: Bundle) -> str:
    """Of machine, weights and configurations."""
    parts = [bundle.info["parts"].get(part) for part in ("generator", "encoder", "start")]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
    return f"{measured.here(bundle.device)} {bundle.name} {digest[:24]}"
