"""A chain that leaves the finite numbers stops; the chains beside it go on."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from ppgn.types import ChainState, Evaluation


class ChainStopped(UserWarning):
    """A chain met infinity or NaN and is held where it last was finite."""


class StopBroken:
    """Looks at each step of a batch of chains and holds those that are not finite any more.

    A stopped chain keeps its last finite code, and its rows of the evaluation stay those of its last finite step (with a
    log-probability of -inf where it had none); `Evaluation.stopped` says why, and a ChainStopped warning is given once.
    Raises ValueError with the same sentence when no chain is left.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, str] = {}
        self._last: Evaluation | None = None

    def __call__(self, before: ChainState, after: ChainState, evaluation: Evaluation) -> tuple[ChainState, Evaluation]:
        """(after, evaluation) of a step from `before`, with the rows of stopped chains held."""
        broken = {chain: why for chain, why in _broken(before, after, evaluation).items() if chain not in self.stopped}
        self.stopped |= broken
        if len(self.stopped) == len(before.code):
            raise ValueError(next(iter((broken or self.stopped).values())))
        for why in broken.values():
            warnings.warn(f"{why}; this chain stops, the others go on", ChainStopped, stacklevel=2)
        if self.stopped:
            after, evaluation = self._held(before, after, evaluation)
        self._last = evaluation
        return after, evaluation

    def _held(self, before: ChainState, after: ChainState, evaluation: Evaluation) -> tuple[ChainState, Evaluation]:
        rows = list(self.stopped)
        last = evaluation if self._last is None else self._last
        carry = {name: _with_rows(value, before.carry.get(name, value), rows) for name, value in after.carry.items()}
        tensors = {
            name: _with_rows(getattr(evaluation, name), getattr(last, name), rows)
            for name in ("code", "image", "direction", "gradient")
        }
        log_probs = {
            name: _with_rows(value, last.log_probs.get(name, value), rows, -torch.inf)
            for name, value in evaluation.log_probs.items()
        }
        log_prob = _with_rows(evaluation.log_prob, last.log_prob, rows, -torch.inf)
        state = replace(after, code=_with_rows(after.code, before.code, rows), carry=carry)
        return state, replace(evaluation, **tensors, log_prob=log_prob, log_probs=log_probs, stopped=dict(self.stopped))


def _with_rows(values: Tensor, other: Tensor, rows: list[int], lacking: float = 0.0) -> Tensor:
    """A copy of values whose rows are those of other, with `lacking` in the place of what is not finite there."""
    values = values.clone()
    values[rows] = torch.nan_to_num(other[rows], nan=lacking, posinf=lacking, neginf=lacking)
    return values


def _broken(before: ChainState, after: ChainState, evaluation: Evaluation) -> dict[int, str]:
    """Chain -> what is not finite in it. In the order in which a step makes them, so that the first one named is the cause."""
    quantities = {
        "code": before.code,
        "image": evaluation.image,
        **{f"log-probability of {name!r}": value for name, value in evaluation.log_probs.items()},
        "condition gradient": evaluation.gradient,
        "prior direction": evaluation.direction,
        "updated code": after.code,
    }
    finite = torch.stack([value.isfinite().reshape(len(value), -1).all(1) for value in quantities.values()])
    if bool(finite.all()):
        return {}
    firsts = {}
    for index, chain in (~finite).nonzero().tolist():
        firsts.setdefault(chain, list(quantities)[index])
    return {
        chain: f"the {what} of chain {chain} (seed {before.seeds[chain]}) became infinite or NaN at step {before.step}, "
        f"expected finite numbers: lower the scales, or check that network's input range"
        for chain, what in sorted(firsts.items())
    }
