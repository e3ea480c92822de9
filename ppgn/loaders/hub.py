"""Models of transformers and open_clip that are already on this machine. Nothing is downloaded, and nothing unpickled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ppgn.errors import one_line, required


def library(name: str) -> Any:
    """Imports a library of the extra `text`. Raises ValueError, with the command that installs it, where it is missing."""
    return required(name, f"models of texts need {name}", "ppgn[text]")


@contextmanager
def offline() -> Iterator[None]:
    """Restricts Hugging Face's client to its cache, and restores its setting afterwards."""
    constants: Any = library("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def config_of(place: str) -> Any:
    """The config of a folder made by `save_pretrained`, or of a name in the cache. Raises ValueError where there is none."""
    return _loaded(library("transformers").AutoConfig, place)


def parts_of(place: str, kind: Any, unused: Sequence[str] = ()) -> tuple[Any, Any, Any]:
    """(model of the class `kind` in float32, image processor, tokenizer) of a folder or of a name in the cache.

    unused: prefixes of weights that may be missing. Raises ValueError where a part or model.safetensors is missing, and where the
    file lacks other weights, which would be random.
    """
    transformers = library("transformers")
    model = _complete(kind, place, unused)
    return model, _loaded(transformers.AutoImageProcessor, place), _loaded(transformers.AutoTokenizer, place)


def _complete(kind: Any, place: str, unused: Sequence[str] = (), **options: Any) -> Any:
    model, info = _loaded(kind, place, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **options)
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(tuple(unused)))
    if missing:
        raise ValueError(
            f"the weights of {place} lack {len(missing)} values ({missing[0]} first), expected all of {kind.__name__}: "
            f"give the folder or name of a complete {kind.__name__}"
        )
    return model


def vision_tower(place: str, trained: bool) -> tuple[Any, dict[str, Any]]:
    """(the network that looks at pictures, what its image processor states of size, mean and std) of a folder or a name in the
    cache: a classifier where its config says so, else the model, of one of texts and pictures the part for pictures.

    trained: with its weights, else random ones. Raises ValueError where a config is missing or of another kind, and where weights
    are or the file lacks some.
    """
    transformers = library("transformers")
    config: Any = config_of(place)
    classifier = any(str(name).endswith("ForImageClassification") for name in config.architectures or ())
    kind = transformers.AutoModelForImageClassification if classifier else transformers.AutoModel
    config = config if classifier else getattr(config, "vision_config", config)
    try:
        model = kind.from_config(config)
    except ValueError as fault:
        raise ValueError(f"{place} is no network of pictures ({one_line(fault)}), expected one: name another") from fault
    if model.main_input_name != "pixel_values":
        raise ValueError(
            f"{place} is a {type(model).__name__}, which takes {model.main_input_name}, expected a network of pictures: name one"
        )
    if trained:
        model = _complete(type(model), place, config=config)
    return model, _input_of(place)


def _input_of(place: str) -> dict[str, Any]:
    """What the file of an image processor says of the network's input: size, mean and std, none where there is no such file."""
    processing = library("transformers.models.auto.image_processing_auto")
    with offline():
        stated = processing.get_image_processor_config(place, local_files_only=True)
    sides = (stated.get("do_center_crop") and stated.get("crop_size")) or stated.get("size")
    if isinstance(sides, dict):
        shortest = sides.get("shortest_edge")
        sides = (sides.get("height", shortest), sides.get("width", shortest))
    found = {"size": sides, "mean": stated.get("image_mean"), "std": stated.get("image_std")}
    return {name: value if isinstance(value, int) else tuple(value) for name, value in found.items() if value is not None}


def _remedy(place: str) -> str:
    """The end of an error about a model that is not on this machine."""
    if Path(place).is_dir():
        return "save model, image processor and tokenizer there with their save_pretrained (weights as safetensors)"
    return f"run `hf download {place}` (it must have model.safetensors), or give a folder that save_pretrained made"


def _loaded(kind: Any, place: str, **options: Any) -> Any:
    try:
        with offline():
            return kind.from_pretrained(place, local_files_only=True, **options)
    except (OSError, ValueError, RuntimeError, ImportError) as fault:
        raise ValueError(
            f"the {kind.__name__} of {place!r} cannot be loaded on this machine ({one_line(fault)}): {_remedy(place)}"
        ) from fault
