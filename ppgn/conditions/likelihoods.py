"""Conditions on what a regressor or a set of yes-or-no attributes says of the image."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.conditions.codes import check_std, gaussian
from ppgn.types import Image, LogProb


class GaussianLikelihood:
    """log N(target; network(image), std^2) per chain, without its constant: -sum of ((target - network(image)) / std)^2 / 2.

    So it is 0 where the network says the target, -1/2 one std away, and never above 0 ("age 40": target 40, std 5).
    network: image -> `[chain]`, or `[chain, output]`. index: which output to take, by default all. target: in the network's
    units, a number for all chains; of one output a list with one per chain; of several `[output]` for all chains or
    `[chain, output]`. std: likewise in its units, one or per output. Raises ValueError unless std > 0, and for an index or a
    target that does not fit the output. Source: Bishop 2006, Eq. 3.8.
    """

    def __init__(
        self,
        network: Callable[[Image], Tensor],
        target: float | Sequence[float] | Tensor,
        std: float | Tensor,
        index: int | None = None,
    ) -> None:
        self.network = network
        self.target = torch.as_tensor(target, dtype=None if isinstance(target, Tensor) else torch.float64).detach().clone()
        if not bool(self.target.isfinite().all()):
            raise ValueError("a Gaussian likelihood got a target that is not finite, expected numbers: correct it")
        self.std = check_std("a Gaussian likelihood", std)
        self.index = index

    def __call__(self, image: Image) -> LogProb:
        output = _outputs(self.network, image)
        if self.index is not None:
            check_output("a Gaussian likelihood", self.index, output.shape[1])
            output = output[:, self.index, None]
        target = self.target.to(output)
        if output.shape[1] == 1 and target.shape == (len(image),):
            target = target[:, None]
        if target.shape not in ((), output.shape, output.shape[1:]):
            raise ValueError(
                f"a Gaussian likelihood got a target of shape {tuple(target.shape)}, expected a number, "
                f"{tuple(output.shape[1:])} for all chains or {tuple(output.shape)} for each: give one value per "
                f"output, or choose one by index"
            )
        return gaussian(output - target, self.std)


class BernoulliLikelihood:
    """sum over attributes of log p(wanted or not): log sigmoid(logit) where wanted, log sigmoid(-logit) where not. `[chain]`.

    network: image -> logits `[chain, attribute]`, or `[chain]` for one, each with a sigmoid of its own (no softmax). targets:
    attribute -> True (there) or False (not there), {3: True, 7: False} for "smiling, no glasses"; one for all chains, or one
    per chain; attributes that are not named may be either. Finite for any finite logit, because the sigmoid itself is not
    computed. Raises ValueError for no attribute, one the network lacks, and another number of targets than chains.
    """

    def __init__(self, network: Callable[[Image], Tensor], targets: Mapping[int, bool] | Sequence[Mapping[int, bool]]) -> None:
        self.network = network
        self.shared = isinstance(targets, Mapping)
        self.targets = tuple(_check_wanted(one) for one in ([targets] if isinstance(targets, Mapping) else targets))

    def __call__(self, image: Image) -> LogProb:
        logits = _outputs(self.network, image)
        targets = self.targets * len(image) if self.shared else self.targets
        if len(targets) != len(image):
            raise ValueError(
                f"a Bernoulli likelihood got {len(targets)} targets for {len(image)} chains, expected one per chain: "
                f"pass as many as chains, or one for all"
            )
        sign = torch.zeros_like(logits)
        for chain, wanted in enumerate(targets):
            for attribute, there in wanted.items():
                check_output("a Bernoulli likelihood", attribute, logits.shape[1])
                sign[chain, attribute] = 1.0 if there else -1.0
        return (functional.logsigmoid(sign * logits) * sign.abs()).sum(1)


def check_output(who: str, index: int, outputs: int) -> None:
    """ValueError, in the name of `who`, unless 0 <= index < outputs."""
    if not 0 <= index < outputs:
        raise ValueError(f"{who} got output {index}, expected 0 to {outputs - 1}: choose an output that the network has")


def _outputs(network: Callable[[Image], Tensor], image: Image) -> Tensor:
    output = network(image)
    if output.ndim not in (1, 2) or len(output) != len(image):
        raise ValueError(
            f"the network of a likelihood returned shape {tuple(output.shape)}, expected [{len(image)}] or "
            f"[{len(image)}, output]: give a network whose output is one number or row per image"
        )
    return output[:, None] if output.ndim == 1 else output


def _check_wanted(wanted: Mapping[int, bool]) -> dict[int, bool]:
    if not wanted or not all(isinstance(there, bool) for there in wanted.values()):
        raise ValueError(
            f"a Bernoulli likelihood got the targets {wanted!r}, expected attribute numbers with True or False, at least one: "
            f"pass {{3: True, 7: False}}"
        )
    try:
        return {operator.index(attribute): there for attribute, there in wanted.items()}
    except TypeError as error:
        raise ValueError(
            f"a Bernoulli likelihood got the attributes {list(wanted)}, expected whole numbers: pass their place in the output"
        ) from error
