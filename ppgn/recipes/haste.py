"""A bundle's networks as fast as the settings allow, and the choice among the ways."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ppgn import measured, starts
from ppgn.bundle import Bundle
from ppgn.recipes.captions import is_own_caption
from ppgn.recipes.settings import Settings
from ppgn.speed import DTYPES, Hastened, inside
from ppgn.types import Code, Image

IN_EVERY_STEP = ("generator", "joint_generator", "encoder", "classifier")
CHAINS = 8
_known: weakref.WeakKeyDictionary[nn.Module, dict[tuple[Any, ...], tuple[Any, Any]]] = weakref.WeakKeyDictionary()
_said: set[str] = set()
_log = logging.getLogger("ppgn")


def hastened(bundle: Bundle, settings: Settings, condition: Any = None) -> Bundle:
    """The bundle with the networks of a step in the settings' precision, compiled if they say so; copies are made once.

    A caption for the bundle's own captioner reads the maps of the encoder's trunk: then encoder and classifier stay as they are.
    """
    settings = resolved(bundle, settings)
    if settings.precision == "float32" and not settings.compile:
        return bundle
    kept = ("encoder", "classifier") if is_own_caption(condition, bundle) else ()
    names = [name for name in IN_EVERY_STEP if name in bundle.parts and name not in kept]
    quick = {name: _copy(bundle.parts[name], settings.precision, settings.compile) for name in names}
    if "noise_level" in bundle.parts and settings.precision != "float32":
        quick["noise_level"] = _kept(bundle.parts["noise_level"], (settings.precision, "inside"), inside, settings.precision)
    return dataclasses.replace(bundle, parts={**bundle.parts, **quick})


def running(bundle: Bundle, settings: Settings) -> dict[str, nn.Module]:
    """The networks that chains of these settings run through, by part: the quicker copies where there are any."""
    parts = hastened(bundle, settings).parts
    return {name: part.network if isinstance(part, Hastened) else part for name, part in parts.items()}


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
    seconds = seconds_of(bundle)
    share = seconds["bfloat16"] / seconds["float32"]
    why = f"a step in bfloat16 takes {share:.2f} of the time in float32 on this machine"
    if share > measured.WORTH:
        return "float32", why
    if "bfloat16" in bundle.info.get("recipe", {}).get("precisions", []):
        return "bfloat16", why
    agree = measured.once(f"{_key(bundle)} agreement", ["cosine"], lambda: {"cosine": agreement_of(bundle)})["cosine"]
    return "bfloat16" if agree >= measured.AGREEMENT else "float32", f"{why}, and gradients agree to {agree:.3f}"


def agreement_of(bundle: Bundle) -> float:
    """The cosine between gradients in float32 and in bfloat16 to two starting codes, in (0, 1]: the smaller one of half the mean
    square of E(G(code)), as the reconstruction prior sees it, and of log p(first class | G(code))."""
    code = two_starts(bundle)

    def first_class(encoder: Any, image: Image) -> Tensor:
        return encoder.logits_from_code(encoder(image)).log_softmax(1)[:, 0]

    def half_square(encoder: Any, image: Image) -> Tensor:
        return encoder(image).square().mean() / 2

    def of(precision: str, value: Callable[[Any, Image], Tensor]) -> Tensor:
        generator, encoder = (_copy(bundle.parts[name], precision, False) for name in ("generator", "encoder"))
        return measured.gradient(lambda leaf: value(encoder, generator(leaf)), code)

    values = (half_square, *((first_class,) if bundle.class_names else ()))
    agree = min(measured.agreement(of("float32", value), of("bfloat16", value)) for value in values)
    return max(agree, torch.finfo(torch.float32).tiny)


def two_starts(bundle: Bundle) -> Code:
    """Two codes `[2, *code]` as chains begin at: of the bundle's model of real codes, else N(0, 1) clipped at 0."""
    if "start" in bundle.parts:
        return starts.drawn_code((0, 1), bundle.code_shape, bundle.parts["start"], bundle.device)
    return starts.random_code((0, 1), bundle.code_shape, low=0.0, device=bundle.device)


def seconds_of(bundle: Bundle) -> dict[str, float]:
    """Precision -> seconds of a pass of `CHAINS` chains through generator and encoder and back, measured once on a machine."""
    return measured.once(_key(bundle), DTYPES, lambda: {precision: _seconds(bundle, precision) for precision in DTYPES})


def _key(bundle: Bundle) -> str:
    weights = "-".join(bundle.info["parts"][part]["sha256"][:12] for part in ("generator", "encoder"))
    return f"{measured.here(bundle.device)} {weights}"


def _seconds(bundle: Bundle, precision: str) -> float:
    generator, encoder = (_copy(bundle.parts[name], precision, False) for name in ("generator", "encoder"))
    with torch.inference_mode(False):
        code = torch.zeros(CHAINS, *bundle.code_shape, device=bundle.device)
    return measured.seconds_back(lambda leaf: encoder(generator(leaf)), code)


def _copy(network: Any, precision: str, compiled: bool) -> Any:
    if isinstance(network, Hastened) or (precision == "float32" and not compiled):
        return network
    return _kept(network, (precision, compiled), Hastened, precision, compiled)


def _kept(network: nn.Module, how: tuple[Any, ...], make: Callable[..., Any], *given: Any) -> Any:
    """make(network, *given), made once for a network and once more whenever its weights have changed or moved."""
    weights = tuple((one.data_ptr(), one.device, _version(one)) for one in (*network.parameters(), *network.buffers()))
    made = _known.setdefault(network, {})
    if made.get(how, (None, None))[0] != weights:
        with torch.inference_mode(False), torch.no_grad():
            made[how] = (weights, make(network, *given))
    return made[how][1]


def _version(tensor: torch.Tensor) -> int:
    return -1 if tensor.is_inference() else tensor._version
