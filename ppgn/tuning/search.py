"""A search for scales and steps that suit a request: Optuna proposes, short chains from the same seeds answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders, recipes, requests, sampling
from ppgn.autocast import without_autocast
from ppgn.bundle import Bundle
from ppgn.conditions import LogSoftmax
from ppgn.errors import ChainStopped
from ppgn.probe import Passes
from ppgn.recipes import Recipe
from ppgn.tuning import limits, proposals, space
from ppgn.tuning.trial import Trial
from ppgn.types import Condition, Evaluation, Image

MOST_GAP, LEAST_DIVERSITY = 2.5, 0.2
"""The limits. On imagenette64 real pictures of one class have a gap of 0.9 to 1 and a diversity of 0.4 to 0.5; the bundle's
recipe 0.7 and 0.23 for a class, 2.2 and 0.53 for a unit; DGN-AM, which is known to collapse, 4.7 and 0.17."""
ENOUGH = -0.01
"""Nats: a class of which a chain is 99 % sure is met, and more of it is no merit."""
CHAINS = 8
"""Chains of a trial where neither count nor targets say how many."""
MARKS = 8
"""Step counts, evenly spaced, after which the chains of a trial are measured."""


class Tuning:
    """A search for the recipe under which chains meet a request best without leaving what the generator knows.

    A log-probability alone would be met best by pictures that fool its network, all of them alike. So the best trial has

        the highest   mean min(log_prob, enough), of equal ones the highest diversity - max(0, gap - 1)
        within        gap <= most_gap,              gap       = mean |E(G(h)) - h| / that of realistic codes
        and           diversity >= least_diversity, diversity = mean 1 - cos(E(x), E(x')) of two chains of a kind / likewise

    with |.| the root mean square over units, x = G(h), and realistic codes from the bundle's model of them (`limits.reference`).
    Trial 0 is the default, so on these seeds the best is never behind it. The chains of every other trial are measured after
    MARKS of their steps, and the trial counts with the best of these: fewer steps cost no trial.

    wanted, seed, recipe, changes: as `sampling.sample`. count: 8, or as many as are listed. keep: settings that are not searched,
    by default those among changes; step_size includes its end. kinds: a label per chain, by default the name of its target;
    diversity is that among chains with the same label. judge: image -> one number per chain, maximised in the place of log_prob:
    a network that the chains do not climb. enough: by default ENOUGH for probabilities, and without end for what counts in
    another unit. Classes of the bundle count at temperature 1 whatever the chains climb.

    Attributes: request, recipe (the default), seeds, kinds (lists of chains), reference (a Trial: realistic codes as they are,
    gap and diversity 1), ranges (setting -> (low, high), log-uniform). Raises ValueError at once for what cannot run, a bundle
    without an encoder, a sampler that is not in SEARCHED, fewer than two chains of a kind, nothing left to search, and where
    Optuna is not installed.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        wanted: Any,
        *,
        count: int | None = None,
        seed: int | Sequence[int] = 0,
        most_gap: float = MOST_GAP,
        least_diversity: float = LEAST_DIVERSITY,
        enough: float | None = None,
        keep: Collection[str] | None = None,
        kinds: Sequence[Hashable] | None = None,
        judge: Condition | None = None,
        recipe: str | Recipe | None = None,
        **changes: Any,
    ) -> None:
        proposals.optuna()
        bundle = loaders.bundle(bundle)
        self.bundle, self.judge, self.most_gap, self.least_diversity = bundle, judge, most_gap, least_diversity
        self.request = requests.of(bundle, wanted, count, default=CHAINS)
        self.recipe = recipes.recipe_for(bundle, self.request.kind, recipe, **changes)
        self.seeds = sampling.seeds_of(seed, len(self.request))
        self.kinds = _kinds(self.request.names if kinds is None else kinds, len(self.request))
        self.enough = ENOUGH if enough is None and judge is None and self.counts_probability else enough
        _check(bundle, most_gap, least_diversity, enough)
        kept = [name for name, value in changes.items() if value is not None] if keep is None else keep
        names = space.searched(self.recipe, kept, self._asks_for_classes)
        self._setup = recipes.prepare(bundle, self.recipe, self.request)
        sampling.check_room(self._setup, len(self.request))
        recipes.starting_codes(self._setup, self.seeds[:1])  # raises for a start that the bundle lacks
        self._gap, self._diversity = limits.reference(self._setup)
        code = limits.realistic_codes(self._setup, self.seeds)
        evaluation = recipes.objective(self._setup, self.request).evaluate(code)
        ranges = space.ranges(self.recipe, evaluation)
        self.ranges = {name: ranges[name] for name in names}
        self.reference = Trial(-1, self.recipe, {}, self._measured(evaluation)[0], 1.0, 1.0)

    @property
    def counts_probability(self) -> bool:
        """Whether what the request counts is a log-probability."""
        return self._asks_for_classes or self.request.probability(self.recipe.measure)

    def run(self, trials: int = 20, done: Sequence[Trial] = ()) -> Iterator[tuple[Trial, Image | None]]:
        """Yields each trial from number len(done) to number trials - 1 with its pictures, `[chain, channel, height, width]`, or
        None where chains stopped.

        A trial depends on the seeds and on the trials before it alone. So a search that goes on after those in `done` makes the
        same trials as one that was never interrupted.
        """
        past = list(done)
        for number in range(len(past), trials):
            trial, pictures = self._tried(number, self._proposed(past))
            past.append(trial)
            yield trial, pictures

    def _proposed(self, past: Sequence[Trial]) -> dict[str, float]:
        """The next place; first the default, moved into the ranges."""
        if not past:
            return proposals.inside(self.ranges, space.place(self.recipe, self.ranges))
        return proposals.propose(self.ranges, past, self.seeds[0] + len(past))

    def _tried(self, number: int, proposed: dict[str, float]) -> tuple[Trial, Image | None]:
        """The trial at the best of its step counts, the default at its own.

        The recipe has run once in `__init__`, so an error here comes of the numbers proposed, and the trial counts as stopped.
        """
        steps, recipe = self.recipe.steps, self.recipe if number == 0 else space.recipe_at(self.recipe, proposed)
        marks = {steps} if number == 0 else {max(1, steps * mark // MARKS) for mark in range(1, MARKS + 1)}
        best: tuple[Trial, Image | None] = Trial(number, recipe, proposed), None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ChainStopped)  # the trial says why
                for step, evaluation in enumerate(self._evaluations(recipe), 1):
                    if evaluation.stopped:
                        raise ValueError(next(iter(evaluation.stopped.values())))
                    if step in marks:
                        trial = self._trial(number, space.first_steps(recipe, step), proposed, evaluation)
                        best = max(best, (trial, evaluation.image), key=lambda pair: pair[0].order)
        except ValueError as fault:
            return Trial(number, recipe, proposed, stopped=str(fault)), None
        return best

    def _evaluations(self, recipe: Recipe) -> Iterator[Evaluation]:
        """The steps of a run of the recipe, in the precision that was decided for the default."""
        setup = replace(self._setup, recipe=replace(recipe, precision=self._setup.recipe.precision))
        return sampling.evaluations(setup, recipes.objective(setup, self.request), self.seeds)

    def _trial(self, number: int, recipe: Recipe, proposed: dict[str, float], evaluation: Evaluation) -> Trial:
        value, gap, diversity = self._measured(evaluation)
        gap, diversity = gap / self._gap, diversity / self._diversity
        excess = max(0.0, gap - self.most_gap) + max(0.0, self.least_diversity - diversity)
        return Trial(number, recipe, proposed, value, gap, diversity, excess)

    @without_autocast()
    @torch.no_grad()
    def _measured(self, evaluation: Evaluation) -> tuple[float, float, float]:
        """Means over chains of what is maximised, of |E(G(h)) - h|, and of the distances of E(x) within a kind.

        The encoder runs in float32, whatever the chains run in.
        """
        owner = f"bundle {self.bundle.name}"
        passes = Passes(self.bundle.parts, owner=owner, device=self.bundle.device, measure=LogSoftmax())
        seen = passes.encoder.code(evaluation.image)
        value = self._value(evaluation, passes).double()
        value = float((value if self.enough is None else value.clamp(max=self.enough)).mean())
        if not math.isfinite(value):
            raise ValueError(f"the mean over chains of what is maximised is {value}, expected a finite number: correct the judge")
        gap = limits.gaps(self._setup, evaluation.code, seen)
        return value, float(gap.mean()), limits.diversity(seen, self.kinds)

    def _value(self, evaluation: Evaluation, passes: Passes) -> Tensor:
        if self.judge is not None:
            return self.judge(evaluation.image)
        if self._asks_for_classes:
            return self.request.condition(passes)(evaluation.image)
        return evaluation.log_probs["condition"]

    @property
    def _asks_for_classes(self) -> bool:
        """Whether the request is for classes of the bundle, whose measure and temperature the recipe sets."""
        return self.request.kind == "class"


def _kinds(labels: Sequence[Hashable], chains: int) -> list[list[int]]:
    """The chains of each label. Raises ValueError unless there is a label per chain and two chains of each."""
    if len(labels) != chains:
        raise ValueError(f"got {len(labels)} kinds for {chains} chains, expected one per chain: pass as many as chains")
    found = [[chain for chain, own in enumerate(labels) if own == label] for label in dict.fromkeys(labels)]
    if min(map(len, found)) < 2:
        raise ValueError("got one chain of a kind, expected at least 2, so that they can differ: raise count")
    return found


def _check(bundle: Bundle, most_gap: float, least_diversity: float, enough: float | None) -> None:
    if bundle.encoder is None:
        raise ValueError(f"{bundle.name} has no encoder, expected one to measure gap and diversity by: use another bundle")
    if enough is not None and math.isnan(enough):
        raise ValueError("got enough nan, expected a log-probability from which more counts as no better: correct it")
    if not most_gap > 0:
        raise ValueError(f"got most_gap {most_gap}, expected more than 0: 1 is the gap of realistic codes")
    if not 0 <= least_diversity < math.inf:
        raise ValueError(f"got least_diversity {least_diversity}, expected at least 0: 1 is that of realistic codes")
