"""A name, a folder or `my_module:make` -> a bundle."""

from __future__ import annotations

from pathlib import Path

import torch

from ppgn.bundle import Bundle, load_bundle
from ppgn.loaders.callables import result_of


def bundle(spec: str, device: torch.device | str = "cpu") -> Bundle:
    """Loads the bundle of a name, a folder or hf://owner/name (see `load_bundle`), or the one that `my_module:make` returns.

    A module is searched in the working directory first. `Bundle.of` makes a bundle of any generator. Raises ValueError for a
    module or function that does not exist, and for a function that fails or returns something else.
    """
    if is_stored(spec):
        return load_bundle(spec, device)
    made = result_of(spec, "a bundle")
    if not isinstance(made, Bundle):
        raise ValueError(
            f"{spec}() returned {type(made).__name__}, expected a ppgn.Bundle: return ppgn.Bundle.of(generator, code_shape)"
        )
    return made.to(device)


def is_stored(spec: str) -> bool:
    """Whether a text names a bundle that stands in a folder or in the hub, and no function of a module."""
    return ":" not in spec or spec.startswith("hf://") or Path(spec).is_dir()
