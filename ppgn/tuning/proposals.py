"""Proposals of what to try next: Optuna's tree-structured Parzen estimator, which learns from the order of the trials alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppgn.errors import required
from ppgn.tuning.trial import Trial

STARTUP = 6
"""Trials at random places, the default's included, before the estimator begins to learn."""
Ranges = Mapping[str, tuple[float, float]]
"""Setting -> (low, high)."""


def optuna() -> Any:
    """The package; ValueError where it is not installed."""
    return required("optuna", "tuning needs Optuna", "ppgn[tune]")


def propose(ranges: Ranges, past: Sequence[Trial], seed: int) -> dict[str, float]:
    """The next place in the ranges, log-uniform, after at least one trial (Bergstra et al. 2011).

    It depends on the order of the past trials, on what was proposed for them, and on the seed.
    """
    package = optuna()
    floats = {name: package.distributions.FloatDistribution(*span, log=True) for name, span in ranges.items()}
    ranks = {trial.number: rank for rank, trial in enumerate(sorted(past, key=lambda trial: trial.order))}
    level = package.logging.get_verbosity()
    package.logging.set_verbosity(package.logging.WARNING)
    try:
        sampler = package.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed % 2**32)
        study = package.create_study(direction="maximize", sampler=sampler)
        for trial in past:
            value, where = float(ranks[trial.number]), inside(ranges, trial.proposed)
            study.add_trial(package.trial.create_trial(params=where, distributions=floats, value=value))
        return study.ask(floats).params
    finally:
        package.logging.set_verbosity(level)


def inside(ranges: Ranges, where: Mapping[str, float]) -> dict[str, float]:
    """The nearest place in the ranges."""
    return {name: min(max(where[name], low), high) for name, (low, high) in ranges.items()}
