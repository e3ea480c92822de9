"""A bundle's networks as fast as the settings allow."""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import nn

from ppgn.bundle import Bundle
from ppgn.recipes.captions import is_own_caption
from ppgn.recipes.copies import made_once, quick_copy
from ppgn.recipes.precision import resolved
from ppgn.recipes.settings import Settings
from ppgn.speed import Hastened, inside

IN_EVERY_STEP = ("generator", "joint_generator", "encoder", "classifier")


def hastened(bundle: Bundle, settings: Settings, condition: Any = None) -> Bundle:
    """The bundle with the networks of a step in the settings' precision, compiled if they say so; copies are made once.

    A caption for the bundle's own captioner reads the maps of the encoder's trunk: then encoder and classifier stay as they are.
    """
    settings = resolved(bundle, settings)
    if settings.precision == "float32" and not settings.compile:
        return bundle
    kept = ("encoder", "classifier") if is_own_caption(condition, bundle) else ()
    names = [name for name in IN_EVERY_STEP if name in bundle.parts and name not in kept]
    quick = {name: quick_copy(bundle.parts[name], settings.precision, settings.compile) for name in names}
    if "noise_level" in bundle.parts and settings.precision != "float32":
        quick["noise_level"] = made_once(bundle.parts["noise_level"], (settings.precision, "inside"), inside, settings.precision)
    return dataclasses.replace(bundle, parts={**bundle.parts, **quick})


def running(bundle: Bundle, settings: Settings) -> dict[str, nn.Module]:
    """The networks that chains of these settings run through, by part: the quicker copies where there are any."""
    parts = hastened(bundle, settings).parts
    return {name: part.network if isinstance(part, Hastened) else part for name, part in parts.items()}
