"""The only loop. Everything that watches a chain (pictures, videos, thresholds) consumes this iterator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ppgn.types import ChainState, Evaluation, Sampler


def run(sampler: Sampler, state: ChainState, steps: int) -> Iterator[tuple[ChainState, Evaluation]]:
    """Yields, after each of `steps` steps, (the state AFTER the update, the evaluation of the code BEFORE it).

    The image of a step is thus the one made before that step's update, as in the released code. Memory does not grow
    with steps; `itertools.islice(run(...), 4, None, 5)` keeps every fifth. Raises ValueError at once when steps < 1,
    and during the run when a number is not finite, naming what, step and chain.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"a run got steps {steps!r}, expected a whole number of at least 1: ask for one step or more")
    return _steps(sampler, state, steps)


def linear(start: float, end: float, steps: int) -> Callable[[int], float]:
    """The schedule start + (end - start) * step / steps of the released code; from step `steps` on it stays at end.

    Raises ValueError when steps < 1.
    """
    if steps < 1:
        raise ValueError(f"a linear schedule got steps {steps}, expected at least 1: ask for one step or more")
    return lambda step: start + (end - start) * min(step / steps, 1.0)


def _steps(sampler: Sampler, state: ChainState, steps: int) -> Iterator[tuple[ChainState, Evaluation]]:
    for _ in range(steps):
        before = state
        state, evaluation = sampler.step(before)
        _check_finite(before, evaluation, state)
        yield state, evaluation


def _check_finite(before: ChainState, evaluation: Evaluation, after: ChainState) -> None:
    # In the order in which a step makes them, so that the first one named is the cause.
    quantities = {
        "code": before.code,
        "image": evaluation.image,
        **{f"log-probability of {name!r}": value for name, value in evaluation.log_probs.items()},
        "condition gradient": evaluation.gradient,
        "prior direction": evaluation.direction,
        "updated code": after.code,
    }
    finite = torch.stack([value.isfinite().reshape(len(value), -1).all(1) for value in quantities.values()])
    if bool(finite.all()):
        return
    index, chain = (int(number) for number in (~finite).nonzero()[0])
    raise ValueError(
        f"the {list(quantities)[index]} of chain {chain} (seed {before.seeds[chain]}) became infinite or NaN at step "
        f"{before.step}, expected finite numbers: lower the scales, or check that network's input range"
    )
