"""A chain that leaves the finite numbers stops; the chains beside it go on."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from ppgn.errors import AllStoppedError, ChainStopped
from ppgn.types import ChainState, Evaluation


class DivergenceGuard:
    """Looks at each step of a batch of chains and holds those that are not finite any more.

    A stopped chain keeps its last finite code, and its rows of the evaluation stay those of its last finite step (with a
    log-probability of -inf where it had none); `Evaluation.stopped` says why, and a ChainStopped warning is given once.
    Raises AllStoppedError, a ValueError, with the same sentence when no chain is left.
    """

    def __init__(self) -> None:
        self.stopped: dict[int, str] = {}
        self._last: Evaluation | None = None

    def __call__(self, before: ChainState, after: ChainState, evaluation: Evaluation) -> tuple[ChainState, Evaluation]:
        """(after, evaluation) of a step from `before`, with the rows of stopped chains held."""
        quantities = _quantities(before, after, evaluation)
        rows = [value.reshape(len(value), -1) for value in quantities.values()]
        if not bool(torch.stack([row.sum(1) for row in rows]).isfinite().all()):  # quicker; a sum can also overflow
            finite = torch.stack([_finite(row) for row in rows]).cpu()
            self._note(finite, list(quantities), before)
        if self.stopped:
            rows = torch.tensor([chain in self.stopped for chain in range(len(before.code))], device=before.code.device)
            after, evaluation = self._held(before, after, evaluation, rows)
        self._last = evaluation
        return after, evaluation

    def _note(self, finite: Tensor, names: list[str], before: ChainState) -> None:
        """Warns of the chains that broke in this step, if any, finite `[quantity, chain]`, and raises where no chain is left."""
        broken: dict[int, str] = {}
        for quantity, chain in (~finite).nonzero().tolist():
            if chain not in self.stopped:
                broken.setdefault(chain, _why(names[quantity], chain, before))
        self.stopped |= dict(sorted(broken.items()))
        if len(self.stopped) == len(before.code):
            raise AllStoppedError(next(iter((broken or self.stopped).values())))
        for why in broken.values():
            warnings.warn(f"{why}; this chain stops, the others go on", ChainStopped, stacklevel=3)

    def _held(
        self, before: ChainState, after: ChainState, evaluation: Evaluation, broken: Tensor
    ) -> tuple[ChainState, Evaluation]:
        last = evaluation if self._last is None else self._last
        carry = {name: _with_rows(value, before.carry.get(name, value), broken) for name, value in after.carry.items()}
        tensors = {
            name: _with_rows(getattr(evaluation, name), getattr(last, name), broken)
            for name in ("code", "image", "direction", "gradient")
        }
        log_probs = {
            name: _with_rows(value, last.log_probs.get(name, value), broken, -torch.inf)
            for name, value in evaluation.log_probs.items()
        }
        log_prob = _with_rows(evaluation.log_prob, last.log_prob, broken, -torch.inf)
        state = replace(after, code=_with_rows(after.code, before.code, broken), carry=carry)
        return state, replace(evaluation, **tensors, log_prob=log_prob, log_probs=log_probs, stopped=dict(self.stopped))


def _with_rows(values: Tensor, other: Tensor, rows: Tensor, lacking: float = 0.0) -> Tensor:
    """Values with the marked rows of other, and `lacking` in the place of what is not finite there."""
    other = torch.nan_to_num(other, nan=lacking, posinf=lacking, neginf=lacking)
    return torch.where(rows.reshape(-1, *[1] * (values.ndim - 1)), other, values)


def _finite(rows: Tensor) -> Tensor:
    """Whether each row is finite throughout, `[row]`: its extremes are, and a NaN would be one; faster than each number."""
    return rows.amax(1).isfinite() & rows.amin(1).isfinite()


def _quantities(before: ChainState, after: ChainState, evaluation: Evaluation) -> dict[str, Tensor]:
    """The values that have to be finite, in the order in which a step makes them, so that the first one named is the cause."""
    return {
        "code": before.code,
        "image": evaluation.image,
        **{f"value of {name!r}": value for name, value in evaluation.log_probs.items()},
        "condition gradient": evaluation.gradient,
        "prior direction": evaluation.direction,
        "updated code": after.code,
    }


def _why(what: str, chain: int, before: ChainState) -> str:
    return (
        f"the {what} of chain {chain} (seed {before.seeds[chain]}) became infinite or NaN at step {before.step}, "
        f"expected finite numbers: lower the scales, or check the input range of the network in question"
    )
