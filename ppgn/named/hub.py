"""Models of transformers and open_clip that are on this machine already: nothing is downloaded, nothing unpickled."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ppgn.faults import told


def library(name: str) -> ModuleType:
    """A library of the extra `text`, imported only now. Raises ValueError with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ImportError as fault:
        raise ValueError(f'this needs the library {name}, which is not here: pip install "ppgn[text]"') from fault


@contextmanager
def offline() -> Iterator[None]:
    """Hugging Face's client answers from its cache only; what it was set to before comes back afterwards."""
    constants: Any = library("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def config_of(place: str) -> Any:
    """The config of a folder (of `save_pretrained`) or of a published name in the cache. ValueError where there is none."""
    return _found(library("transformers").AutoConfig, place)


def parts_of(place: str, kind: Any, unused: Sequence[str] = ()) -> tuple[Any, Any, Any]:
    """(model of the class `kind` in single precision, image processor, tokenizer).

    unused: beginnings of names of weights that may be missing. Raises ValueError where a part or model.safetensors is not there,
    and where the file lacks weights, which would be random.
    """
    transformers = library("transformers")
    loading = {"use_safetensors": True, "dtype": torch.float32, "output_loading_info": True}
    model, info = _found(kind, place, **loading)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(tuple(unused)))
    if missing:
        raise ValueError(
            f"the weights of {place} lack {len(missing)} values ({missing[0]} first), expected all of {kind.__name__}: "
            f"give the folder or name of a whole {kind.__name__}"
        )
    return model, _found(transformers.AutoImageProcessor, place), _found(transformers.AutoTokenizer, place)


def how_to_get(place: str) -> str:
    """The end of a sentence: what to do where something is not on this machine."""
    if Path(place).is_dir():
        return "save model, image processor and tokenizer there with their save_pretrained (weights as safetensors)"
    return f"run `hf download {place}` (it must have model.safetensors), or give a folder that save_pretrained made"


def _found(kind: Any, place: str, **options: Any) -> Any:
    try:
        with offline():
            return kind.from_pretrained(place, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, ImportError) as fault:
        raise ValueError(
            f"no {kind.__name__} of {place!r} can be loaded on this machine ({told(fault)}): {how_to_get(place)}"
        ) from fault
