"""The only loop. Everything that watches a chain (pictures, videos, thresholds) consumes its iterator.

    for sample in above(thin(run(sampler, objective, state, 1000), 5), log_prob=-0.02): ...

Memory does not grow with the steps: what is yielded and not kept is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from ppgn.autocast import without_autocast
from ppgn.divergence import DivergenceGuard
from ppgn.types import ChainState, Evaluation, Evaluator, LogProb, Sampler

Step: TypeAlias = tuple[ChainState, Evaluation]
"""A step as a run yields it: the state AFTER an update, the evaluation of the code BEFORE it."""
Stage: TypeAlias = tuple[Sampler, Evaluator]
"""A sampler and the objective that it steps on."""
Callback: TypeAlias = Callable[[ChainState, Evaluation], ChainState | None]
"""Sees each step and may return another state, from which the chain goes on."""


def run(
    sampler: Sampler, objective: Evaluator, state: ChainState, steps: int, callbacks: Sequence[Callback] = ()
) -> Iterator[Step]:
    """Yields, after each of `steps` steps, (the state AFTER the update, the evaluation of the code BEFORE it).

    The image of a step is thus the one made before that step's update, as in the released code. callbacks are called
    in their order before each yield, each with the state that the callback before it left; the last one's state is yielded.
    A chain that becomes infinite or NaN stops and is held (`divergence.DivergenceGuard`), the others go on. Raises ValueError
    at once when steps < 1, and during the run when no chain is left, and when a callback returns no state or one of
    another shape or step.
    """
    _check_count("a run got steps", steps)
    return _steps((sampler, objective), state, steps, tuple(callbacks), DivergenceGuard())


def run_in_turn(stages: Sequence[Stage], state: ChainState, steps: int, callbacks: Sequence[Callback] = ()) -> Iterator[Step]:
    """One chain through several stages, (sampler, objective) each, with `steps` steps in each stage.

    As released: the code and the step are carried over, the first of the K stages makes one update more, and there
    are steps * K + 1 in all. Which stage acts is a function of the state's step alone (`turn`), so a state taken from
    the middle goes on with the same stages and steps as if never interrupted. Otherwise as `run`. Raises ValueError
    at once when there is no stage, when steps < 1, and when the state has no step left.
    """
    _check_count("a run in turn got steps", steps)
    if turn(state.step, steps) >= len(stages):
        raise ValueError(
            f"a run in turn got {len(stages)} stages of {steps} steps and a state at step {state.step}, expected one "
            f"with a step left: pass more stages, or a state from the first sampler's init"
        )
    return _in_turn(tuple(stages), state, steps, tuple(callbacks))


def turn(step: int, steps: int) -> int:
    """The stage of `run_in_turn` that makes this step, both counted from 0: steps 0 to `steps` are those of the first stage."""
    return max(step - 1, 0) // steps


def thin(pairs: Iterable[Step], every: int) -> Iterator[Step]:
    """Steps 0, every, 2 every, ... of a run, counted over the whole chain, so also when it was resumed.

    Raises ValueError at once when every < 1.
    """
    _check_count("thinning got every", every)
    return ((state, evaluation) for state, evaluation in pairs if (state.step - 1) % every == 0)


def until(pairs: Iterable[Step], stop: Callable[[ChainState, Evaluation], bool]) -> Iterator[Step]:
    """A run through the first step for which stop(state, evaluation) is true; no further step is made."""
    for state, evaluation in pairs:
        yield state, evaluation
        if stop(state, evaluation):
            return


@dataclass(frozen=True, eq=False)
class Sample:
    """One chain at one step, a copy that keeps no batch alive: image `[channel, height, width]` = G(code), code `[*code]`
    before the update of that step (counted from 0), log_prob in nats, the chain's place in the batch and its seed."""

    image: Tensor
    code: Tensor
    log_prob: float
    chain: int
    seed: int
    step: int


def above(pairs: Iterable[Step], log_prob: float, term: str | None = None) -> Iterator[Sample]:
    """The samples whose log-probability is greater than log_prob (nats), one by one, step by step and chain by chain.

    term: the name of the objective's term that counts, by default the weighted total. The released unit examples keep
    p > 0.98, a log_prob of log 0.98. Raises ValueError for a term that the objective does not have.
    """
    for state, evaluation in pairs:
        passed = _log_prob(evaluation, term) > log_prob
        for chain in passed.nonzero()[:, 0].tolist():
            if chain not in evaluation.stopped:
                yield _sample(state, evaluation, term, chain)


def best(pairs: Iterable[Step], term: str | None = None) -> list[Sample]:
    """Each chain's sample of the highest log-probability, the first of equals; all chains of a run, in their order.

    It holds one sample a chain. term as in `above`. An empty run gives an empty list.
    """
    found: list[Sample] = []
    for state, evaluation in pairs:
        values = _log_prob(evaluation, term).tolist()
        if not found:
            found = [_sample(state, evaluation, term, chain) for chain in range(len(values))]
        for chain, value in enumerate(values):
            if value > found[chain].log_prob:
                found[chain] = _sample(state, evaluation, term, chain)
    return found


def _steps(
    stage: Stage, state: ChainState, steps: int, callbacks: tuple[Callback, ...], guard: DivergenceGuard
) -> Iterator[Step]:
    sampler, objective = stage
    for _ in range(steps):
        before = state
        with without_autocast():
            state, evaluation = guard(before, *sampler.step(before, _at_step(objective, before)))
        for callback in callbacks:
            state = _after_callback(callback(state, evaluation), state)
        yield state, evaluation


def _in_turn(stages: tuple[Stage, ...], state: ChainState, steps: int, callbacks: tuple[Callback, ...]) -> Iterator[Step]:
    guard = DivergenceGuard()
    for index in range(turn(state.step, steps), len(stages)):
        left = (index + 1) * steps + 1 - state.step
        for pair in _steps(stages[index], state, left, callbacks, guard):
            state = pair[0]
            yield pair


@runtime_checkable
class _HasViews(Protocol):
    """An objective whose conditions may see another view of a picture at every step."""

    def at_step(self, seeds: Sequence[int], step: int) -> Evaluator: ...


def _at_step(objective: Evaluator, state: ChainState) -> Evaluator:
    """What the objective is at this step, where its conditions see random views."""
    return objective.at_step(state.seeds, state.step) if isinstance(objective, _HasViews) else objective


def _after_callback(returned: ChainState | None, state: ChainState) -> ChainState:
    if returned is None:
        return state
    if not isinstance(returned, ChainState) or (returned.code.shape, returned.step) != (state.code.shape, state.step):
        raise ValueError(
            f"a callback returned {_what(returned)} at step {state.step}, expected None or {_what(state)}: "
            f"change the state with dataclasses.replace and keep its shape and step"
        )
    return returned


def _what(value: object) -> str:
    if isinstance(value, ChainState):
        return f"a ChainState of shape {tuple(value.code.shape)} and step {value.step}"
    return f"a value of type {type(value).__name__}"


def _log_prob(evaluation: Evaluation, term: str | None) -> LogProb:
    if term is not None and term not in evaluation.log_probs:
        raise ValueError(
            f"samples of the term {term!r} were asked for, expected one of {list(evaluation.log_probs)}: pass one of these names"
        )
    return evaluation.log_prob if term is None else evaluation.log_probs[term]


def _sample(state: ChainState, evaluation: Evaluation, term: str | None, chain: int) -> Sample:
    value = float(_log_prob(evaluation, term)[chain])
    image, code = (batch[chain].clone() for batch in (evaluation.image, evaluation.code))
    return Sample(image, code, value, chain, state.seeds[chain], state.step - 1)


def _check_count(what: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{what} {count!r}, expected a whole number of at least 1: ask for one step or more")
