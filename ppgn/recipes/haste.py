"""A bundle's networks as fast as the settings allow, and the choice among the ways."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ppgn import measured
from ppgn.bundle import Bundle
from ppgn.recipes.captions import is_own_caption
from ppgn.recipes.settings import Settings
from ppgn.speed import DTYPES, Hastened, inside

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

    That is bfloat16 where the bundle says that it was measured as good ("precisions" of its recipe) and a step, measured once on
    each machine and kept in ~/.cache/ppgn/speed.json, takes at most `measured.WORTH` of float32's time; else float32.
    """
    if settings.precision != "auto":
        return settings
    chosen, why = "float32", "its bundle does not say that bfloat16 is as good"
    if "bfloat16" in bundle.info.get("recipe", {}).get("precisions", []):
        seconds = seconds_of(bundle)
        share = seconds["bfloat16"] / seconds["float32"]
        chosen = "bfloat16" if share <= measured.WORTH else "float32"
        why = f"a step in bfloat16 takes {share:.2f} of the time in float32 on this machine"
    said = f"{bundle.name} runs in {chosen}: {why}"
    if said not in _said:
        _said.add(said)
        _log.info(said)
    return dataclasses.replace(settings, precision=chosen)


def seconds_of(bundle: Bundle) -> dict[str, float]:
    """Precision -> seconds of a pass of `CHAINS` chains through generator and encoder and back, measured once on a machine."""
    weights = "-".join(bundle.info["parts"][part]["sha256"][:12] for part in ("generator", "encoder"))
    key = f"{measured.here(bundle.device)} {weights}"
    return measured.once(key, DTYPES, lambda: {precision: _seconds(bundle, precision) for precision in DTYPES})


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
