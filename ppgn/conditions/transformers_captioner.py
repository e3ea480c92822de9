"""The captioners of transformers behind the interface of `Caption`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn.conditions.preprocessing import Preprocessing
from ppgn.probe import check_eval
from ppgn.types import Image


class TransformersCaptioner:
    """A BlipForConditionalGeneration, GitForCausalLM or VisionEncoderDecoderModel as captioner of `Caption`, put into eval mode
    and frozen: log p(token t | tokens before t, image), teacher-forced, for all chains and tokens in one pass.

    The value of `Caption(TransformersCaptioner(...), text)` is -(the library's loss for that text alone) * its tokens. They are
    numbered by the tokenizer, and the end mark is one of them: for BLIP and GIT what their `generate` would write after the
    start mark it begins with (BLIP's [DEC], GIT's [CLS]), for a vision encoder-decoder its labels, that is the tokenizer's own
    ids with its special tokens, and the end mark where it adds none. BLIP's loss may add label smoothing
    (`text_config.label_smoothing`): a device of training that mixes in the mean over the vocabulary of -log p. It is no part of
    log p(caption | image) and left out.

    prompt: words before the caption that are given, not scored (BLIP was fine-tuned with "a picture of"). prepare: image -> pixel
    values, by default what the image processor says (`Preprocessing`). Move `model` to the images' device. Raises ValueError for
    another kind of model, a prompt the tokenizer does not know, and when the model has gone back into train mode.
    """

    def __init__(
        self,
        model: Any,
        image_processor: Any,
        tokenizer: Any,
        *,
        prompt: str = "",
        prepare: Callable[[Image], Tensor] | None = None,
    ) -> None:
        kind = getattr(model.config, "model_type", type(model).__name__)
        if kind not in FRAMES:
            raise ValueError(f"a captioner got a model of type {kind!r}, expected one of {sorted(FRAMES)}: load one of these")
        self.model = model.eval().requires_grad_(False)
        self.frame = FRAMES[kind](model)
        self.tokenizer = tokenizer
        self.prepare = Preprocessing.from_transformers(image_processor) if prepare is None else prepare
        self.prompt = prompt
        self.given = (self.frame.start, *(self._tokens(prompt, whole=False) if prompt else ()))

    def words_of(self, text: str) -> list[int]:
        """The tokens that are scored. Raises ValueError for no word, one that the tokenizer does not know, and a text that is
        longer than the model's positions."""
        if not text.strip():
            raise ValueError("a captioner got an empty caption, expected at least one word: write a caption")
        tokens = self._tokens(f"{self.prompt} {text}" if self.prompt else text)
        given = list(self.given[1:])
        if tokens[: len(given)] != given:
            raise ValueError(f"the tokenizer joins the prompt {self.prompt!r} to {text!r}, expected two words: change it")
        words = tokens[len(given) :]
        words = words if words[-1] == self.frame.end else [*words, self.frame.end]
        inputs = len(self.given) + len(words) - 1
        if self.frame.most is not None and inputs > self.frame.most:
            raise ValueError(f"the caption {text!r} needs {inputs} tokens, expected at most {self.frame.most}: shorten it")
        return words

    def image_vector(self, image: Image) -> Tensor:
        """Pixel values `[chain, channel, height, width]`, in the model's type."""
        check_eval(self.model)
        return self.prepare(image).to(self.model.dtype)

    def word_inputs(self, words: Tensor) -> Tensor:
        """The inputs from which `words` are predicted, `[chain, given + length - 1]`: start mark, prompt, the words before."""
        given = torch.tensor(self.given, device=words.device).expand(len(words), -1)
        return torch.cat([given, words[:, :-1].clamp(min=0)], 1)  # padding stands at the end, where no scored word sees it

    def word_log_probs(
        self, image_vector: Tensor, words: Tensor, *, word_inputs: Tensor, truncated: bool, temperature: float = 1.0
    ) -> Tensor:
        """log p(word t | words before t, image) `[chain, length]`, 0 where a word is -1. Raises ValueError for `truncated`."""
        if truncated:
            raise ValueError("a captioner of transformers has no recurrent state to cut, expected truncated=False: leave it out")
        name = "decoder_input_ids" if self.frame.special else "input_ids"
        logits = self.model(pixel_values=image_vector, **{name: word_inputs}).logits
        logits = logits[:, -words.shape[1] :]  # before them stand those of the prompt and, in GIT, of the image
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision is too coarse for a sum of logs
        scored = words >= 0
        log_probs = (logits / temperature).log_softmax(2).gather(2, words.clamp(min=0)[:, :, None])[:, :, 0]
        return log_probs.where(scored, 0.0)

    def _tokens(self, text: str, *, whole: bool = True) -> list[int]:
        """The text's tokens, in an encoder-decoder between the tokenizer's own special ones (without `whole`, behind them)."""
        bare = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        unknown = self.tokenizer.unk_token_id
        if not bare or (unknown is not None and unknown in bare):
            raise ValueError(f"the tokenizer does not know all of {text!r}, expected words of its vocabulary: use other words")
        if not self.frame.special:
            return bare
        tokens = list(self.tokenizer(text)["input_ids"])
        begins = next(at for at in range(len(tokens)) if tokens[at : at + len(bare)] == bare)
        return tokens if whole else tokens[: begins + len(bare)]


@dataclass(frozen=True)
class Frame:
    """The form in which a kind of model takes a caption: start and end marks, the most tokens, and whether the tokenizer's own
    special tokens are kept (an encoder-decoder, whose text inputs have another name too)."""

    start: int
    end: int
    most: int | None
    special: bool = False


def _blip(model: Any) -> Frame:
    text = model.config.text_config
    return Frame(text.bos_token_id, text.sep_token_id, text.max_position_embeddings)  # the marks of its `generate`


def _git(model: Any) -> Frame:
    return Frame(model.config.bos_token_id, model.config.eos_token_id, model.config.max_position_embeddings)


def _vision_encoder_decoder(model: Any) -> Frame:
    start, end = (_mark(model, name) for name in ("decoder_start_token_id", "eos_token_id"))
    return Frame(start, end, getattr(model.config.decoder, "max_position_embeddings", None), special=True)


def _mark(model: Any, name: str) -> int:
    """A mark's number, from the first of the places where files of different age keep it."""
    places = (model.config, model.generation_config, model.config.decoder)
    found = [value for place in places if isinstance(value := getattr(place, name, None), int)]
    if not found:
        raise ValueError(f"a vision encoder-decoder has no {name}, expected a token number: set model.config.{name}")
    return found[0]


FRAMES: dict[str, Callable[[Any], Frame]] = {
    "blip": _blip,
    "git": _git,
    "vision-encoder-decoder": _vision_encoder_decoder,
}
