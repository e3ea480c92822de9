"""A name, a folder or `my_module:make` -> a bundle."""

from __future__ import annotations

from pathlib import Path

import torch

from ppgn.bundle import Bundle, load_bundle
from ppgn.generators import IdentityGenerator, IdentityGeneratorConfig
from ppgn.loaders.callables import result_of
from ppgn.loaders.renderer import RENDER, of_render

PIXELS, LARGEST_SIDE = "pixels", 8192


def bundle(spec: str | Path | Bundle, device: torch.device | str = "cpu") -> Bundle:
    """Loads the bundle of a name, a folder or hf://owner/name (see `load_bundle`), or the one that `my_module:make` returns.

    "pixels:224", "pixels:HEIGHTxWIDTH" or "pixels:HEIGHTxWIDTHxCHANNELS" has no weights: its codes are pictures of that size.
    "render:school_bus" is a renderer (see `renderer.OBJECTS`), "render:mesh.ply:128" one of a mesh of yours at 128 pixels.
    A Bundle is returned as it is, where it is. A module is searched in the working directory first. `Bundle.of` makes a bundle of
    any generator. Raises ValueError for a module or function that does not exist, for a function that fails or returns something
    else, and for anything that is neither a bundle nor the name of one.
    """
    if isinstance(spec, Bundle):
        return spec
    if not isinstance(spec, str | Path):
        raise ValueError(
            f"got {type(spec).__name__} as a bundle, expected a ppgn.Bundle or the name of one: pass ppgn.load(NAME), or "
            f"ppgn.Bundle.of(generator, code_shape)"
        )
    spec = str(spec)
    if spec.partition(":")[0] == PIXELS:
        return _of_pixels(spec).to(device)
    if spec.partition(":")[0] == RENDER:
        return of_render(spec).to(device)
    if is_stored(spec):
        return load_bundle(spec, device)
    made = result_of(spec, "a bundle")
    if not isinstance(made, Bundle):
        raise ValueError(
            f"{spec}() returned {type(made).__name__}, expected a ppgn.Bundle: return ppgn.Bundle.of(generator, code_shape)"
        )
    return made.to(device)


def _of_pixels(spec: str) -> Bundle:
    """The bundle without weights whose pictures have the size that a text names, "pixels:224" or "pixels:28x28x1"."""
    sides = spec.partition(":")[2].split("x")
    if len(sides) > 3 or not all(side.isdecimal() and 0 < int(side) <= LARGEST_SIDE for side in sides):
        raise ValueError(
            f"cannot read {spec!r}, expected pixels:SIDE, pixels:HEIGHTxWIDTH or pixels:HEIGHTxWIDTHxCHANNELS, up to "
            f"{LARGEST_SIDE}: write pixels:224"
        )
    height, width, channels = (int(side) for side in ([*sides, *sides, "3"] if len(sides) == 1 else [*sides, "3"])[:3])
    shape = (channels, height, width)
    generator = IdentityGenerator(IdentityGeneratorConfig(*shape))
    return Bundle.of(generator, shape, name=spec, low=0.0, high=1.0, mean=0.5, std=0.25)


def is_stored(spec: str) -> bool:
    """Whether a text names a bundle that stands in a folder or in the hub, and no function of a module."""
    return ":" not in spec or spec.startswith("hf://") or Path(spec).is_dir()
