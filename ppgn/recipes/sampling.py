"""Chains of a bundle: how many, from which seeds, in batches, and asked for several things in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ppgn import chain
from ppgn.bundle import Bundle
from ppgn.recipes.classes import Target, asked_of, of_chains, target_of
from ppgn.recipes.collected import Samples, Watch, collect, seeds_of
from ppgn.recipes.memory import batch_for
from ppgn.recipes.named import kind_of, settings_for
from ppgn.recipes.runs import run, start_for
from ppgn.recipes.tries import tried_again
from ppgn.recipes.wiring import objective_for, sampler_for
from ppgn.types import Code, Condition, Evaluation


def sample(
    bundle: Bundle,
    condition: Condition | str | int | Sequence[Target],
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int | None = None,
    watch: Watch | None = None,
    recipe: str | None = None,
    **changes: Any,
) -> Samples:
    """Runs `count` chains and returns their last pictures.

    condition: a class by name or number, one class of each of several groups ("type:Handbags & colour:Red"), one class number
    per chain, or any function image -> log-probability per chain.
    count: 16, or as many as classes are listed. seed: the first chain's, the next ones count up; or one a chain.
    batch: chains that run at once, by default 16 (64 on an accelerator), or fewer where memory is short (`memory.batch_for`).
    watch: called as watch(step, evaluation) after each step. recipe: a name in NAMED.
    changes: fields of Settings, e.g. steps=100. Raises ValueError for what does not fit, naming what there is.
    """
    settings = settings_for(bundle, recipe, kind=kind_of(bundle, condition), **changes)
    asked, count = asked_of(bundle, condition, count, default=16)

    own_seeds = seeds_of(seed, count)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        return run(bundle, of_chains(asked, range(*chosen.indices(count))), seeds, settings)

    batch = batch_for(bundle, asked, settings, count) if batch is None else batch
    found = collect(batch_of, own_seeds, batch, settings, watch)
    return tried_again(bundle, asked, found, batch, watch) if settings.tries > 1 else found


def in_turn(
    bundle: Bundle,
    conditions: Sequence[Condition | str | Target],
    steps_each: int,
    *,
    count: int = 1,
    seed: int | Sequence[int] = 0,
    code: Code | None = None,
    recipe: str | None = None,
    **changes: Any,
) -> Iterator[chain.Step]:
    """`count` chains that are asked for one thing after the other, steps_each updates each and one more for the first.

    conditions: classes by name or number, or functions of an image; with any function all of them run by the settings for
    plugged conditions. code: where they begin, `[count, *code]`, by default as the settings say. Yields each of the
    steps_each * K + 1 (state, evaluation): the code is carried from one to the next, the picture of step i * steps_each
    (counted from 0) is the last one of condition i (counted from 1). Step sizes begin anew with each (in the released code,
    `examples`, they do not). Other arguments as `sample`; raises ValueError at once.
    """
    if not conditions:
        raise ValueError("chains in turn got no condition, expected at least one: list them in their order")
    settings = settings_for(bundle, recipe, kind=kind_of(bundle, *conditions), **{**changes, "steps": steps_each})
    if settings.sampler == "annealed" and len(conditions) > 1:
        raise ValueError("chains in turn got sampler 'annealed', whose noise is gone after the first condition: choose another")
    seeds = seeds_of(seed, count)
    asked = [one if callable(one) else [target_of(bundle.class_names, one)] * count for one in conditions]
    begins = range(0, steps_each * len(asked), steps_each)
    objectives = [objective_for(bundle, one, settings) for one in asked]
    pairs = zip(objectives, begins, strict=True)
    samplers = [sampler_for(bundle, objective, settings, begin) for objective, begin in pairs]
    first = start_for(bundle, seeds, settings, asked[0]) if code is None else code
    return chain.run_in_turn(samplers, samplers[0].init(first, seeds), steps_each)
