"""`hf:NAME` -> log p(caption | image) under a published captioner."""

from __future__ import annotations

from collections.abc import Sequence

from ppgn.conditions import Caption, TransformersCaptioner
from ppgn.loaders.hub import config_of, library, parts_of

CAPTIONERS = {
    "blip": "BlipForConditionalGeneration",
    "git": "GitForCausalLM",
    "vision-encoder-decoder": "VisionEncoderDecoderModel",
}
"""`model_type` of a config -> the name of its class in transformers."""
UNUSED = ("encoder.pooler.",)
"""Prefixes of weights that published vision encoder-decoders lack, because no decoder reads them."""


def captioner(name: str, captions: str | Sequence[str], *, prompt: str = "", per_word: bool = False) -> Caption:
    """The condition log p(caption | image) under BLIP, GIT or a vision encoder-decoder.

    name: `hf:FOLDER`, made by `save_pretrained`, or `hf:OWNER/MODEL` in the local cache. captions: a single text for all chains,
    or a text per chain. prompt: see `TransformersCaptioner`. per_word: see `Caption`. `condition.captioner.model.to(device)`
    moves it. Nothing is downloaded, and only safetensors are read. Raises ValueError for a missing library or model, with the
    command that gets it, and for other kinds of models.
    """
    source, _, place = name.partition(":")
    if source != "hf" or not place:
        raise ValueError(f"cannot read {name!r} as a captioner, expected hf:FOLDER or hf:OWNER/MODEL: write one of these")
    kind = config_of(place).model_type
    if kind not in CAPTIONERS:
        raise ValueError(f"{name} is a model of type {kind!r}, expected one of {sorted(CAPTIONERS)}: choose such a model")
    parts = parts_of(place, getattr(library("transformers"), CAPTIONERS[kind]), UNUSED)
    return Caption(TransformersCaptioner(*parts, prompt=prompt), captions, per_word=per_word)
