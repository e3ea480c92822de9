"""What rules share: units in multiples of their spread, scores that are lacking, and the best code known."""

from __future__ import annotations

import torch
from torch import Tensor

from ppgn.types import ChainState, Code, CodeSpace

TINY = 1e-12


def spread_of(space: CodeSpace, like: Code) -> Tensor:
    """The standard deviation of each unit over real pictures, 1 where nobody measured it, to broadcast over `like`."""
    return torch.as_tensor(1.0 if space.std is None else space.std, dtype=like.dtype, device=like.device)


def known(scores: Tensor) -> Tensor:
    """Scores `[chain, population]` with -inf in the place of those that are lacking (NaN). Raises ValueError for a chain without
    any score, for infinite ones, and where there are none."""
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(
            f"a search was told scores of shape {list(scores.shape)}, expected [chain, population]: pass one for each"
        )
    found = torch.where(scores.isnan(), -torch.inf, scores)
    if bool(scores.isposinf().any()) or not bool(found.isfinite().any(1).all()):
        raise ValueError(
            "a search was told scores that are infinite, or none for a whole chain, expected finite ones, or NaN for some that "
            "are lacking: measure these pictures again"
        )
    return found


def length_of(codes: Code, space: CodeSpace) -> Tensor:
    """The length `[chain]` of codes `[chain, *code]` from the space's mean, in multiples of each unit's spread; units without any
    do not count."""
    away, spread = codes - torch.as_tensor(space.mean).to(codes), spread_of(space, codes)
    return torch.where(spread > 0, away / spread.clamp(min=TINY), 0.0).flatten(1).norm(dim=1)


def of_length(codes: Code, length: Tensor, space: CodeSpace) -> Code:
    """Codes `[chain, population, *code]` moved along their direction from the space's mean to the `length_of` each chain."""
    mean = torch.as_tensor(space.mean).to(codes)
    now = length_of(codes.flatten(0, 1), space).reshape(codes.shape[:2]).clamp(min=TINY)
    return mean + (codes - mean) * (length[:, None] / now).reshape(*now.shape, *[1] * (codes.ndim - 2)).to(codes)


def ranks(scores: Tensor) -> Tensor:
    """Ranks `[chain, population]` from 0, the lowest; equal scores share their mean rank."""
    below = (scores[:, :, None] > scores[:, None]).sum(2)
    return below + ((scores[:, :, None] == scores[:, None]).sum(2) - 1) / 2


def best_of(state: ChainState, asked: Code, scores: Tensor) -> tuple[Code, Tensor]:
    """(the best code `[chain, *code]`, its score `[chain]`) of what the state knows and of a generation.

    The state carries the score of its code as "score"; asked `[chain, population, *code]`; scores as `known` returns them.
    """
    best, member = scores.max(1)
    better = best > state.carry["score"]
    rows = torch.arange(len(scores), device=scores.device)
    code = torch.where(better.reshape(-1, *[1] * (state.code.ndim - 1)), asked[rows, member], state.code)
    return code, torch.where(better, best, state.carry["score"])


def no_score(code: Code) -> Tensor:
    """The score `[chain]` of codes of which nothing is known."""
    return torch.full((len(code),), -torch.inf, dtype=torch.float64, device=code.device)
