"""The captioner: what a picture shows, word by word, by two LSTMs over the maps of a trunk of convolutions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn.networks.encoder import Fc6Encoder, Fc6EncoderConfig

END, UNKNOWN = 0, 1
MARKS = ("<end>", "<unknown>")
"""The first two of every vocabulary: the end of a caption, which also stands before its first word, and any rare word."""
PADDING = -1

State: TypeAlias = tuple[Tensor, Tensor]
"""What an LSTM remembers: its output and its cell, `[caption, hidden]` each."""


@dataclass(frozen=True)
class CaptionerConfig:
    """The words known, a trunk, and the sizes of what stands above it.

    `trunk` to `bgr` are those of Fc6EncoderConfig. The maps at `depths` and the last one, averaged down to the last one's
    `map_size`, have `map_channels` channels together; `reduce` is what a 1x1 convolution leaves of them (0: all).
    """

    vocabulary: tuple[str, ...] = MARKS
    trunk: str = "convnet"
    depths: tuple[str, ...] = ()
    widths: tuple[int, ...] = (32, 64, 128, 256)
    channels: int = 3
    input_size: int = 64
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    bgr: bool = False
    map_channels: int = 256
    map_size: int = 4
    reduce: int = 64
    vector_size: int = 512
    embedding: int = 256
    hidden: int = 512
    dropout: float = 0.3


class Said(NamedTuple):
    """A caption that a captioner found, and its log-probability in nats (a word's mean, where that was asked for)."""

    text: str
    log_prob: float


class Captioner(nn.Module):
    """p(caption | image) as a product over words, LRCN's factored form with two LSTMs (Donahue et al. 2015).

    The first LSTM reads the words alone; the second reads the first one's output and, at every word, the image's vector. A
    linear layer and a softmax over the vocabulary follow. Captions are rows of word numbers that end in END, padded by -1.
    """

    architecture = "captioner"
    mean: Tensor
    std: Tensor

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        if config.vocabulary[:2] != MARKS:
            raise ValueError(f"a captioner got a vocabulary that begins with {config.vocabulary[:2]}, expected {MARKS}: add them")
        self.config = config
        self.places = {word: place for place, word in enumerate(config.vocabulary)}
        self.trunk = Fc6Encoder(_bare_encoder(config)).trunk
        self.register_buffer("mean", torch.zeros(config.map_channels, 1, 1))
        self.register_buffer("std", torch.ones(config.map_channels, 1, 1))
        reduced = config.reduce or config.map_channels
        self.reduce = nn.Conv2d(config.map_channels, reduced, 1) if config.reduce else nn.Identity()
        self.image = nn.Linear(reduced * config.map_size**2, config.vector_size)
        self.embedding = nn.Embedding(len(config.vocabulary), config.embedding)
        self.first = Lstm(config.embedding, config.hidden)
        self.second = Lstm(config.hidden, config.hidden)
        self.seen = nn.Linear(config.vector_size, 4 * config.hidden, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.words = nn.Linear(config.hidden, len(config.vocabulary))

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[picture, channel, height, width]` at `config.depths`, then the last; as an encoder of this trunk."""
        return Fc6Encoder.maps(cast(Any, self), image)

    def join(self, maps: Sequence[Tensor]) -> Tensor:
        """The maps averaged down to the last one's size, `[picture, map_channels, map_size, map_size]`."""
        return torch.cat([functional.adaptive_avg_pool2d(one, self.config.map_size) for one in maps], 1)

    def vector_of(self, joined: Tensor) -> Tensor:
        """The image's vector `[picture, vector_size]` from joined maps, standardised by `mean` and `std` of each channel."""
        reduced = torch.relu(self.reduce((joined - self.mean) / self.std))
        return self.dropout(torch.relu(self.image(reduced.flatten(1))))

    def from_maps(self, maps: Sequence[Tensor]) -> Tensor:
        """The image's vector `[picture, vector_size]` from `maps`, which another network of the same trunk may have made."""
        return self.vector_of(self.join(maps))

    def image_vector(self, image: Tensor) -> Tensor:
        """The image's vector `[picture, vector_size]` of pictures `[picture, channel, height, width]` in [0, 1]."""
        return self.from_maps(self.maps(image))

    def word_inputs(self, words: Tensor) -> Tensor:
        """What the second LSTM gets from captions `[caption, length]` alone, `[caption, length, 4 hidden]`: no image in it."""
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

        image_vector: `[caption, vector_size]`. word_inputs: of these words, where they are known already. truncated: the
        same values with the gradient of the released PPGN code, in which an image changes a word directly but not through
        the state that earlier words left. temperature: of the softmax.
        """
        inputs = self.word_inputs(words) if word_inputs is None else word_inputs
        hidden = self.second(inputs + self.seen(image_vector)[:, None], truncated)
        log_probs = (self.words(self.dropout(hidden)) / temperature).log_softmax(-1)
        return log_probs.gather(2, words.clamp(min=0)[..., None])[..., 0].masked_fill(words < 0, 0.0)

    def words_of(self, text: str) -> list[int]:
        """The numbers of a caption's `tokens`, END last; ValueError naming the nearest known words for one that is unknown."""
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
        """The caption of word numbers, up to the end mark or the padding."""
        ends = [place for place, word in enumerate(words) if word in (END, PADDING)]
        return " ".join(self.config.vocabulary[word] for word in words[: ends[0] if ends else len(words)])

    def next_log_probs(self, words: Tensor, states: tuple[State, State], seen: Tensor) -> tuple[Tensor, tuple[State, State]]:
        """log p(next word) `[caption, vocabulary]` and the states after the last words `[caption]`; seen: `self.seen(vector)`."""
        first = self.first.step(self.first.inputs(self.embedding(words)), states[0])
        second = self.second.step(self.second.inputs(first[0]) + seen, states[1])
        return self.words(second[0]).log_softmax(-1), (first, second)

    def beam_search(self, image: Tensor, beams: int = 3, longest: int = 16, per_word: bool = False) -> list[Said]:
        """The likeliest caption found of each picture `[picture, channel, height, width]`; see `search`."""
        return search(self, self.image_vector(image), beams, longest, per_word)


class Lstm(nn.Module):
    """c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c') with gates i, f, g, o = inputs + W h (Hochreiter & Schmidhuber 1997).

    Written out because truncation reaches between two steps, and because cuDNN's has no gradient in evaluation mode.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(size, 4 * hidden)
        self.recurrent = nn.Linear(hidden, 4 * hidden, bias=False)

    def start(self, captions: int) -> State:
        zero = self.recurrent.weight.new_zeros(captions, self.recurrent.in_features)
        return zero, zero

    def step(self, inputs: Tensor, state: State) -> State:
        """The state after inputs `[caption, 4 hidden]`."""
        hidden, cell = state
        in_, forget, new, out = (inputs + self.recurrent(hidden)).chunk(4, -1)
        cell = forget.sigmoid() * cell + in_.sigmoid() * new.tanh()
        return out.sigmoid() * cell.tanh(), cell

    def forward(self, inputs: Tensor, truncated: bool = False) -> Tensor:
        """Outputs `[caption, length, hidden]` for inputs `[caption, length, 4 hidden]`."""
        state, outputs = self.start(len(inputs)), []
        for one in inputs.unbind(1):
            state = self.step(one, (state[0].detach(), state[1].detach()) if truncated else state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)


@torch.no_grad()
def search(captioner: Captioner, image_vector: Tensor, beams: int = 3, longest: int = 16, per_word: bool = False) -> list[Said]:
    """Beam search over captions of at most `longest` words besides the end mark, all pictures at once; no unknown words.

    image_vector: `[picture, vector_size]`. per_word: ranks captions by log p divided by the number of words, the end mark
    included, where log p alone favours short ones. Raises ValueError for less than one beam or word.
    """
    if min(beams, longest) < 1:
        raise ValueError(f"a beam search got {beams} beams and {longest} words, expected at least 1 of each: raise them")
    pictures, known = len(image_vector), len(captioner.config.vocabulary)
    seen = captioner.seen(image_vector).repeat_interleave(beams, 0)
    states = (captioner.first.start(len(seen)), captioner.second.start(len(seen)))
    words = torch.full((len(seen), 1), END, device=seen.device)
    total = seen.new_full((pictures, beams), -torch.inf)
    total[:, 0] = 0  # all beams begin alike: one of them is enough
    lengths = torch.zeros_like(total)
    for place in range(longest + 1):
        log_probs, states = captioner.next_log_probs(words[:, -1], states, seen)
        log_probs[:, UNKNOWN] = -torch.inf
        if place == longest:
            log_probs[:, END + 1 :] = -torch.inf
        ended = (words[:, 1:] == END).any(1)
        log_probs[ended] = -torch.inf
        log_probs[ended, END] = 0.0
        lengths = lengths + (~ended).view_as(lengths)
        candidates = total[..., None] + log_probs.view(pictures, beams, known)
        ranked = candidates / lengths[..., None] if per_word else candidates
        chosen = ranked.flatten(1).topk(beams, 1).indices
        total, came_from = candidates.flatten(1).gather(1, chosen), chosen // known
        rows = (came_from + beams * torch.arange(pictures, device=seen.device)[:, None]).flatten()
        words = torch.cat([words[rows], (chosen % known).view(-1, 1)], 1)
        lengths = lengths.gather(1, came_from)
        states = ((states[0][0][rows], states[0][1][rows]), (states[1][0][rows], states[1][1][rows]))
    best = words.view(pictures, beams, -1)[:, 0, 1:].tolist()
    values = (total / lengths if per_word else total)[:, 0].tolist()
    return [Said(captioner.text_of(row), value) for row, value in zip(best, values, strict=True)]


def tokens(text: str) -> list[str]:
    """The words of a caption in lower case without punctuation: "A women's T-shirt, red" -> a, womens, tshirt, red."""
    return re.findall(r"[^\W_]+", re.sub(r"['\u2019\-]", "", text.lower()))


def _bare_encoder(config: CaptionerConfig) -> Fc6EncoderConfig:
    """An encoder of the smallest head, for its trunk and the check of its depths."""
    return Fc6EncoderConfig(
        trunk=config.trunk, depths=config.depths, widths=config.widths, channels=config.channels,
        classes=1, pool5_channels=1, pool5_size=1, reduce=0, code_size=1, hidden=1,
    )  # fmt: skip
