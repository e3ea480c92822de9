"""Beam search over the captions of a captioner."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ppgn.networks.vocabulary import END, UNKNOWN

if TYPE_CHECKING:
    from ppgn.networks.captioner import Captioner


class ScoredCaption(NamedTuple):
    """A caption with its log-probability in nats; with `per_word` that is the mean over its words, the end mark included."""

    text: str
    log_prob: float


@torch.no_grad()
def beam_search(
    captioner: Captioner, image_vector: Tensor, beams: int = 3, longest: int = 16, per_word: bool = False
) -> list[ScoredCaption]:
    """The likeliest caption found for each picture, of at most `longest` words besides the end mark, without unknown words.

    image_vector: `[picture, vector_size]`. beams: captions kept per picture and step. per_word: ranks captions by log p divided
    by the number of words, the end mark included; log p alone favours short captions. Raises ValueError for less than one beam
    or word.
    """
    if min(beams, longest) < 1:
        raise ValueError(f"a beam search got {beams} beams and {longest} words, expected at least 1 of each: raise them")
    pictures, known = len(image_vector), len(captioner.config.vocabulary)
    seen = captioner.seen(image_vector).repeat_interleave(beams, 0)
    states = (captioner.first.start(len(seen)), captioner.second.start(len(seen)))
    words = torch.full((len(seen), 1), END, device=seen.device)
    total = seen.new_full((pictures, beams), -torch.inf)
    total[:, 0] = 0  # all beams begin alike, so only one of them may branch
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
    return [ScoredCaption(captioner.text_of(row), value) for row, value in zip(best, values, strict=True)]
