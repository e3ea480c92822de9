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
        logits = _logits(self.network, image)
        return _at_target(logits.log_softmax(1), self.target)


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
        logits = _logits(self.network, image)
        logit = _at_target(logits, self.target)
        log_prob = _at_target(logits.detach().log_softmax(1), self.target)
        one_minus_p = -torch.expm1(log_prob)
        return one_minus_p * (logit - logit.detach()) + log_prob


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


def _at_target(values: Tensor, target: int | tuple[int, ...]) -> Tensor:
    """values `[chain, class]` at each chain's target: `[chain]`."""
    chains, classes = values.shape
    targets = target if isinstance(target, tuple) else (target,) * chains
    if len(targets) != chains:
        raise ValueError(
            f"a class condition got {len(targets)} targets for {chains} chains, expected one per chain: "
            f"pass a list of {chains}, or one int for all"
        )
    outside = [one for one in targets if not 0 <= one < classes]
    if outside:
        raise ValueError(
            f"a class condition got the target {outside[0]}, expected 0 to {classes - 1}: "
            f"choose one of the network's {classes} classes"
        )
    return values.gather(1, torch.tensor(targets, device=values.device)[:, None])[:, 0]
