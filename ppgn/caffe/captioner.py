"""LRCN's captioner as released for Caffe: the scores of a classifier for the picture, and two LSTMs over the words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn import images
from ppgn.caffe.network import CaffeNetwork, CaffeNetworkConfig
from ppgn.caffe.pictures import MEAN, caffe_input, only_input
from ppgn.caffe.recurrent import Lstm

END = 0
"""The mark before the first word and behind the last one. Words are numbered from 1, in the order of the vocabulary."""
MOST_NEAR = 3
"""Known words that an error suggests for an unknown one."""


@dataclass(frozen=True)
class CaffeCaptionerConfig:
    """Definitions and blobs of a captioner.

    picture: the definition of a classifier (see CaffeNetworkConfig). vector: its blob that the LSTMs read. words: the definition
    over words. scores: its blob `[time, caption, word]` before the softmax. inputs: names of its inputs, which are the previous
    words, whether a caption goes on (0 at its first word), and the vector of the picture. vocabulary: the words from number 1 on.
    mean, image_size: see CaffeEncoderConfig.
    """

    picture: dict[str, Any] = field(default_factory=dict)
    words: dict[str, Any] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    vector: str = "fc8"
    scores: str = "predict"
    inputs: tuple[str, ...] = ("input_sentence", "cont_sentence", "image_features")
    mean: tuple[float, ...] = MEAN
    image_size: int = 256


class CaffeCaptioner(nn.Module):
    """p(caption | image) as a product over words (Donahue et al. 2015), as `ppgn.conditions.captions.CaptionerLike`.

    In LRCN's factored form, the first LSTM reads the words alone. The second reads its output and, at every word, the vector of
    the image. Any other wiring of the same inputs runs too. Raises ValueError where the definition over words has other inputs,
    and where its number of words is not that of the vocabulary and the end mark.
    """

    architecture = "caffe_captioner"

    def __init__(self, config: CaffeCaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.places = {word: place for place, word in enumerate(config.vocabulary, END + 1)}
        self.picture = CaffeNetwork(CaffeNetworkConfig(config.picture, config.vector))
        self.words = CaffeNetwork(CaffeNetworkConfig(config.words, config.scores))
        shape = self.picture.inputs[only_input(self.picture)]
        self.input_size = (shape[2], shape[3])
        if set(self.words.wanted) != set(config.inputs):
            raise ValueError(
                f"the captioner's blob {config.scores!r} needs the inputs {', '.join(self.words.wanted)}, expected "
                f"{', '.join(config.inputs)}: give LRCN's definition from words to predictions"
            )
        known = self.words.shapes[config.scores][-1]
        if known != len(self.places) + 1:
            raise ValueError(
                f"the captioner knows {known} words, the end mark included, and the vocabulary has {len(self.places)} different "
                f"ones, expected {known - 1}: give the vocabulary that it was trained with"
            )

    def words_of(self, text: str) -> list[int]:
        """The numbers of a caption's words and the end mark; underscores count as spaces.

        Raises ValueError, with the nearest known words, for an unknown word and for a caption without words.
        """
        words = re.findall(r"[^\s_]+", text.lower())
        unknown = [word for word in dict.fromkeys(words) if word not in self.places]
        if unknown or not words:
            near = [close for word in unknown for close in difflib.get_close_matches(word, self.places, MOST_NEAR, cutoff=0)]
            wrong = f"the unknown {', '.join(unknown)}" if unknown else "no word"
            advice = f"words such as {', '.join(near)}" if near else "some of them"
            raise ValueError(f"the caption {text!r} has {wrong}, expected any of {len(self.places)} known words: use {advice}")
        return [*(self.places[word] for word in words), END]

    def image_vector(self, image: Tensor) -> Tensor:
        """The vector `[picture, vector]` of pictures `[picture, channel, height, width]` in [0, 1], as in CaffeEncoder."""
        centre = caffe_input(images.resize(image, self.config.image_size), self.input_size, self.config.mean)
        return self.picture(centre).flatten(1)

    def word_inputs(self, words: Tensor) -> dict[str, Tensor]:
        """All blobs that depend on no image, for captions `[caption, length]`: in the factored form, up to the first LSTM."""
        before = functional.pad(words[:, :-1], (1, 0), value=END).clamp(min=0).T
        goes_on = torch.ones_like(before)
        goes_on[0] = 0
        words_input, goes_on_input, _ = self.config.inputs
        dtype = next(self.words.parameters()).dtype
        return self._run({words_input: before.to(dtype), goes_on_input: goes_on.to(dtype)}, truncated=False)

    def word_log_probs(
        self,
        image_vector: Tensor,
        words: Tensor,
        *,
        word_inputs: Mapping[str, Tensor] | None = None,
        truncated: bool = False,
        temperature: float = 1.0,
    ) -> Tensor:
        """log p(word t | words before t, image), `[caption, length]` in nats, 0 where the caption is padded by -1.

        image_vector: of `image_vector`. word_inputs: of the method of that name, computed here without it. truncated: the same
        values with the gradient of the released PPGN code, in which an image changes a word directly but not through the state
        that earlier words left. temperature: of the softmax.
        """
        known = self.word_inputs(words) if word_inputs is None else word_inputs
        blobs = self._run({**known, self.config.inputs[2]: image_vector}, truncated)
        log_probs = (blobs[self.config.scores].transpose(0, 1) / temperature).log_softmax(-1)
        return log_probs.gather(2, words.clamp(min=0)[..., None])[..., 0].masked_fill(words < 0, 0.0)

    def load_blobs(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Fills both networks as `CaffeNetwork.load_blobs` does: a single file of LRCN holds the layers of both."""
        self.picture.load_blobs(weights)
        self.words.load_blobs(weights)

    def _run(self, known: Mapping[str, Tensor], truncated: bool) -> dict[str, Tensor]:
        """The blobs over words that follow from the known ones. Layers whose outputs are known are not run again."""
        blobs = dict(known)
        for (_, bottoms, tops), layer in zip(self.words.wiring, self.words.layers.values(), strict=True):
            if tops[0] in known or any(bottom not in blobs for bottom in bottoms):
                continue
            given = [blobs[bottom] for bottom in bottoms]
            blobs[tops[0]] = truncated_lstm(layer, *given) if truncated and isinstance(layer, Lstm) else layer(*given)
        return blobs


def truncated_lstm(layer: Lstm, words: Tensor, goes_on: Tensor, static: Tensor | None = None) -> Tensor:
    """The outputs `[time, sequence, out]` of an LSTM, whose gradient stops at the state with which each step begins."""
    inputs = functional.linear(words.flatten(2), layer.w_xc, layer.b_c)
    if static is not None and layer.w_xc_static is not None:
        inputs = inputs + functional.linear(static, layer.w_xc_static)
    hidden = cell = inputs.new_zeros(words.shape[1], layer.outputs)
    outputs = []
    for step_inputs, on in zip(inputs, goes_on[..., None].to(inputs.dtype), strict=True):
        enter, forget, leave, new = (step_inputs + functional.linear(on * hidden.detach(), layer.w_hc)).chunk(4, -1)
        cell = on * forget.sigmoid() * cell.detach() + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * cell.tanh()
        outputs.append(hidden)
    return torch.stack(outputs)
