"""Captions for a bundle's own captioner, wired."""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor

from ppgn.bundle import Bundle
from ppgn.conditions import And, Caption
from ppgn.probe import EncoderPass
from ppgn.types import Condition, Image

TRUNK = ("trunk", "depths", "widths", "channels", "input_size", "mean", "std", "bgr")
"""What a captioner and an encoder must have in common to share a pass over an image."""


def captioner_of(bundle: Bundle) -> Any:
    """The bundle's captioner; ValueError where it has none."""
    if "captioner" not in bundle.parts:
        raise ValueError(
            f"bundle {bundle.name} has no captioner of its own: use another bundle, or a captioner from elsewhere "
            f"(--captioner hf:NAME, ppgn.named.captioner)"
        )
    return bundle.parts["captioner"]


def is_own_caption(condition: Any, bundle: Bundle) -> TypeGuard[Caption]:
    """Whether a condition is a caption for the bundle's own captioner."""
    return isinstance(condition, Caption) and condition.captioner is bundle.parts.get("captioner")


def shares_trunk(bundle: Bundle, condition: Any) -> bool:
    """Whether a caption is for the bundle's own captioner, whose trunk and pixels are those of the bundle's encoder."""
    if not is_own_caption(condition, bundle):
        return False
    own, encoder = bundle.parts["captioner"], bundle.encoder
    if not all(hasattr(one.config, name) for one in (own, encoder) for name in TRUNK):  # a captioner from elsewhere
        return False
    if any(getattr(own.config, name) != getattr(encoder.config, name) for name in TRUNK):
        return False
    theirs = encoder.trunk.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in own.trunk.state_dict().items())


def caption_condition(bundle: Bundle, shared: EncoderPass, caption: Caption, sharing: bool) -> Condition:
    """A caption for the bundle's own captioner, over the encoder's maps where both share a trunk.

    A bundle with a second captioner has a second opinion: the mean of both log-probabilities, so that neither is fooled alone.
    """
    first = caption.seen_by(_OverMaps(caption.captioner, shared)) if sharing else caption
    if "second_captioner" not in bundle.parts:
        return first
    manner: dict[str, Any] = {name: getattr(caption, name) for name in ("per_word", "truncated", "temperature")}
    return And(first, Caption(bundle.parts["second_captioner"], caption.captions, **manner), weights=[0.5, 0.5])


class _OverMaps:
    """A captioner that gets the maps of its trunk from the pass of an encoder with the same one."""

    def __init__(self, captioner: Any, shared: EncoderPass) -> None:
        self.captioner, self.shared = captioner, shared

    def image_vector(self, image: Image) -> Tensor:
        return self.captioner.from_maps(self.shared.maps(image))

    def words_of(self, text: str) -> list[int]:
        return self.captioner.words_of(text)

    def word_inputs(self, words: Tensor) -> Any:
        return self.captioner.word_inputs(words)

    def word_log_probs(self, image_vector: Any, words: Tensor, **manner: Any) -> Tensor:
        return self.captioner.word_log_probs(image_vector, words, **manner)
