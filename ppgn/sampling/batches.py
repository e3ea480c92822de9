"""The one loop over batches of chains, each from its start to its last evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn import acceleration, chain, recipes
from ppgn.errors import AllStoppedError
from ppgn.objective import Objective
from ppgn.recipes import Hole, Setup
from ppgn.requests import Request
from ppgn.sampling.samples import OnStep, Samples, joined
from ppgn.types import Code, Evaluation, LogProb, at_least_one


@dataclass(frozen=True, eq=False)
class Begin:
    """The beginning of chains where it is not the recipe's start.

    code: (places of chains, their seeds) -> starting codes `[chain, *code]`. hole: places of chains -> the hole that they fill.
    """

    code: Callable[[Sequence[int], Sequence[int]], Code] | None = None
    hole: Callable[[Sequence[int]], Hole] | None = None


def run_batches(
    setup: Setup,
    request: Request | None,
    seeds: Sequence[int],
    batch: int,
    watch: OnStep | None = None,
    begin: Begin = Begin(),
    chains: Sequence[int] | None = None,
    scored: bool = False,
) -> tuple[Samples, LogProb | None]:
    """Runs chains with these seeds, `batch` at once, and returns their samples, and their scores where `scored`.

    Of a reproducible recipe one chain runs at a time on one thread, or all that are coupled.

    request: of all chains; chains: the places in it of those that run here, by default all. A score is log p(y | image) of a
    chain's last image at temperature 1, `[chain]`, -inf where it is not a number. Each batch has an objective of its own. Raises
    ValueError for a batch below 1, and where coupled chains would be split.
    """
    chains = range(len(seeds)) if chains is None else chains
    batch = at_least_one("batch", batch, "run one chain or more at once")
    if request is not None and request.couples and batch < len(chains):
        raise ValueError(
            f"got batch {batch} for {len(chains)} chains that are coupled, expected all at once: raise the batch, or lower count"
        )
    check_room(setup, len(chains))
    reproducible = setup.recipe.precision == recipes.REPRODUCIBLE
    if reproducible and not (request is not None and request.couples):
        batch = 1
    parts, scores = [], []
    with acceleration.one_thread() if reproducible else nullcontext():
        for first in range(0, len(chains), batch):
            some, own = chains[first : first + batch], seeds[first : first + batch]
            asked = None if request is None else request.select(some)
            objective = recipes.objective(setup, asked, None if begin.hole is None else begin.hole(some))
            code = None if begin.code is None else begin.code(some, own)
            last = _last(evaluations(setup, objective, own, code), watch)
            parts.append(samples_of(setup, asked, own, last, batch))
            scores += [_score(objective, last.image)] if scored else []
    return joined(parts), torch.cat(scores) if scored else None


def check_room(setup: Setup, count: int) -> None:
    """Raises ValueError where memory does not hold the pictures and codes of that many chains."""
    values = math.prod(setup.bundle.image.shape) + math.prod(setup.space.shape)
    acceleration.check_room(count, values, setup.bundle.device)


def evaluations(setup: Setup, objective: Objective, seeds: Sequence[int], code: Code | None = None) -> Iterator[Evaluation]:
    """The evaluations of one batch of chains, step by step. code: where they begin, by default as the recipe's start says."""
    sampler = setup.sampler()
    code = recipes.starting_codes(setup, seeds, objective) if code is None else code
    for _, evaluation in chain.run(sampler, objective, sampler.init(code, seeds), setup.recipe.steps):
        yield evaluation


def _last(steps: Iterator[Evaluation], watch: OnStep | None) -> Evaluation:
    evaluation = None
    for step, evaluation in enumerate(steps, 1):
        if watch is not None:
            watch(step, evaluation)
    if evaluation is None:
        raise AllStoppedError("a run ended without an evaluation, expected at least one step: ask for one step or more")
    return evaluation


def samples_of(setup: Setup, request: Request | None, seeds: Sequence[int], last: Evaluation, batch: int) -> Samples:
    """The samples of chains whose last evaluation this is. batch: chains that ran at once."""
    value = last.log_probs.get("condition", last.log_prob)
    names, about = ((), {}) if request is None else (request.names, request.describe())
    quantity = "log-probability" if request is None else request.quantity(setup.recipe.measure)
    kept = (last.image, last.code, value, tuple(seeds), setup.recipe, names, about, last.stopped, setup.bundle.name)
    return Samples(*kept, run=acceleration.facts_of_run(setup.bundle.device, batch), quantity=quantity)


def _score(objective: Objective, image: Tensor) -> LogProb:
    return objective.score_image(image).nan_to_num(-torch.inf, posinf=torch.inf, neginf=-torch.inf)
