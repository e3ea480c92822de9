"""The captioner: the words of an image's caption, by two LSTMs over the maps of a trunk of convolutions."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.images import Size, height_and_width
from ppgn.networks.beam_search import ScoredCaption, beam_search
from ppgn.networks.lstm import Lstm, State
from ppgn.networks.trunk import TrunkConfig, build_trunk, trunk_maps
from ppgn.networks.vocabulary import END, MARKS, PADDING, tokens


@dataclass(frozen=True)
class CaptionerConfig(TrunkConfig):
    """A vocabulary, a trunk, and the sizes of the layers above it.

    vocabulary: all words, MARKS first. map_channels, map_size: channels of all kept maps together, and (height, width) of the
    last one, to which the others are averaged down. reduce: channels that a 1x1 convolution leaves of them (0: all).
    vector_size: units of the image's vector. embedding: units of a word. hidden: units of each LSTM. dropout: on the image's
    vector and on the outputs of both LSTMs.
    """

    vocabulary: tuple[str, ...] = MARKS
    map_channels: int = 256
    map_size: Size = 4
    reduce: int = 64
    vector_size: int = 512
    embedding: int = 256
    hidden: int = 512
    dropout: float = 0.3


class Captioner(nn.Module):
    """p(caption | image) as a product over words, in LRCN's factored form with two LSTMs (Donahue et al. 2015).

    The first LSTM reads the words alone. The second reads the first one's output and, at every word, the image's vector. A
    linear layer and a softmax over the vocabulary follow. Captions are rows of word numbers that end in END, padded by -1.
    Raises ValueError for a vocabulary that does not begin with MARKS.
    """

    architecture = "captioner"
    mean: Tensor
    std: Tensor

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        if config.vocabulary[:2] != MARKS:
            raise ValueError(f"a captioner got a vocabulary that begins with {config.vocabulary[:2]}, expected {MARKS}: add them")
        height, width = height_and_width(config.map_size, "the maps")
        self.config = config
        self.places = {word: place for place, word in enumerate(config.vocabulary)}
        self.trunk = build_trunk(config)
        self.register_buffer("mean", torch.zeros(config.map_channels, 1, 1))
        self.register_buffer("std", torch.ones(config.map_channels, 1, 1))
        reduced = config.reduce or config.map_channels
        self.reduce = nn.Conv2d(config.map_channels, reduced, 1) if config.reduce else nn.Identity()
        self.image = nn.Linear(reduced * height * width, config.vector_size)
        self.embedding = nn.Embedding(len(config.vocabulary), config.embedding)
        self.first = Lstm(config.embedding, config.hidden)
        self.second = Lstm(config.hidden, config.hidden)
        self.seen = nn.Linear(config.vector_size, 4 * config.hidden, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.words = nn.Linear(config.hidden, len(config.vocabulary))

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[picture, channel, height, width]` at `config.depths`, then the last, as an encoder of this trunk."""
        return trunk_maps(self.trunk, self.config, image)

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps averaged down to the last one's size, `[picture, map_channels, *map_size]`."""
        return torch.cat([functional.adaptive_avg_pool2d(one, self.config.map_size) for one in maps], 1)

    def vector_of(self, joined: Tensor) -> Tensor:
        """The image's vector `[picture, vector_size]` from joined maps, standardised by `mean` and `std` of each channel."""
        reduced = torch.relu(self.reduce((joined - self.mean) / self.std))
        return self.dropout(torch.relu(self.image(reduced.flatten(1))))

    def from_maps(self, maps: Sequence[Tensor]) -> Tensor:
        """The image's vector `[picture, vector_size]` from `maps`, which may come from another network of the same trunk."""
        return self.vector_of(self.join(maps))

    def image_vector(self, image: Tensor) -> Tensor:
        """The image's vector `[picture, vector_size]` of pictures `[picture, channel, height, width]` in [0, 1]."""
        return self.from_maps(self.maps(image))

    def word_inputs(self, words: Tensor) -> Tensor:
        """Inputs of the second LSTM that captions `[caption, length]` give without the image, `[caption, length, 4 hidden]`."""
        before = functional.pad(words[:, :-1], (1, 0), value=END).clamp(min=0)
        return self.second.inputs(self.dropout(self.first(self.first.inputs(self.embedding(before)))))

    def word_log_probs(
        self,
        image_vector: Tensor,
        words: Tensor,
        *,
        word_inputs: Tensor | None = None,
        truncated: bool = False,
        temperature: float = 1.0,
    ) -> Tensor:
        """log p(word t | words before t, image), `[caption, length]` in nats, 0 where the caption is padded.

        image_vector: `[caption, vector_size]`. word_inputs: `word_inputs(words)`, where they are known already. truncated: the
        same values with the gradient of the released PPGN code, in which an image changes a word directly but not through
        the state that earlier words left. temperature: of the softmax.
        """
        inputs = self.word_inputs(words) if word_inputs is None else word_inputs
        hidden = self.second(inputs + self.seen(image_vector)[:, None], truncated)
        log_probs = (self.words(self.dropout(hidden)) / temperature).log_softmax(-1)
        return log_probs.gather(2, words.clamp(min=0)[..., None])[..., 0].masked_fill(words < 0, 0.0)

    def words_of(self, text: str) -> list[int]:
        """The numbers of a caption's `tokens`, END last. Raises ValueError for no word and, with the nearest known words, for
        unknown ones."""
        spoken = tokens(text)
        unknown = [word for word in dict.fromkeys(spoken) if word not in self.places]
        if unknown or not spoken:
            near = [close for word in unknown for close in difflib.get_close_matches(word, self.config.vocabulary[2:])]
            wrong = f"the unknown word{'s' * (len(unknown) > 1)} {', '.join(unknown)}" if unknown else "no word"
            advice = f"the nearest known words, {', '.join(near)}" if near else f"others, such as {', '.join(self._common)}"
            known = len(self.config.vocabulary) - 2
            raise ValueError(f"the caption {text!r} has {wrong}, expected some of the captioner's {known} words: use {advice}")
        return [*(self.places[word] for word in spoken), END]

    @property
    def _common(self) -> tuple[str, ...]:
        return self.config.vocabulary[2:8]

    def text_of(self, words: Sequence[int]) -> str:
        """The caption of word numbers up to the end mark or the padding."""
        ends = [place for place, word in enumerate(words) if word in (END, PADDING)]
        return " ".join(self.config.vocabulary[word] for word in words[: ends[0] if ends else len(words)])

    def next_log_probs(self, words: Tensor, states: tuple[State, State], seen: Tensor) -> tuple[Tensor, tuple[State, State]]:
        """log p(next word) `[caption, vocabulary]` and both states after the words `[caption]`; seen: `self.seen(vector)`."""
        first = self.first.step(self.first.inputs(self.embedding(words)), states[0])
        second = self.second.step(self.second.inputs(first[0]) + seen, states[1])
        return self.words(second[0]).log_softmax(-1), (first, second)

    def beam_search(self, image: Tensor, beams: int = 3, longest: int = 16, per_word: bool = False) -> list[ScoredCaption]:
        """The likeliest caption found for each picture `[picture, channel, height, width]`; see `networks.beam_search`."""
        return beam_search(self, self.image_vector(image), beams, longest, per_word)
