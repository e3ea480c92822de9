"""Conditions on what a captioner says of the image."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ppgn.types import Image, LogProb, real, shown

PADDING = -1
"""Stands behind a caption's last word in a batch of captions; its log-probability has to be 0."""


class CaptionerLike(Protocol):
    """The interface of captioners, whatever the network."""

    def words_of(self, text: str) -> list[int]:
        """Word numbers of at least 0, with all marks that the caption's probability covers; ValueError for a strange word."""
        ...

    def image_vector(self, image: Image) -> Any:
        """All that the words need to know of the images `[chain, channel, height, width]`; called once an evaluation."""
        ...

    def word_inputs(self, words: Tensor) -> Any:
        """The part of captions `[chain, length]` that needs no image, or None: kept, and handed back at every evaluation."""
        ...

    def word_log_probs(
        self, image_vector: Any, words: Tensor, *, word_inputs: Any, truncated: bool, temperature: float
    ) -> Tensor:
        """log p(word t | words before t, image), `[chain, length]` in nats; 0 where a word is -1. temperature divides the scores
        of all words in front of their softmax."""
        ...


class Caption:
    """log p(caption | image) = sum over words of log p(word | words before it, image), the end mark included; teacher forcing.

    With its exact gradient, or `truncated` to one time step as released with PPGN (Nguyen et al. 2017).
    captions: one text for all chains, or a list of one per chain. per_word: the mean over the words, end mark included, so that
    captions of several lengths weigh alike. temperature: of each word's softmax; above 1 a chain goes on asking when the word
    is likely already. Returns `[chain]`, in nats. All chains and words are one pass, and what needs no image is computed once:
    the captioner must be frozen, in evaluation mode. Raises ValueError for a word that the captioner does not know, and for
    another number of captions than chains.
    """

    def __init__(
        self,
        captioner: CaptionerLike,
        captions: str | Sequence[str],
        *,
        per_word: bool = False,
        truncated: bool = False,
        temperature: float = 1.0,
    ) -> None:
        if not 0 < real(temperature) < math.inf:
            raise ValueError(
                f"a caption condition got temperature {shown(temperature)}, expected more than 0: 1 is the softmax as it is"
            )
        self.captioner = captioner
        self.captions = captions
        self.per_word = per_word
        self.truncated = truncated
        self.temperature = temperature
        rows = [captioner.words_of(text) for text in ([captions] if isinstance(captions, str) else captions)]
        longest = max((len(row) for row in rows), default=0)
        self._words = torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows], dtype=torch.long)
        self._counts = torch.tensor([len(row) for row in rows])
        self._known: dict[tuple[torch.device, torch.dtype, int], tuple[Tensor, Any]] = {}

    def seen_by(self, captioner: CaptionerLike) -> Caption:
        """The same with a captioner that says the same, and may get its image vector otherwise."""
        other = copy.copy(self)
        other.captioner = captioner
        return other

    def at(self, temperature: float) -> Caption:
        """The same at another temperature."""
        other = copy.copy(self)
        other.temperature = temperature
        return other

    def saying(self, captions: str | Sequence[str]) -> Caption:
        """The same with other captions."""
        manner: dict[str, Any] = {"per_word": self.per_word, "truncated": self.truncated, "temperature": self.temperature}
        return Caption(self.captioner, captions, **manner)

    def reread(self) -> Caption:
        """The same, read anew by its captioner: for one with a vocabulary of its own."""
        return self.saying(self.captions)

    def for_chains(self, chains: Sequence[int]) -> Caption:
        """The same for some of its chains, in their order; itself where it is one text for all."""
        return self if isinstance(self.captions, str) else self.saying([self.captions[chain] for chain in chains])

    def __call__(self, image: Image) -> LogProb:
        chains = len(image)
        if not isinstance(self.captions, str) and len(self.captions) != chains:
            raise ValueError(
                f"a caption condition got {len(self.captions)} captions for {chains} chains, expected one per chain: "
                f"pass as many captions as chains, or one text for all"
            )
        words, inputs = self._read(image)
        vector = self.captioner.image_vector(image)
        manner: dict[str, Any] = {"truncated": self.truncated, "temperature": self.temperature}
        log_probs = self.captioner.word_log_probs(vector, words, word_inputs=inputs, **manner).sum(1)
        return log_probs / self._counts.to(image.device) if self.per_word else log_probs

    def _read(self, image: Image) -> tuple[Tensor, Any]:
        """The captions `[chain, length]` and what the captioner makes of them without an image, made once."""
        key = (image.device, image.dtype, len(image))
        if key not in self._known:
            with torch.inference_mode(False), torch.no_grad():  # to be used under any mode later
                words = self._words.to(image.device).expand(len(image), -1)
                self._known = {key: (words, self.captioner.word_inputs(words))}
        return self._known[key]
