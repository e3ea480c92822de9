"""Chains that run a step at a time: they can stop at any step, and go on, also with another request."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ppgn import acceleration, chain, loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.objective import Objective
from ppgn.recipes import Hole, Recipe, Setup
from ppgn.requests import Request
from ppgn.sampling.batches import check_room, samples_of
from ppgn.sampling.inpainting import INPAINTING_START_NOISE, Inpainted, prepared_hole
from ppgn.sampling.pictures import noised
from ppgn.sampling.samples import Samples, refuse_retries, seeds_of
from ppgn.types import ChainState, Code, Evaluation, Sampler, at_least_one, real, shown

MOST_STEPS = sys.maxsize
"""Of a stage, whose recipe may be gone beyond."""


@dataclass(frozen=True, eq=False)
class _Stage:
    """A request of the chains, its sampler and objective, and the step, counted over all stages, at which its recipe ends."""

    setup: Setup
    request: Request | None
    sampler: Sampler
    objective: Objective
    end: int


class LiveRun:
    """Chains that run together, as many steps at a time as are asked for.

        run = ppgn.sampling.LiveRun("imagenette64", "church", count=4, seed=0)
        for evaluation in run.steps(10): ...      # or fewer: leave the loop
        run.ask("parachute")                      # the same chains go on from the codes that they have reached
        for evaluation in run.steps(): ...        # to the end of the recipe
        run.samples.save("folder")

    bundle, wanted, count, seed, recipe and changes: as `sampling.sample`, but no chain begins anew (tries 1). code: where the
    chains begin, `[chain, *code]`, or `[1, *code]` for all; by default the recipe's start. start_noise: N(0, start_noise^2), in
    standard deviations of each unit over real pictures, is added to it, so that chains from one code differ. At the end of its
    recipe a run has the samples of `sampling.sample` with the same arguments and batch=count, bit for bit.

    Raises ValueError as `sampling.sample`, for codes that do not fit, and for several reproducible chains, which cannot run
    together.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        wanted: Any,
        *,
        count: int | None = None,
        seed: int | Sequence[int] = 0,
        code: Code | None = None,
        start_noise: float = 0.0,
        recipe: str | Recipe | None = None,
        **changes: Any,
    ) -> None:
        bundle = loaders.bundle(bundle)
        _check_noise(start_noise, code)
        request = requests.of(bundle, wanted, count)
        setup = _prepared(bundle, request, recipe, changes)
        seeds = seeds_of(seed, len(request))
        self._begin(setup, request, seeds, None)
        with self._threads():
            if code is None:
                code = recipes.starting_codes(setup, seeds, self._stage.objective)
            else:
                code = noised(setup, _fitted(code, setup, len(seeds)), seeds, start_noise)
        self._start(self._stage.sampler.init(code, seeds))

    @classmethod
    def in_paint(
        cls,
        bundle: Bundle | str | Path,
        picture: Any,
        known: Any,
        wanted: Any = None,
        *,
        count: int | None = None,
        seed: int | Sequence[int] = 0,
        start_noise: float = INPAINTING_START_NOISE,
        recipe: str | Recipe | None = None,
        **changes: Any,
    ) -> LiveRun:
        """Chains that fill the hole in a picture; arguments as `sampling.in_paint`, `inpainted` their result."""
        self = cls.__new__(cls)
        setup, request, begin, hole, chains = prepared_hole(
            bundle, picture, known, wanted, count, recipe, None, None, start_noise, changes
        )
        seeds = seeds_of(seed, chains)
        self._begin(setup, request, seeds, hole)
        assert begin.code is not None
        with self._threads():
            code = begin.code(range(chains), seeds)
        self._start(self._stage.sampler.init(code, seeds))
        return self

    @property
    def step(self) -> int:
        """The number of steps made, over all requests."""
        return self._state.step

    @property
    def left(self) -> int:
        """The steps that are left of the recipe of the last request."""
        return self._stage.end - self.step

    @property
    def recipe(self) -> Recipe:
        """The recipe of the last request, with its precision decided."""
        return self._stage.setup.recipe

    @property
    def request(self) -> Request | None:
        """The last request; None of a hole that is filled without one."""
        return self._stage.request

    @property
    def evaluation(self) -> Evaluation | None:
        """The last step's evaluation; None before the first."""
        return self._last

    @property
    def samples(self) -> Samples:
        """The chains as they are: the last step's evaluation. Raises ValueError before the first step."""
        if self._last is None:
            raise ValueError("got no step of a live run, expected one or more before its samples: go through steps() first")
        return samples_of(self._stage.setup, self._stage.request, self._state.seeds, self._last, len(self._state.seeds))

    @property
    def inpainted(self) -> Inpainted:
        """The pictures with their holes filled. Raises ValueError where there is no hole."""
        if self._hole is None:
            raise ValueError("got a live run without a hole, expected one of LiveRun.in_paint: take its samples")
        return Inpainted(self.samples, self._hole.picture, self._hole.known)

    def steps(self, count: int | None = None) -> Iterator[Evaluation]:
        """Makes `count` steps, by default those left of the recipe, and yields the evaluation of each.

        A step counts once it is yielded; whoever leaves the loop goes on later with the next step. Steps beyond the recipe's end
        have the scales of its end.
        """
        count = self.left if count is None else at_least_one("count", count, "make one step or more")
        for _ in range(count):
            with self._threads():
                pair = next(self._pairs, None)
            if pair is None:
                raise ValueError(
                    f"got more steps of a live run that failed after step {self.step}, expected none: ask it anew, or begin one"
                )
            self._state, self._last = pair
            yield self._last

    def ask(self, wanted: Any, *, recipe: str | Recipe | None = None, **changes: Any) -> None:
        """Lets the chains go on with another request, from the codes that they have reached, by the recipe of its kind.

        Schedules begin anew, seeds and the count of steps go on, so no noise comes twice. Arguments as `sampling.sample`. Raises
        ValueError also for a recipe of other codes.
        """
        before = self._stage.setup
        request = requests.of(before.bundle, wanted, len(self._state.seeds))
        setup = _prepared(before.bundle, request, recipe, changes)
        if (setup.recipe.codes, setup.space.shape) != (before.recipe.codes, before.space.shape):
            raise ValueError(
                f"got a recipe of {setup.recipe.codes} for chains of {before.recipe.codes}, expected the same: begin a new run"
            )
        seeds, step, code = self._state.seeds, self._state.step, self._state.code
        self._begin(setup, request, seeds, self._hole, step)
        self._start(replace(self._stage.sampler.init(setup.space.clip(code), seeds), step=step))

    def _begin(self, setup: Setup, request: Request | None, seeds: Sequence[int], hole: Hole | None, step: int = 0) -> None:
        """A stage of the run."""
        if setup.recipe.precision == recipes.REPRODUCIBLE and len(seeds) > 1:
            raise ValueError(
                f"a live run got precision reproducible and {len(seeds)} chains, expected 1: run one chain at a time"
            )
        check_room(setup, len(seeds))
        objective = recipes.objective(setup, request, hole)
        self._stage = _Stage(setup, request, setup.sampler(step), objective, step + setup.recipe.steps)
        self._hole = hole
        self._last: Evaluation | None = None

    def _start(self, state: ChainState) -> None:
        """The chains of the stage from a state; one loop for all its steps, so that a chain that broke stays stopped."""
        self._state = state
        self._pairs = chain.run(self._stage.sampler, self._stage.objective, state, MOST_STEPS)

    def _threads(self) -> AbstractContextManager[None]:
        return acceleration.one_thread() if self.recipe.precision == recipes.REPRODUCIBLE else nullcontext()


def _prepared(bundle: Bundle, request: Request, recipe: str | Recipe | None, changes: dict[str, Any]) -> Setup:
    refuse_retries({**changes, "tries": None if changes.get("tries") == 1 else changes.get("tries")}, "a live run")
    return recipes.prepare(bundle, recipes.recipe_for(bundle, request.kind, recipe, **{**changes, "tries": 1}), request)


def _check_noise(start_noise: float, code: Code | None) -> None:
    """Raises ValueError for a start_noise that is negative or not finite, and for one without a code."""
    if not 0 <= real(start_noise) < math.inf:
        raise ValueError(f"a live run got start_noise {shown(start_noise)}, expected at least 0: 0 begins at the code itself")
    if code is None and start_noise != 0:
        raise ValueError(f"a live run got start_noise {start_noise} without a code, expected both: say where the chains begin")


def _fitted(code: Code, setup: Setup, count: int) -> Code:
    """The starting codes of `count` chains. Raises ValueError for another shape, and for numbers that are not finite."""
    wanted = tuple(setup.space.shape)
    if not isinstance(code, torch.Tensor) or tuple(code.shape[1:]) != wanted or code.shape[0] not in (1, count):
        got = f"shape {list(code.shape)}" if isinstance(code, torch.Tensor) else type(code).__name__
        raise ValueError(f"got starting codes of {got}, expected [{count}, *code] = {[count, *wanted]}: give one for each chain")
    if not bool(code.isfinite().all()):
        raise ValueError("got starting codes with NaN or infinity, expected finite numbers: correct them")
    networks = (part for part in setup.bundle.parts.values() if isinstance(part, torch.nn.Module))
    dtype = next((weight.dtype for part in networks for weight in part.parameters()), torch.get_default_dtype())
    return code.to(setup.bundle.device, dtype).expand(count, *wanted)
