"""`hf:NAME` -> log p(caption | image) under a published captioner."""

from __future__ import annotations

from collections.abc import Sequence

from ppgn.conditions import Caption, TransformersCaptioner
from ppgn.named.hub import config_of, library, parts_of

CAPTIONERS = {
    "blip": "BlipForConditionalGeneration",
    "git": "GitForCausalLM",
    "vision-encoder-decoder": "VisionEncoderDecoderModel",
}
"""`model_type` of a config -> the class of transformers."""
UNUSED = ("encoder.pooler.",)  # a vision encoder-decoder's, which published files leave out and no decoder reads


def captioner(name: str, captions: str | Sequence[str], *, prompt: str = "", per_word: bool = False) -> Caption:
    """`hf:FOLDER` (of `save_pretrained`) or `hf:OWNER/MODEL` in the local cache: BLIP, GIT or a vision encoder-decoder.

    captions: one for all chains, or one per chain; prompt: see `TransformersCaptioner`; per_word: see `Caption`. Move it by
    `condition.captioner.model.to(device)`. Nothing is downloaded, and only safetensors are read. Raises ValueError where the
    library or the model is not there, with the command that gets it, and for another kind of model.
    """
    source, _, place = name.partition(":")
    if source != "hf" or not place:
        raise ValueError(f"cannot read {name!r} as a captioner, expected hf:FOLDER or hf:OWNER/MODEL: write it in this way")
    kind = config_of(place).model_type
    if kind not in CAPTIONERS:
        raise ValueError(f"{name} is a model of type {kind!r}, expected one of {sorted(CAPTIONERS)}: choose one of these")
    parts = parts_of(place, getattr(library("transformers"), CAPTIONERS[kind]), UNUSED)
    return Caption(TransformersCaptioner(*parts, prompt=prompt), captions, per_word=per_word)
