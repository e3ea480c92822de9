"""Measures: the scores of a layer, one of which is asked for, -> a log-probability per chain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ppgn.images import constant
from ppgn.types import LogProb

Target = int | tuple[int, ...]


@dataclass(frozen=True)
class LogSoftmax:
    """log softmax(scores / temperature)[target], with its true gradient (PPGN, Eq. 11, second term): `[chain]`, in nats.

    temperature: above 1 a chain goes on asking when the target is likely already. Raises ValueError unless it is above 0.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, scores: Tensor, target: Target, who: str = "a class condition") -> LogProb:
        return at_target(tempered(scores, self.temperature).log_softmax(1), target, who)

    def plain(self) -> LogSoftmax:
        """The same at temperature 1."""
        return replace(self, temperature=1.0)


@dataclass(frozen=True)
class Released:
    """The value of LogSoftmax with the gradient of the released PPGN code, (1 - p_target) * d score_target:

    softmax's gradient with every entry but the target's set to 0, so logit ascent that slows down as p nears 1
    (docs/released-code.md, section 2). `[chain]`, in nats. Raises ValueError unless the temperature is above 0.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(self, scores: Tensor, target: Target, who: str = "a class condition") -> LogProb:
        scores = tempered(scores, self.temperature)
        score = at_target(scores, target, who)
        log_prob = at_target(scores.detach().log_softmax(1), target, who)
        one_minus_p = -torch.expm1(log_prob)
        return one_minus_p * (score - score.detach()) + log_prob

    def plain(self) -> Released:
        """The same at temperature 1."""
        return replace(self, temperature=1.0)


@dataclass(frozen=True)
class Logit:
    """scores[target] as they are: a log-probability up to a constant, with no other class in it, as in DGN-AM. `[chain]`."""

    def __call__(self, scores: Tensor, target: Target, who: str = "a class condition") -> LogProb:
        return at_target(scores, target, who)

    def plain(self) -> Logit:
        """Itself: a raw score has no temperature."""
        return self


MEASURES: dict[str, Any] = {"log_softmax": LogSoftmax, "released": Released, "logit": Logit, "activation": Logit}
"""Name -> measure. "activation" is what "logit" is called for a hidden unit."""
Measure = Callable[[Tensor, Target, str], LogProb]


def measure_named(name: str) -> Measure:
    """The measure of that name with its defaults; ValueError for an unknown name."""
    if name not in MEASURES:
        raise ValueError(f"got the measure {name!r}, expected one of {', '.join(MEASURES)}: pass one of these names")
    return MEASURES[name]()


def tempered(scores: Tensor, temperature: float) -> Tensor:
    """scores / temperature."""
    return scores if temperature == 1 else scores / temperature


def check_temperature(temperature: float) -> None:
    """Raises ValueError unless the temperature is above 0 and finite."""
    if not 0 < temperature < math.inf:
        raise ValueError(f"got temperature {temperature}, expected more than 0: 1 is the softmax as it is")


def at_target(values: Tensor, target: Target, who: str = "a class condition") -> Tensor:
    """values `[chain, class]` at each chain's target: `[chain]`. Raises ValueError, in the name of `who`, if it has none."""
    chains, classes = values.shape
    targets = target if isinstance(target, tuple) else (target,) * chains
    if len(targets) != chains:
        raise ValueError(
            f"{who} got {len(targets)} targets for {chains} chains, expected one per chain: "
            f"pass as many targets as chains, or one for all"
        )
    outside = [number for number in targets if not 0 <= number < classes]
    if outside:
        raise ValueError(
            f"{who} got the target {outside[0]}, expected 0 to {classes - 1}: choose one of the {classes} that there are"
        )
    return values.gather(1, constant(targets, torch.long, values.device)[:, None])[:, 0]
