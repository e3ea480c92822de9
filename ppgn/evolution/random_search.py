"""Codes drawn without looking at the scores, against which a search has to prove itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ppgn.evolution.population import best_of, known, no_score, spread_of
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, CodeSpace, at_least_one


@dataclass(frozen=True)
class RandomSearch:
    """Each generation is drawn from N(mean, std^2) of the code space, clipped to its bounds; the best code ever is kept."""

    population: int = 20
    space: CodeSpace = field(default=CodeSpace(), metadata={"setting": False})

    def __post_init__(self) -> None:
        at_least_one("a population", self.population, "a generation has one picture or more")

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> RandomSearch:
        """The same in a code space."""
        return replace(self, space=space)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        return ChainState(code.detach().clone(), check_seeds(seeds), 0, {"score": no_score(code)})

    def ask(self, state: ChainState) -> Code:
        like, shape = state.code, (self.population, *state.code.shape[1:])
        noise = normal(state.seeds, state.step, shape, dtype=like.dtype, device=like.device)
        mean = torch.as_tensor(self.space.mean, dtype=like.dtype, device=like.device)
        return self.space.clip(mean + spread_of(self.space, like) * noise)

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        code, best = best_of(state, self.ask(state), known(scores.double()))
        return ChainState(code, state.seeds, state.step + 1, {"score": best})
