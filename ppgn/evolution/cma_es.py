"""The covariance matrix adaptation evolution strategy; pycma does its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.evolution.population import best_of, known, length_of, no_score, of_length, spread_of
from ppgn.evolution.pycma import COVARIANCES, search_of
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, CodeSpace, at_least_one


@dataclass(frozen=True)
class CmaEs:
    """N(mean, step_size^2 C) in standardised units z = (code - start) / std, whose mean, step size and C learn from ranks.

    covariance: "full"; "separable", its diagonal; "vd" and "vkd", a diagonal and one or several directions (Akimoto et al. 2014,
    2016); "auto" is full up to 1,024 units, else vkd. sphere: codes keep their first length (`population.length_of`) until they
    are clipped to the bounds (after Wang & Ponce 2022). step_size: the first one, in units of each unit's spread over real
    pictures. centre: whether the last code of a generation is the mean of the search, from which nothing is learned: in many
    dimensions it scores above the codes around it, whatever luck or noise these had. population: the centre included; 0 for
    pycma's, 4 + 3 ln(units). Hansen & Ostermeier 2001; Nikolaus Hansen's pycma. The state carries all scores told, from which
    pycma is brought to where it was. Raises ValueError for a setting that cannot be, and without the package cma.
    """

    population: int = 0
    step_size: float = 0.5
    covariance: str = "auto"
    sphere: bool = False
    centre: bool = True
    space: CodeSpace = field(default=CodeSpace(), metadata={"setting": False})
    _running: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False, metadata={"setting": False})

    def __post_init__(self) -> None:
        least = 2 + self.centre
        if self.population and at_least_one("a population", self.population, "CMA-ES takes 0 for its own") < least:
            why = f"as it learns from ranks{', and its centre has none' if self.centre else ''}"
            raise ValueError(f"CMA-ES got a population of {self.population}, expected at least {least}, {why}: raise it")
        if self.covariance not in COVARIANCES or not self.step_size > 0:
            got = f"covariance {self.covariance!r} and step_size {self.step_size}"
            raise ValueError(f"CMA-ES got {got}, expected one of {', '.join(COVARIANCES)} and a size above 0: correct them")

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> CmaEs:
        """The same in a code space."""
        return replace(self, space=space, _running={})

    @property
    def centres(self) -> int:
        """Codes at the end of a generation that are no samples."""
        return int(self.centre)

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        return self._around(code.detach().clone(), length_of(code, self.space), seeds)

    def init_around(self, codes: Code, seeds: Sequence[int]) -> ChainState:
        """The state around the mean of codes `[chain, picture, *code]`, on a sphere of their mean length."""
        lengths = torch.stack([length_of(some, self.space).mean() for some in codes])
        return self._around(codes.detach().mean(1), lengths, seeds)

    def _around(self, start: Code, length: Tensor, seeds: Sequence[int]) -> ChainState:
        size = self.population or 4 + self.centre + int(3 * np.log(start[0].numel()))
        told = torch.zeros(len(start), 0, size, dtype=torch.float64, device=start.device)
        carry = {"start": start, "length": length, "told": told, "score": no_score(start)}
        return ChainState(start, check_seeds(seeds), 0, carry)

    def ask(self, state: ChainState) -> Code:
        start = state.carry["start"]
        asked = torch.stack([torch.from_numpy(self._asked(state, chain)) for chain in range(len(start))])
        shift = asked.to(start).reshape(len(start), -1, *start.shape[1:])
        codes = start[:, None] + spread_of(self.space, start) * shift
        return self.space.clip(of_length(codes, state.carry["length"], self.space) if self.sphere else codes)

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        scores = known(scores.double())
        code, best = best_of(state, self.ask(state), scores)
        told = torch.cat([state.carry["told"], scores[:, None]], 1)
        return ChainState(code, state.seeds, state.step + 1, {**state.carry, "told": told, "score": best})

    def _asked(self, state: ChainState, chain: int) -> np.ndarray:
        """What a chain asks next, in standardised units. pycma goes on from the last call where what it was told fits."""
        key = (state.seeds[chain], state.carry["start"][chain].numel(), state.carry["told"].shape[2])
        told = state.carry["told"][chain].cpu().numpy()
        search, asked, known_so_far = self._running.get(key, (None, [], told[:0]))
        if search is None or len(known_so_far) > len(told) or not np.array_equal(known_so_far, told[: len(known_so_far)]):
            search, known_so_far = search_of(self.covariance, self.step_size, *key[:2], key[2] - self.centres), told[:0]
            asked = search.ask()
        for scores in told[len(known_so_far) :]:
            of_samples = -scores[: len(asked)]
            search.tell(asked, of_samples.tolist() if np.isfinite(of_samples).any() else [0.0] * len(asked))
            asked = search.ask()
        self._running[key] = (search, asked, told)
        return np.array([*asked, search.mean] if self.centre else asked)
