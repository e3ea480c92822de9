"""Conditions on how well a text fits the image, under networks that put both into one space: CLIP, SigLIP and their kin."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.conditions.crops import Crops
from ppgn.conditions.measures import at_target
from ppgn.conditions.preprocessing import Preprocessing
from ppgn.probe import check_eval
from ppgn.types import Image, LogProb, real, shown

TextMeasure: TypeAlias = Literal["log_softmax", "log_sigmoid", "logit"]
WHO = "a text similarity"


class TextSimilarity:
    """log p(text | image) among texts, with logits = scale * cosine(features of the image, features of each text) + bias.

        "log_softmax"   log softmax over the texts of the asked one: CLIP's training likelihood (Radford et al. 2021, Fig. 3)
        "log_sigmoid"   log sigmoid(logit) of the asked one + sum over the others of log sigmoid(-logit): SigLIP's (Zhai et al.
                        2023, Eq. 2); with one text just the first
        "logit"         the asked one's logit: a log-probability up to a constant, with no other text in it

    encode: image `[chain, channel, height, width]` -> features `[chain, feature]`. texts: `[text, feature]`, normalised here
    once. target: which text is asked, one for all chains or one per chain. crops: the mean of the value over them, one pass
    each; None is the image as it is. Returns `[chain]`. Raises ValueError for a softmax over one text (always 0), a target that
    is no text, and another number of targets than chains.
    """

    def __init__(
        self,
        encode: Callable[[Image], Tensor],
        texts: Tensor,
        target: int | Sequence[int] = 0,
        *,
        scale: float = 100.0,
        bias: float = 0.0,
        measure: TextMeasure = "log_softmax",
        crops: Crops | None = None,
    ) -> None:
        if not 0 < real(scale) < math.inf or not math.isfinite(real(bias)):
            raise ValueError(
                f"{WHO} got scale {shown(scale)} and bias {shown(bias)}, expected finite ones and a scale above 0: correct them"
            )
        if measure not in MEASURES:
            raise ValueError(f"{WHO} got measure={measure!r}, expected one of {sorted(MEASURES)}: pass one of them")
        if measure == "log_softmax" and len(texts) < 2:
            raise ValueError(
                f"{WHO} got {len(texts)} text for a softmax, whose value is always 0, expected at least 2: give texts to compare "
                f'with (against=["a photo"]), or measure="logit"'
            )
        self.encode = encode
        self.texts = functional.normalize(texts.detach(), dim=1)
        self.target = target if isinstance(target, int) else tuple(target)
        self.scale = scale
        self.bias = bias
        self.measure: TextMeasure = measure
        self.crops = crops

    def for_chains(self, chains: Sequence[int]) -> TextSimilarity:
        """The same for some of its chains, in their order; itself where all have one text."""
        return self if isinstance(self.target, int) else self.asking([self.target[chain] for chain in chains])

    def asking(self, target: int | Sequence[int]) -> TextSimilarity:
        """The same model and texts, with another target: one text for all chains or one per chain."""
        other = copy.copy(self)
        other.target = target if isinstance(target, int) else tuple(target)
        return other

    def to(self, device: torch.device | str) -> TextSimilarity:
        """Its model, where it has one, on that device; the texts follow the image by themselves."""
        model = getattr(self.encode, "model", None)
        if model is not None:
            model.to(device)
        return self

    @classmethod
    def from_transformers(
        cls,
        model: Any,
        image_processor: Any,
        tokenizer: Any,
        text: str | Sequence[str],
        against: Sequence[str] = (),
        *,
        measure: TextMeasure | None = None,
        crops: Crops | None = None,
        prepare: Callable[[Image], Tensor] | None = None,
    ) -> TextSimilarity:
        """Of a CLIPModel or SiglipModel (or another with their `get_image_features`), put into eval mode and frozen.

        text: what is asked, one for all chains or one per chain; against: the other texts. measure: by default "log_sigmoid"
        for a model with a logit_bias (SigLIP), else "log_softmax". SigLIP's texts are padded to its full length, as it was
        trained. prepare: image -> pixel values, by default what the image processor says (`Preprocessing`). Raises ValueError
        also for a text that is longer than the model takes.
        """
        texts, target = _texts_and_target(text, against)
        prepare = Preprocessing.from_transformers(image_processor) if prepare is None else prepare
        encoder = ImageFeatures(model, prepare, lambda pixels: model.get_image_features(pixel_values=pixels).pooler_output)
        whole = getattr(model, "logit_bias", None) is not None
        with torch.no_grad():
            features = model.get_text_features(**_tokenized(model, tokenizer, texts, whole)).pooler_output
        return cls._of_model(encoder, features, target, measure, crops)

    @classmethod
    def from_open_clip(
        cls,
        model: Any,
        tokenizer: Callable[[list[str]], Tensor],
        text: str | Sequence[str],
        against: Sequence[str] = (),
        *,
        measure: TextMeasure | None = None,
        crops: Crops | None = None,
        prepare: Callable[[Image], Tensor] | None = None,
    ) -> TextSimilarity:
        """Of a model and tokenizer of open_clip; the rest as `from_transformers`. Its tokenizers cut long texts off."""
        texts, target = _texts_and_target(text, against)
        prepare = Preprocessing.from_open_clip(model.visual.preprocess_cfg) if prepare is None else prepare
        encoder = ImageFeatures(model, prepare, model.encode_image)
        with torch.no_grad():
            features = model.encode_text(tokenizer(texts).to(model.logit_scale.device))
        return cls._of_model(encoder, features, target, measure, crops)

    @classmethod
    def _of_model(
        cls, encoder: ImageFeatures, texts: Tensor, target: int | Sequence[int], measure: TextMeasure | None, crops: Crops | None
    ) -> TextSimilarity:
        """With the model's own scale and bias, and the measure that it was trained by where none is given."""
        bias = getattr(encoder.model, "logit_bias", None)
        chosen = _measure(measure, bias)
        return cls(encoder, texts, target, scale=_scale(encoder.model), bias=_number(bias), measure=chosen, crops=crops)

    def logits(self, image: Image) -> Tensor:
        """scale * cosine + bias, `[chain, text]`: the library's own logits_per_image, without crops."""
        features = functional.normalize(self.encode(image), dim=1).to(image.dtype)
        return self.scale * features @ self.texts.to(features).T + self.bias

    def __call__(self, image: Image) -> LogProb:
        parts = [image] if self.crops is None else self.crops(image)
        values = [MEASURES[self.measure](self.logits(part), self.target) for part in parts]
        return torch.stack(values).mean(0)


class ImageFeatures:
    """image -> features `[chain, feature]` by a model with pixels of its own making. Move `model` to the images' device.

    Raises ValueError when the model has gone back into train mode.
    """

    def __init__(self, model: Any, prepare: Callable[[Image], Tensor], features: Callable[[Tensor], Tensor]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.prepare = prepare
        self.features = features

    def __call__(self, image: Image) -> Tensor:
        check_eval(self.model)
        return self.features(self.prepare(image).to(self.model.logit_scale.dtype))


def _log_sigmoid(logits: Tensor, target: int | tuple[int, ...]) -> LogProb:
    places = torch.arange(logits.shape[1], device=logits.device).expand_as(logits)
    asked = places == at_target(places, target, WHO)[:, None]
    return functional.logsigmoid(torch.where(asked, logits, -logits)).sum(1)


MEASURES: dict[str, Callable[[Tensor, int | tuple[int, ...]], LogProb]] = {
    "log_softmax": lambda logits, target: at_target(logits.log_softmax(1), target, WHO),
    "log_sigmoid": _log_sigmoid,
    "logit": lambda logits, target: at_target(logits, target, WHO),
}


def _texts_and_target(text: str | Sequence[str], against: Sequence[str]) -> tuple[list[str], int | list[int]]:
    """All texts once, the asked ones first, and the place of the asked one (for all chains, or of each)."""
    if isinstance(against, str):
        raise ValueError(f"{WHO} got against={against!r}, expected a list of texts: put it into brackets")
    wanted = [text] if isinstance(text, str) else list(text)
    texts = list(dict.fromkeys([*wanted, *against]))
    if not wanted or not all(one.strip() for one in texts):
        raise ValueError(f"{WHO} got the texts {texts}, expected at least one asked text and none empty: write them")
    return texts, 0 if isinstance(text, str) else [texts.index(one) for one in wanted]


def _tokenized(model: Any, tokenizer: Any, texts: list[str], whole: bool) -> dict[str, Tensor]:
    most = model.config.text_config.max_position_embeddings
    longest = max(len(ids) for ids in tokenizer(texts)["input_ids"])
    if longest > most:
        raise ValueError(f"{WHO} got a text of {longest} tokens, expected at most {most}: shorten it")
    padding = {"padding": "max_length", "max_length": most} if whole else {"padding": True}
    tokens = tokenizer(texts, return_tensors="pt", **padding)
    names = ("input_ids",) if whole else ("input_ids", "attention_mask")  # SigLIP was trained to see its padding
    return {name: tokens[name].to(model.logit_scale.device) for name in names}


def _measure(measure: TextMeasure | None, bias: Tensor | None) -> TextMeasure:
    return measure or ("log_softmax" if bias is None else "log_sigmoid")


def _scale(model: Any) -> float:
    return float(model.logit_scale.exp())


def _number(bias: Tensor | None) -> float:
    return 0.0 if bias is None else float(bias)
