"""Walks: chains with one request after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ppgn import acceleration, chain, loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.samplers import Annealed
from ppgn.sampling.batches import check_room
from ppgn.sampling.samples import refuse_retries, seeds_of
from ppgn.types import Code, at_least_one


def walk(
    bundle: Bundle | str | Path,
    wanted: Sequence[Any],
    steps_each: int,
    *,
    count: int = 1,
    seed: int | Sequence[int] = 0,
    code: Code | None = None,
    recipe: str | Recipe | None = None,
    **changes: Any,
) -> Iterator[chain.Step]:
    """`count` chains that run for one request after the other, steps_each updates for each of the K and one more for the first.

    wanted: values such as `sample` takes, each for all chains; where their kinds differ all run by the recipe for plugged
    conditions. code: the starting codes, `[count, *code]`, by default the recipe's. Yields steps_each * K + 1 pairs (state after,
    evaluation before the update). The code is carried from one request to the next: the image of step i * steps_each (counted
    from 0) is the last one of request i (counted from 1). Step sizes begin anew with each request, unlike in the released code
    (`examples`). Other arguments as `sample`. Raises ValueError at once, not in the middle of the run.
    """
    if not wanted:
        raise ValueError("chains in turn got nothing to ask for, expected at least one request: list them in their order")
    steps_each, count = (
        at_least_one("steps_each", steps_each, "run one step or more"),
        at_least_one("count", count, "run one chain"),
    )
    if changes.get("steps") not in (None, steps_each):
        raise ValueError(
            f"chains in turn got steps {changes['steps']} and steps_each {steps_each}, expected one: leave steps out"
        )
    refuse_retries(changes, "chains in turn")
    bundle = loaders.bundle(bundle)
    stages = [requests.of(bundle, one, count) for one in wanted]
    whole = requests.weighted(stages)
    chosen = recipes.recipe_for(bundle, whole.kind, recipe, **{**changes, "steps": steps_each})
    if isinstance(chosen.sampler, Annealed) and len(stages) > 1:
        raise ValueError("chains in turn got sampler 'annealed', whose noise is gone after the first request: choose another")
    seeds = seeds_of(seed, count)
    setup = recipes.prepare(bundle, chosen, whole)
    check_room(setup, count)
    objectives = [recipes.objective(setup, request) for request in stages]
    samplers = [setup.sampler(begin) for begin in range(0, steps_each * len(stages), steps_each)]
    reproducible = chosen.precision == recipes.REPRODUCIBLE
    if reproducible and count > 1:
        raise ValueError(f"chains in turn got precision reproducible and count {count}, expected 1: run one chain at a time")
    with acceleration.one_thread() if reproducible else nullcontext():
        first = recipes.starting_codes(setup, seeds, objectives[0]) if code is None else code
    steps = chain.run_in_turn(list(zip(samplers, objectives, strict=True)), samplers[0].init(first, seeds), steps_each)
    return _on_one_thread(steps) if reproducible else steps


def _on_one_thread(steps: Iterator[chain.Step]) -> Iterator[chain.Step]:
    while True:
        with acceleration.one_thread():
            step = next(steps, None)
        if step is None:
            return
        yield step
