"""A natural evolution strategy: the gradient of the smoothed score, from pairs of pictures on both sides of a code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ppgn.evolution.population import best_of, known, no_score, ranks, spread_of
from ppgn.seeds import check_seeds, normal
from ppgn.types import ChainState, Code, CodeSpace, at_least_one


@dataclass(frozen=True)
class Nes:
    """centre' = centre + rate * sigma * sum_i u_i e_i with e_i ~ N(0, 1), asked at centre + sigma e_i and centre - sigma e_i.

    u_i are centred ranks of the scores, in [-1/2, 1/2] / population (Salimans et al. 2017; Wierstra et al. 2014), so that neither
    the unit of a response nor an outlier matters. A pair of which a score is lacking does not pull. sigma = `radius` and the step
    are in units of each unit's spread over real pictures. population: even. Raises ValueError for a population or a number that
    cannot be.
    """

    population: int = 40
    radius: float = 0.3
    rate: float = 40.0
    space: CodeSpace = field(default=CodeSpace(), metadata={"setting": False})

    def __post_init__(self) -> None:
        if at_least_one("a population", self.population, "pictures come in pairs") % 2:
            raise ValueError(
                f"NES got a population of {self.population}, expected an even one, as pictures come in pairs: add one"
            )
        if not (self.radius > 0 and self.rate > 0):
            raise ValueError(f"NES got radius {self.radius} and rate {self.rate}, expected both above 0: correct them")

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Nes:
        """The same in a code space."""
        return replace(self, space=space)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        code = code.detach().clone()
        return ChainState(code, check_seeds(seeds), 0, {"centre": code, "score": no_score(code)})

    def ask(self, state: ChainState) -> Code:
        noise, centre = self._noise(state), state.carry["centre"]
        return self.space.clip(centre[:, None] + self.radius * spread_of(self.space, centre) * torch.cat([noise, -noise], 1))

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        scores = known(scores.double())
        code, best = best_of(state, self.ask(state), scores)
        noise, centre = self._noise(state), state.carry["centre"]
        half = self.population // 2
        utility = ranks(scores).to(centre.dtype) / max(1, self.population - 1) - 0.5
        told = scores[:, :half].isfinite() & scores[:, half:].isfinite()
        pull = ((utility[:, :half] - utility[:, half:]) * told).reshape(len(noise), half, *[1] * (centre.ndim - 1))
        step = self.rate * self.radius * (pull * noise).sum(1) / self.population
        carry = {"centre": self.space.clip(centre + spread_of(self.space, centre) * step), "score": best}
        return ChainState(code, state.seeds, state.step + 1, carry)

    def _noise(self, state: ChainState) -> Tensor:
        like = state.code
        shape = (self.population // 2, *like.shape[1:])
        return normal(state.seeds, state.step, shape, dtype=like.dtype, device=like.device)
