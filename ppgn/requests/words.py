"""Captions for a captioner, and texts for a model of texts and images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ppgn.bundle import Bundle
from ppgn.conditions import And, Caption, CaptionerLike, Measure, TextSimilarity
from ppgn.probe import EncoderPass, Passes
from ppgn.requests.request import Request, selected
from ppgn.types import Condition, Image

TRUNK = ("trunk", "depths", "widths", "channels", "input_size", "mean", "std", "bgr")
"""Settings that a captioner and an encoder must have in common to share a pass over an image."""


@dataclass(frozen=True, eq=False)
class CaptionRequest(Request):
    """log p(caption | image) by a captioner: the bundle's (own), at the temperature of the recipe's measure, or another one.

    The bundle's captioner reads the maps of the encoder's pass where both have one trunk (shares). Where the bundle has a second
    captioner it is the mean of both log-probabilities, so that a chain cannot fool one alone. about: of another captioner.
    """

    caption: Caption
    captions: tuple[str, ...]
    own: bool
    shares: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    noun: ClassVar[str] = "caption"

    @property
    def kind(self) -> str:
        """The kind "caption" for the bundle's captioner, which has a recipe of its own, else "plugged"."""
        return "caption" if self.own else "plugged"

    @property
    def exact(self) -> tuple[str, ...]:
        """The encoders, whose maps the captioner may read."""
        return ("encoder", "classifier") if self.own else ()

    @property
    def names(self) -> tuple[str, ...]:
        """The captions."""
        return self.captions

    def quantity(self, measure: Measure | None = None) -> str:
        return "log-probability"

    def select(self, chains: Sequence[int]) -> CaptionRequest:
        return replace(self, captions=selected(self.captions, chains))

    def condition(self, passes: Passes) -> Condition:
        caption = self.caption.saying(self.captions)
        if not self.own:
            return caption
        caption = caption.at(caption.temperature * getattr(passes.measure, "temperature", 1.0))
        first = caption.seen_by(_OverMaps(caption.captioner, passes.encoder)) if self.shares else caption
        second = passes.parts.get("second_captioner")
        return first if second is None else And(first, caption.seen_by(second).reread(), weights=[0.5, 0.5])

    def describe(self) -> dict[str, Any]:
        return {"kind": "caption", "captioner": "bundle", **self.about}


@dataclass(frozen=True, eq=False)
class TextRequest(Request):
    """log p(text | image) among texts (`conditions.TextSimilarity`): for each chain one target, the place of its text."""

    similarity: TextSimilarity
    texts: tuple[str, ...]
    targets: tuple[int, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    noun: ClassVar[str] = "text"

    @property
    def names(self) -> tuple[str, ...]:
        """The text of each chain."""
        return selected(self.texts, self.targets)

    def select(self, chains: Sequence[int]) -> TextRequest:
        return replace(self, targets=selected(self.targets, chains))

    def condition(self, passes: Passes) -> Condition:
        return self.similarity.asking(self.targets)

    def describe(self) -> dict[str, Any]:
        return {"kind": "text", **self.about}

    def probability(self, measure: Measure | None = None) -> bool:
        return self.similarity.measure != "logit"

    def quantity(self, measure: Measure | None = None) -> str:
        return "log-probability" if self.probability(measure) else "logit"


def captioner_of(bundle: Bundle) -> Any:
    """The bundle's captioner. Raises ValueError where it has none."""
    if "captioner" not in bundle.parts:
        raise ValueError(
            f"bundle {bundle.name} has no captioner: use another bundle, or a captioner from elsewhere (ppgn.loaders.captioner)"
        )
    return bundle.parts["captioner"]


def captions(
    bundle: Bundle, wanted: str | Sequence[str], captioner: CaptionerLike | None = None, **manner: Any
) -> CaptionRequest:
    """Captions, one per chain, for the bundle's captioner or another one.

    manner: per_word, truncated and temperature of `conditions.Caption`. Raises ValueError for a word that the captioner does not
    know, and for a bundle without a captioner.
    """
    listed = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    return of_caption(bundle, Caption(captioner_of(bundle) if captioner is None else captioner, listed, **manner), listed)


def of_caption(bundle: Bundle, caption: Caption, listed: Sequence[str]) -> CaptionRequest:
    """The request of a caption condition. listed: the caption of each chain."""
    own = caption.captioner is bundle.parts.get("captioner")
    about = {} if own else {"captioner": type(caption.captioner).__name__}
    return CaptionRequest(caption, tuple(listed), own, own and shares_trunk(bundle), about)


def shares_trunk(bundle: Bundle) -> bool:
    """Whether the bundle's captioner and encoder have one trunk, with the same weights, and take the same pixels."""
    captioner, encoder = bundle.parts["captioner"], bundle.encoder
    if not all(hasattr(getattr(one, "config", None), name) for one in (captioner, encoder) for name in TRUNK):
        return False
    if any(getattr(captioner.config, name) != getattr(encoder.config, name) for name in TRUNK):
        return False
    theirs = encoder.trunk.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in captioner.trunk.state_dict().items())


class _OverMaps:
    """A captioner that gets the maps of its trunk from the pass of an encoder with the same trunk."""

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
