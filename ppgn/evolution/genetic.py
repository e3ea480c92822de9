"""The genetic algorithm of XDream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ppgn.evolution.population import best_of, known, no_score, spread_of
from ppgn.seeds import Stream, check_seeds, normal, uniform
from ppgn.types import ChainState, Code, CodeSpace, at_least_one

OUTLIER = 0.95
"""Quantile of a generation's scores above which scores count as this one."""


@dataclass(frozen=True)
class Genetic:
    """A generation is bred from the one before: parents by fitness, genes of both, mutations, and the best kept as they are.

    fitness = exp((score - highest) / kT) with kT = std(scores) / selectivity; scores above the generation's 95th percentile count
    as that. A child takes each unit from its first parent with probability `heritability`, else from the second. Each unit of it
    mutates with probability `mutation_rate` by N(0, mutation_size^2), in units of the unit's spread over real pictures (the first
    generation has a spread of 1). The `conserved` best pass on unchanged, and are measured anew. Constants: Ponce et al. 2019 and
    the released code (willwx/XDream, xdream/Optimizers.py and examples/experiment.py). Raises ValueError for a constant that
    cannot be.
    """

    population: int = 20
    mutation_rate: float = 0.5
    mutation_size: float = 0.5
    selectivity: float = 2.0
    heritability: float = 0.5
    conserved: int = 1
    space: CodeSpace = field(default=CodeSpace(), metadata={"setting": False})

    def __post_init__(self) -> None:
        at_least_one("a population", self.population, "a generation has one picture or more")
        shares = {"mutation_rate": self.mutation_rate, "heritability": self.heritability}
        for name, value in shares.items():
            if not 0 <= value <= 1:
                raise ValueError(f"the genetic algorithm got {name} {value}, expected 0 to 1: correct it")
        if not (self.mutation_size > 0 and self.selectivity > 0):
            got = f"mutation_size {self.mutation_size} and selectivity {self.selectivity}"
            raise ValueError(f"the genetic algorithm got {got}, expected both above 0: correct them")
        if not 0 <= self.conserved <= self.population:
            raise ValueError(f"the genetic algorithm got conserved {self.conserved}, expected 0 to {self.population}: correct it")

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Genetic:
        """The same in a code space."""
        return replace(self, space=space)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        noise = normal(seeds, 0, (self.population, *code.shape[1:]), stream=Stream.START, dtype=code.dtype, device=code.device)
        return self.init_from(code[:, None] + spread_of(self.space, code) * noise, seeds)

    def init_from(self, codes: Code, seeds: Sequence[int]) -> ChainState:
        """The state whose first generation is `[chain, population, *code]`."""
        population = self.space.clip(codes.detach())
        carry = {"population": population, "score": no_score(population)}
        return ChainState(population[:, 0].clone(), check_seeds(seeds), 0, carry)

    def ask(self, state: ChainState) -> Code:
        return state.carry["population"]

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        scores, parents = known(scores.double()), state.carry["population"]
        code, best = best_of(state, parents, scores)
        children = torch.stack(
            [self._bred(*one) for one in zip(parents, scores, state.seeds, [state.step] * len(scores), strict=True)]
        )
        return ChainState(code, state.seeds, state.step + 1, {"population": children, "score": best})

    def _bred(self, parents: Code, scores: Tensor, seed: int, step: int) -> Code:
        """The next generation `[population, *code]` of one chain."""
        order = scores.argsort(descending=True, stable=True)
        parents, scores = parents[order], scores[order]
        found = scores[scores.isfinite()]
        heat = max(float(found.std(correction=0)) / self.selectivity, torch.finfo(torch.float64).tiny)
        capped = scores.clamp(max=float(found.quantile(OUTLIER)))
        fitness = ((capped - capped.max()) / heat).exp()
        count, units = self.population - self.conserved, parents[0].numel()
        drawn = uniform([seed], step, (count, 2 + 2 * units), stream=Stream.EVOLUTION, dtype=torch.float64)[0].to(parents.device)
        places = torch.searchsorted((fitness.cumsum(0) / fitness.sum()).contiguous(), drawn[:, :2].contiguous())
        first, second = (parents[places[:, side].clamp(max=len(parents) - 1)].flatten(1) for side in (0, 1))
        mixed = torch.where(drawn[:, 2 : 2 + units] < self.heritability, first, second)
        shift = normal([seed], step, (count, *parents.shape[1:]), dtype=parents.dtype, device=parents.device)[0]
        mutates = (drawn[:, 2 + units :] < self.mutation_rate).reshape(shift.shape)
        children = mixed.reshape(shift.shape) + self.mutation_size * spread_of(self.space, parents) * shift * mutates
        return torch.cat([parents[: self.conserved], self.space.clip(children)])
