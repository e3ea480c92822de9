"""pycma's search with a covariance of some form, whose random numbers are a function of a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppgn.errors import required
from ppgn.seeds import Stream, generator

COVARIANCES = ("auto", "full", "separable", "vd", "vkd")
LARGEST_FULL = 1024
"""The most units of which `auto` adapts a full matrix; its decomposition costs the cube."""
QUIET = {"verbose": -9, "seed": float("nan"), "verb_log": 0, "verb_disp": 0}
"""Options of pycma: no output, and no seed for NumPy's global numbers."""


def search_of(covariance: str, step_size: float, seed: int, units: int, population: int) -> Any:
    """A `cma.CMAEvolutionStrategy` from 0 `[unit]`. Raises ValueError without the package cma."""
    cma = required("cma", "CMA-ES needs pycma", "ppgn[evolution]")
    from cma.restricted_gaussian_sampler import GaussVDSampler, GaussVkDSampler

    random = generator(seed, 0, Stream.EVOLUTION)

    def randn(*shape: int) -> np.ndarray:
        return random.standard_normal(shape)

    options: dict[str, Any] = {**QUIET, "popsize": population, "randn": randn}
    if covariance == "separable":
        options["CMA_diagonal"] = True
    elif covariance in ("vd", "vkd") or (covariance == "auto" and units > LARGEST_FULL):
        sampler = GaussVDSampler if covariance == "vd" else GaussVkDSampler
        options |= sampler.extend_cma_options({}) | {"CMA_sampler_options": {"randn": randn}}
    return cma.CMAEvolutionStrategy(np.zeros(units), step_size, options)
