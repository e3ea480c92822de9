"""Scales and steps for a condition, found by trying: Optuna proposes, short chains from the same seeds answer."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ppgn.bundle import Bundle
from ppgn.finite import ChainStopped
from ppgn.probe import EncoderPass
from ppgn.recipes import realism
from ppgn.recipes.classes import Target, asked_of
from ppgn.recipes.collected import seeds_of
from ppgn.recipes.named import kind_of, settings_for
from ppgn.recipes.runs import run, start_for
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import class_condition, objective_for
from ppgn.types import Condition, Evaluation, Image

SEARCHED = {
    "langevin": ("prior_scale", "condition_scale", "noise_scale", "temperature"),
    "released": ("prior_scale", "step_size", "step_size_end", "temperature"),  # its condition_scale only sets ratios
    "ascent": ("prior_scale", "step_size", "step_size_end"),
    "adaptive": ("prior_scale", "step_size", "step_size_end", "noise_scale", "temperature"),  # it finds its condition_scale
}
"""Sampler -> the settings that are searched beside the steps."""
MOST_GAP, LEAST_DIVERSITY = 2.5, 0.2
"""The limits. On imagenette64 real pictures of one class have a gap of 0.9 to 1 and a diversity of 0.4 to 0.5; the bundle's
settings 0.7 and 0.23 for a class, 2.2 and 0.53 for a unit; DGN-AM, which is known to collapse, 4.7 and 0.17."""
ENOUGH = -0.01
"""Nats: a class of which a chain is 99 % sure is met, and more of it is no merit."""
STARTUP = 6
"""Trials at random places, the default's included, before Optuna's TPE begins to learn."""
MARKS = 8
"""Step counts, evenly spaced, at which a run is looked at."""


@dataclass(frozen=True)
class Trial:
    """One setting tried.

    settings: its steps are those after which the chains did best. proposed: by Optuna. log_prob (nats, or whatever the condition
    counts), gap, diversity: means over chains (see Tuning). excess: by how much the last two break their limits, 0 where they
    keep them. stopped: why, where chains left the finite numbers; such a trial has no means.
    """

    number: int
    settings: Settings
    proposed: Mapping[str, float]
    log_prob: float | None = None
    gap: float | None = None
    diversity: float | None = None
    excess: float = 0.0
    stopped: str = ""

    @property
    def order(self) -> tuple[int, float, float]:
        """Greater is better: within the limits by log_prob and, where that is the same, by diversity less what the gap is above 1
        (the least gap of all is that of flat pictures); then outside of the limits by how little; then stopped."""
        if self.log_prob is None or self.gap is None or self.diversity is None:
            return -1, 0.0, 0.0
        return (1, self.log_prob, self.diversity - max(0.0, self.gap - 1)) if self.excess == 0 else (0, -self.excess, 0.0)


class Tuning:
    """A search for the settings under which chains meet a condition best without leaving what the generator knows.

    A condition's log-probability alone would be met best by pictures that fool it, all of them alike. So a trial is

        the highest   mean min(log_prob, enough), of equal ones the highest diversity - max(0, gap - 1)
        within        gap <= most_gap,              gap       = mean |E(G(h)) - h| / that of codes like real ones
        and           diversity >= least_diversity, diversity = mean 1 - cos(E(x), E(x')) of two chains of a kind / likewise

    with |.| the root mean square over units, x = G(h), and codes like real ones drawn from the bundle's model of them
    (`realism.usual`). Optuna's TPE (Bergstra et al. 2011) is told the order of the trials, which is all it uses. Trial 0 is
    the default, so on these seeds the best is never behind it. Every other run is looked at at MARKS of its steps and
    counts with the best of them: fewer steps cost no trial.

    condition, count (by default 8, or as many as classes are listed), seed, recipe, changes: as `recipes.sample`. keep: settings
    that are not searched, by default those among changes. kinds: what each chain is asked for, by default its class, or all the
    same: diversity is that within a kind. judge: what is maximised instead of log_prob, image -> one number a chain: a network
    that the chains do not climb. enough: by default ENOUGH for classes of the bundle, which count at temperature 1 whatever the
    chains climb, and without end for functions.

    Attributes: settings (the default), reference (a Trial: codes like real ones as they are, gap and diversity 1), ranges
    (setting -> (low, high), log-uniform). Raises ValueError at once for what cannot run, a sampler that is not in SEARCHED,
    fewer than two chains of a kind, nothing left to search, and where Optuna is not installed.
    """

    def __init__(
        self,
        bundle: Bundle,
        condition: Condition | str | int | Sequence[Target],
        *,
        count: int | None = None,
        seed: int | Sequence[int] = 0,
        most_gap: float = MOST_GAP,
        least_diversity: float = LEAST_DIVERSITY,
        enough: float | None = None,
        keep: Collection[str] | None = None,
        kinds: Sequence[Hashable] | None = None,
        judge: Condition | None = None,
        recipe: str | None = None,
        **changes: Any,
    ) -> None:
        _optuna()
        self.bundle, self.judge, self.most_gap, self.least_diversity = bundle, judge, most_gap, least_diversity
        self.settings = settings_for(bundle, recipe, kind=kind_of(bundle, condition), **changes)
        self.asked, chains = asked_of(bundle, condition, count, default=8)
        self.seeds = seeds_of(seed, chains)
        self.enough = ENOUGH if enough is None and not callable(self.asked) and judge is None else enough
        kinds = (self.asked if isinstance(self.asked, list) else [0] * chains) if kinds is None else kinds
        self.kinds = [[chain for chain, own in enumerate(kinds) if own == kind] for kind in dict.fromkeys(kinds)]
        _check(self.settings, self.kinds, most_gap, least_diversity)
        start_for(bundle, self.seeds[:1], self.settings)  # what it lacks is said now
        self._gap, self._diversity = realism.usual(bundle, self.settings)
        code = realism.like_real(bundle, self.seeds, self.settings)
        evaluation = objective_for(bundle, self.asked, self.settings).evaluate(code)
        self.reference = Trial(-1, self.settings, {}, self._measured(evaluation)[0], 1.0, 1.0)
        kept = {key for key, value in changes.items() if value is not None} if keep is None else set(keep)
        names = [name for name in SEARCHED[self.settings.sampler] if name not in kept and self._counts(name)]
        if not names:
            raise ValueError(f"nothing is left to search of {', '.join(SEARCHED[self.settings.sampler])}: do not set one of them")
        ranges = _ranges(self.settings, evaluation)
        self.ranges = {name: ranges[name] for name in names}

    def run(self, trials: int = 20, done: Sequence[Trial] = ()) -> Iterator[tuple[Trial, Image | None]]:
        """Yields each trial from the len(done)-th to the `trials`-th with its pictures `[chain, ...]`, None where chains stopped.

        A trial depends on the seeds and the trials before it alone: with `done`, those made earlier, it goes on as if never
        interrupted.
        """
        past = list(done)
        for number in range(len(past), trials):
            trial, pictures = self._tried(number, self._proposed(past))
            past.append(trial)
            yield trial, pictures

    def _proposed(self, past: Sequence[Trial]) -> dict[str, float]:
        """Optuna's next place; first the default, moved into the ranges."""
        if not past:
            return self._inside({**vars(self.settings), "step_size_end": _end_ratio(self.settings)})
        optuna = _optuna()
        floats = {name: optuna.distributions.FloatDistribution(*span, log=True) for name, span in self.ranges.items()}
        ranks = {trial.number: rank for rank, trial in enumerate(sorted(past, key=lambda trial: trial.order))}
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=(self.seeds[0] + len(past)) % 2**32)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            for trial in past:
                value = float(ranks[trial.number])
                study.add_trial(optuna.trial.create_trial(params=self._inside(trial.proposed), distributions=floats, value=value))
            return study.ask(floats).params
        finally:
            optuna.logging.set_verbosity(level)

    def _inside(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: min(max(values[name], low), high) for name, (low, high) in self.ranges.items()}

    def _tried(self, number: int, proposed: dict[str, float]) -> tuple[Trial, Image | None]:
        """The trial at the best of its step counts, the default at its own. Whatever fails now is the numbers' fault."""
        steps, settings = self.settings.steps, self.settings if number == 0 else _with(self.settings, proposed)
        marks = {steps} if number == 0 else {max(1, steps * mark // MARKS) for mark in range(1, MARKS + 1)}
        best: tuple[Trial, Image | None] = Trial(number, settings, proposed), None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ChainStopped)
                for step, evaluation in enumerate(run(self.bundle, self.asked, self.seeds, settings), 1):
                    if evaluation.stopped:
                        raise ValueError(next(iter(evaluation.stopped.values())))
                    if step in marks:
                        trial = self._trial(number, _cut(settings, step), proposed, evaluation)
                        best = max(best, (trial, evaluation.image), key=lambda one: one[0].order)
        except ValueError as fault:
            return Trial(number, settings, proposed, stopped=str(fault)), None
        return best

    def _trial(self, number: int, settings: Settings, proposed: dict[str, float], evaluation: Evaluation) -> Trial:
        value, gap, diversity = self._measured(evaluation)
        gap, diversity = gap / self._gap, diversity / self._diversity
        excess = max(0.0, gap - self.most_gap) + max(0.0, self.least_diversity - diversity)
        return Trial(number, settings, proposed, value, gap, diversity, excess)

    @torch.no_grad()
    def _measured(self, evaluation: Evaluation) -> tuple[float, float, float]:
        """Means over chains of what is maximised, of |E(G(h)) - h|, and of the distances of E(x) within a kind."""
        shared = EncoderPass(self.bundle.encoder)
        seen = shared.code(evaluation.image)
        value, gap = self._value(evaluation, shared), realism.gaps(self.bundle, evaluation, seen, self.settings)
        value = value.double() if self.enough is None else value.double().clamp(max=self.enough)
        return float(value.mean()), float(gap.mean()), realism.diversity(seen, self.kinds)

    def _value(self, evaluation: Evaluation, shared: EncoderPass) -> Tensor:
        if self.judge is not None:
            return self.judge(evaluation.image)
        if callable(self.asked):
            return evaluation.log_probs["condition"]
        plain = dataclasses.replace(self.settings, temperature=1.0, gradient="log_softmax")
        return class_condition(self.bundle, shared, self.asked, plain)(evaluation.image)

    def _counts(self, name: str) -> bool:
        """Whether the setting changes anything: not the scale of no prior or of no noise, nor another softmax's temperature."""
        given = self.settings
        if name == "temperature":
            return not callable(self.asked) and given.gradient != "logit"
        return not (name == "prior_scale" and given.prior == "none") and not (name == "noise_scale" and given.noise_scale == 0)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as fault:
        raise ValueError("tuning needs Optuna, which is not installed: pip install 'ppgn[tune]'") from fault
    return optuna


def _check(settings: Settings, kinds: Sequence[Sequence[int]], most_gap: float, least_diversity: float) -> None:
    if settings.sampler not in SEARCHED:
        raise ValueError(f"got sampler {settings.sampler!r}, expected one that can be tuned: choose {', '.join(SEARCHED)}")
    if min(len(own) for own in kinds) < 2:
        raise ValueError("got one chain of a kind, expected at least 2, so that they can differ: raise count")
    if not most_gap > 0 or not least_diversity >= 0:
        raise ValueError(
            f"got most_gap {most_gap} and least_diversity {least_diversity}, expected more than 0 and at least 0: both are "
            f"fractions of what codes like real ones have"
        )


def _ranges(settings: Settings, evaluation: Evaluation) -> dict[str, tuple[float, float]]:
    """Setting -> (low, high), from the mean sizes at codes like real ones of code |h|, prior |d| and condition |g|.

    Eq. 11's terms: e1 is 0.001 to 1 of the way to R(h); e2 |g| is 0.001 to 10 |h|, as g shrinks once the condition is met; e3 is
    0.001 to 0.3 |h|. The released sampler: e1 |d| is 0.001 to 10 e2 |g|. A step is 0.01 to 2 |h| (or 0.01 to 2 in the adaptive
    sampler's standard deviations) and shrinks to 0.01 to 1 of it. So the ranges fit whatever the condition counts in. A size of
    0 (a unit that no such picture excites) is taken as 1. Raises ValueError where the condition or a size is not finite.
    """
    sizes = [float(one.abs().mean()) or 1.0 for one in (evaluation.code, evaluation.direction, evaluation.gradient)]
    if not all(map(math.isfinite, (*sizes, float(evaluation.log_prob.sum())))):
        raise ValueError(
            "the condition, its gradient or the prior is infinite or NaN at codes like real ones, expected finite numbers: "
            "correct the condition, or check its network's input range"
        )
    code, direction, gradient = sizes
    ratio = (settings.condition_scale or 1.0) * gradient / direction if settings.sampler == "released" else 1.0
    return {
        "prior_scale": (1e-3 * ratio, (10 if settings.sampler == "released" else 1) * ratio),
        "condition_scale": (1e-3 * code / gradient, 10 * code / gradient),
        "noise_scale": (1e-3 * code, 0.3 * code),
        "step_size": (0.01, 2.0) if settings.sampler == "adaptive" else (0.01 * code, 2 * code),
        "step_size_end": (0.01, 1.0),  # of step_size
        "temperature": (0.5, 20.0),
    }


def _end_ratio(settings: Settings) -> float:
    return settings.step_size_end / settings.step_size if settings.step_size else 1.0


def _with(settings: Settings, proposed: Mapping[str, float]) -> Settings:
    """The settings with what is proposed, of which step_size_end is a fraction of step_size."""
    changed = dataclasses.replace(settings, **proposed)
    if "step_size_end" not in proposed:
        return changed
    return dataclasses.replace(changed, step_size_end=proposed["step_size_end"] * changed.step_size)


def _cut(settings: Settings, steps: int) -> Settings:
    """Settings whose run is the first steps of this one: of a linear schedule they are a linear schedule (`chain.linear`)."""
    if steps == settings.steps:
        return settings
    end = settings.step_size + (settings.step_size_end - settings.step_size) * steps / settings.steps
    return dataclasses.replace(settings, steps=steps, step_size_end=end)
