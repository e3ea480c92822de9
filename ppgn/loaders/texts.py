"""`open_clip:MODEL/WEIGHTS` and `hf:NAME` -> the similarity of a text and an image."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ppgn.conditions import Crops, TextMeasure, TextSimilarity
from ppgn.errors import one_line
from ppgn.loaders.hub import config_of, library, offline, parts_of

MODELS = {"clip": "CLIPModel", "siglip": "SiglipModel"}
"""`model_type` of a config -> the name of its class in transformers."""
FORMS = "hf:FOLDER, hf:OWNER/MODEL, open_clip:MODEL/TAG or open_clip:MODEL/FILE.safetensors"
PREPROCESS = ("mean", "std", "interpolation", "resize_mode")
"""Settings of open_clip's image preprocessing that a tag can state."""


def similarity(
    name: str,
    text: str | Sequence[str],
    against: Sequence[str] = (),
    *,
    measure: TextMeasure | None = None,
    crops: Crops | None = None,
) -> TextSimilarity:
    """The condition log p(text | image), p among the texts `against`, under a CLIP or SigLIP that is on this machine.

        hf:FOLDER, hf:OWNER/MODEL   a CLIPModel or SiglipModel of transformers, from `save_pretrained` or the local cache
        open_clip:ViT-B-32/TAG      a model of open_clip with the published weights of that tag, from the local cache
        open_clip:ViT-B-32/FILE     the same with the weights in a file .safetensors

    text, against, measure, crops: see `TextSimilarity.from_transformers`. `condition.encode.model.to(device)` moves it. Nothing
    is downloaded, and only safetensors are read. Raises ValueError for a missing library, model or file of weights, with the
    command that gets it.
    """
    source, _, place = name.partition(":")
    if source == "open_clip" and place:
        model, tokenizer = _open_clip(place)
        return TextSimilarity.from_open_clip(model, tokenizer, text, against, measure=measure, crops=crops)
    if source != "hf" or not place:
        raise ValueError(f"cannot read {name!r} as a model of texts and images, expected {FORMS}: write it in one of these ways")
    kind = config_of(place).model_type
    if kind not in MODELS:
        raise ValueError(f"{name} is a model of type {kind!r}, expected one of {sorted(MODELS)}: choose such a model")
    parts = parts_of(place, getattr(library("transformers"), MODELS[kind]))
    return TextSimilarity.from_transformers(*parts, text, against, measure=measure, crops=crops)


def _open_clip(place: str) -> tuple[Any, Any]:
    """(model, tokenizer) of MODEL/TAG or MODEL/FILE. Raises ValueError where they are not on this machine."""
    library("transformers")  # open_clip needs it for the tokenizers of many models
    open_clip = library("open_clip")
    model_name, _, weights = place.partition("/")
    if model_name not in open_clip.list_models():
        nearest = ", ".join(difflib.get_close_matches(model_name, open_clip.list_models(), 3, cutoff=0))
        raise ValueError(f"open_clip has no model {model_name!r}, expected a name such as {nearest}: correct it")
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    tag = open_clip.get_pretrained_cfg(model_name, weights)
    file = _cached(place, tag) if tag else _file(place, weights, tags)
    # a file does not state its preprocessing, so the preprocessing of the model's first tag is used
    stated = tag or (open_clip.get_pretrained_cfg(model_name, tags[0]) if tags else {})
    try:
        with offline():
            model = open_clip.create_model(
                model_name,
                pretrained=str(file),
                force_quick_gelu=tag.get("quick_gelu", False),
                force_preprocess_cfg={key: stated[key] for key in PREPROCESS if key in stated},
            )
            return model, open_clip.get_tokenizer(model_name)
    except (OSError, RuntimeError, ValueError, KeyError) as fault:
        source = open_clip.get_model_config(model_name)["text_cfg"].get("hf_tokenizer_name")
        tokenizer = f", and for its tokenizer run `hf download {source}`" if source else ""
        raise ValueError(
            f"open_clip:{place} cannot be loaded ({one_line(fault)}): give weights of {model_name}{tokenizer}"
        ) from fault


def _file(place: str, weights: str, tags: Sequence[str]) -> Path:
    file = Path(weights)
    if not weights or not file.is_file() or file.suffix != ".safetensors":
        raise ValueError(
            f"open_clip:{place} names no weights, expected a file .safetensors or a tag ({', '.join(tags) or 'it has none'}): "
            f"write open_clip:MODEL/FILE or open_clip:MODEL/TAG"
        )
    return file


def _cached(place: str, tag: Mapping[str, Any]) -> Path:
    """The safetensors of a tag in Hugging Face's cache. Raises ValueError where they are not published or not there."""
    address = tag.get("hf_hub", "")
    if not address:
        raise ValueError(
            f"open_clip:{place} is not published as safetensors, expected weights that need no unpickling: choose another tag"
        )
    owner, name, *rest = address.split("/")
    listed = PurePosixPath(rest[0] if rest and rest[0] else "open_clip_pytorch_model.bin")
    wanted = "open_clip_model.safetensors" if listed.name == "open_clip_pytorch_model.bin" else f"{listed.stem}.safetensors"
    found = library("huggingface_hub").try_to_load_from_cache(f"{owner}/{name}", wanted)
    if not isinstance(found, str):
        raise ValueError(
            f"open_clip:{place} is not on this machine, expected {wanted} in Hugging Face's cache: "
            f"run `hf download {owner}/{name} {wanted}`, or give a file"
        )
    return Path(found)
