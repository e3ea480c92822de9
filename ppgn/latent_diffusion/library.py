"""Classes of diffusers from folders that its `save_pretrained` wrote: safetensors only, nothing is downloaded."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ppgn.errors import one_line, required

KNOWN = (
    "AutoencoderKL",
    "AutoencoderTiny",
    "AutoencoderDC",
    "VQModel",
    "UNet2DModel",
    "UNet2DConditionModel",
    "DiTTransformer2DModel",
    "SD3Transformer2DModel",
)
"""Networks that are built by name; a description names no other code."""


def library() -> Any:
    """The package diffusers. Raises ValueError, with the command that installs it, where it is missing."""
    return required("diffusers", "autoencoders and score models of latent diffusion need diffusers", "ppgn[diffusers]")


def read_config(folder: str | Path, file: str = "config.json") -> dict[str, Any]:
    """A component's config.json, or another file of settings. Raises ValueError where it cannot be read."""
    path = Path(folder) / file
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise ValueError(f"{path} cannot be read ({one_line(fault)}): give a folder that save_pretrained wrote") from fault
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}, expected an object of settings: save the component again")
    return found


def load(folder: str | Path, kind: str) -> Any:
    """The network of the class `kind` in that folder: float32, frozen, in evaluation mode.

    Raises ValueError for a class that is not in KNOWN, and where configuration or safetensors are missing or wrong.
    """
    if kind not in KNOWN:
        raise ValueError(f"got a network of the class {kind!r}, expected {', '.join(KNOWN)}: name another repository or folder")
    read_config(folder)
    with _quiet():
        try:
            network, about = getattr(library(), kind).from_pretrained(
                str(folder),
                local_files_only=True,
                use_safetensors=True,
                low_cpu_mem_usage=False,
                torch_dtype=torch.float32,
                output_loading_info=True,
            )
        except Exception as fault:  # the library raises errors of many kinds
            raise ValueError(
                f"{kind} in {folder} cannot be loaded ({one_line(fault)}), expected config.json and safetensors as "
                f"save_pretrained writes them: download or save it again"
            ) from fault
    if missing := sorted(about["missing_keys"]):
        raise ValueError(
            f"the weights of {kind} in {folder} lack {len(missing)} values ({missing[0]} first), expected all: download or "
            f"save it again"
        )
    return network.eval().requires_grad_(False)


def scheduler(folder: str | Path) -> Any:
    """The scheduler that a folder's scheduler_config.json describes. ValueError where the library has no such class."""
    settings = read_config(folder, "scheduler_config.json")
    name = str(settings.get("_class_name"))
    kind = getattr(library(), name, None) if name.endswith("Scheduler") else None
    if kind is None or not hasattr(kind, "from_config"):
        raise ValueError(f"{folder} has the scheduler {name!r}, expected one of diffusers: install a newer diffusers")
    with _quiet():
        return kind.from_config(settings)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's warnings about settings that this version does not use."""
    log = logging.getLogger("diffusers")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
