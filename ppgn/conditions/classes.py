"""Conditions on the class that a network sees in the image."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppgn.types import Image, LogProb


class ClassLogProb:
    """log p(target | image) = log softmax(network(image))[target], with its true gradient (PPGN, Eq. 11, second term).

    network: image `[chain, channel, height, width]` -> logits `[chain, class]`. target: one class for all chains, or
    one per chain. Returns `[chain]`, in nats. Raises ValueError when the network's output is not 2-D, when a target
    is no class of the network, and when a list of targets has another length than there are chains.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return at_target(_logits(self.network, image).log_softmax(1), self.target)


class ReleasedClass:
    """log p(target | image) as value, but with the gradient of the released PPGN code:

        (1 - p_target) * d logit_target / d image

    that is, softmax's gradient with every entry but the target's set to 0: logit ascent that slows down as p nears 1.
    Arguments, shapes and errors as ClassLogProb.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return released_log_prob(_logits(self.network, image), self.target)


class ClassLogit:
    """network(image)[target], the score before the softmax: a log-probability up to a constant, with no other class in it.

    What DGN-AM (Nguyen et al. 2016) climbs. Arguments, shapes and errors as ClassLogProb.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], target: int | Sequence[int]) -> None:
        self.network = network
        self.target = _check_target(target)

    def __call__(self, image: Image) -> LogProb:
        return at_target(_logits(self.network, image), self.target)


def released_log_prob(scores: Tensor, target: int | tuple[int, ...], who: str = "a class condition") -> LogProb:
    """log softmax(scores `[chain, class]`)[target] with the gradient of ReleasedClass: `[chain]`."""
    score = at_target(scores, target, who)
    log_prob = at_target(scores.detach().log_softmax(1), target, who)
    one_minus_p = -torch.expm1(log_prob)
    return one_minus_p * (score - score.detach()) + log_prob


def _check_target(target: int | Sequence[int]) -> int | tuple[int, ...]:
    try:
        return tuple(operator.index(one) for one in target) if isinstance(target, Sequence) else operator.index(target)
    except TypeError as error:
        raise ValueError(
            f"a class condition got the target {target!r}, expected an int or one int per chain: pass class numbers"
        ) from error


def _logits(network: Callable[[Tensor], Tensor], image: Image) -> Tensor:
    logits = network(image)
    if logits.ndim != 2 or len(logits) != len(image):
        raise ValueError(
            f"the network of a class condition returned shape {tuple(logits.shape)}, expected [chain, class] with "
            f"{len(image)} chains: give a network whose output is one row of logits per image"
        )
    return logits


def at_target(values: Tensor, target: int | tuple[int, ...], who: str = "a class condition") -> Tensor:
    """values `[chain, class]` at each chain's target: `[chain]`. Raises ValueError, in the name of `who`, if it has none."""
    chains, classes = values.shape
    targets = target if isinstance(target, tuple) else (target,) * chains
    if len(targets) != chains:
        raise ValueError(
            f"{who} got {len(targets)} targets for {chains} chains, expected one per chain: "
            f"pass as many targets as chains, or one for all"
        )
    outside = [one for one in targets if not 0 <= one < classes]
    if outside:
        raise ValueError(
            f"{who} got the target {outside[0]}, expected 0 to {classes - 1}: choose one of the {classes} that there are"
        )
    return values.gather(1, torch.tensor(targets, device=values.device)[:, None])[:, 0]
