"""The covariance matrix adaptation evolution strategy; pycma does its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.evolution.population import best_of, known, no_score, spread_of
from ppgn.evolution.pycma import COVARIANCES, search_of
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code, CodeSpace, at_least_one


@dataclass(frozen=True)
class CmaEs:
    """N(mean, step_size^2 C) in standardised units z = (code - start) / std, whose mean, step size and C learn from ranks.

    covariance: "full"; "separable", its diagonal; "vd" and "vkd", a diagonal and one or several directions (Akimoto et al. 2014,
    2016); "auto" is full up to 1,024 units, else vkd. sphere: codes keep the length of the start around the space's mean, before
    they are clipped to its bounds (after Wang & Ponce 2022). step_size: the first one, in units of each unit's spread over real
    pictures. centre: whether the last code of a generation is the mean of the search, from which nothing is learned, but which
    scores above the codes around it in many dimensions, and depends on no lucky score where scores are noisy. population: the
    mean included; 0 for pycma's, 4 + 3 ln(units). Hansen & Ostermeier 2001; Nikolaus Hansen's pycma.

    The state carries all scores told, from which pycma is brought to where it was, so that no object needs to be stored. Raises
    ValueError for a setting that cannot be, and without the package cma.
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

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        code = code.detach().clone()
        size = self.population or 4 + self.centre + int(3 * np.log(code[0].numel()))
        told = torch.zeros(len(code), 0, size, dtype=torch.float64, device=code.device)
        return ChainState(code, check_seeds(seeds), 0, {"start": code, "told": told, "score": no_score(code)})

    def ask(self, state: ChainState) -> Code:
        start = state.carry["start"]
        asked = torch.stack([torch.from_numpy(np.array(self._shifts(state, chain))) for chain in range(len(start))])
        shift = asked.to(start).reshape(len(start), -1, *start.shape[1:])
        return self.space.clip(self._on_sphere(start, start[:, None] + spread_of(self.space, start) * shift))

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        scores = known(scores.double())
        code, best = best_of(state, self.ask(state), scores)
        told = torch.cat([state.carry["told"], scores[:, None]], 1)
        return ChainState(code, state.seeds, state.step + 1, {**state.carry, "told": told, "score": best})

    def _on_sphere(self, start: Code, codes: Code) -> Code:
        if not self.sphere:
            return codes
        mean, spread = torch.as_tensor(self.space.mean).to(start), spread_of(self.space, start)
        length = ((start - mean) / spread).flatten(1).norm(dim=1)
        away = (codes - mean) / spread
        scale = length[:, None] / away.flatten(2).norm(dim=2).clamp(min=1e-12)
        return mean + spread * away * scale.reshape(*scale.shape, *[1] * (start.ndim - 1))

    def _shifts(self, state: ChainState, chain: int) -> list[np.ndarray]:
        """What a chain asks next, in standardised units."""
        search, asked = self._at(state, chain)
        return [*asked, search.mean] if self.centre else asked

    def _at(self, state: ChainState, chain: int) -> tuple[Any, list[np.ndarray]]:
        """(pycma after all that the chain was told, what it asks next). Goes on from the last call where that fits."""
        key = (state.seeds[chain], state.carry["start"][chain].numel(), state.carry["told"].shape[2])
        told = state.carry["told"][chain].cpu().numpy()
        search, asked, known_so_far = self._running.get(key, (None, [], told[:0]))
        if search is None or len(known_so_far) > len(told) or not np.array_equal(known_so_far, told[: len(known_so_far)]):
            search, known_so_far = search_of(self.covariance, self.step_size, *key[:2], key[2] - self.centre), told[:0]
            asked = search.ask()
        for scores in told[len(known_so_far) :]:
            of_samples = -scores[: len(asked)]
            search.tell(asked, of_samples.tolist() if np.isfinite(of_samples).any() else [0.0] * len(asked))
            asked = search.ask()
        self._running[key] = (search, asked, told)
        return search, asked
