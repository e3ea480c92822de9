"""The seven released examples by name: constants to the letter (facts.md, section 2, the table), networks the bundle's.

Each returns an Example: `example.run()` yields every step, `example.kept()` the samples that the released script saves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ppgn import chain
from ppgn.bundle import Bundle
from ppgn.conditions import Caption, Unit
from ppgn.conditions.captions import CaptionerLike
from ppgn.masks import random_mask
from ppgn.probe import Probe, Seen
from ppgn.recipes.captions import captioner_of
from ppgn.recipes.classes import class_index
from ppgn.recipes.collected import seeds_of
from ppgn.recipes.named import settings_for
from ppgn.recipes.pictures import RELEASED_CONTEXT_SCALE, hole_and_start, picture_code, repeated
from ppgn.recipes.runs import start_for
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import Hole, objective_for, sampler_for
from ppgn.types import ChainState, Code, Condition, Sampler

RECIPE = "noiseless_joint_ppgn_h_released"
KEEP_UNITS_ABOVE = math.log(0.98)
"""The unit examples keep p > 0.98."""


@dataclass(frozen=True, eq=False)
class Example:
    """Chains ready to run: one sampler per condition, the first state, the updates for each condition (and one more in all),
    and what is kept: every `every`-th step, and of those the samples whose condition is above `above` (nats)."""

    samplers: tuple[Sampler, ...]
    state: ChainState
    steps_each: int
    every: int = 1
    above: float = -math.inf
    hole: Hole | None = None

    def run(self, callbacks: Sequence[chain.Callback] = ()) -> Iterator[chain.Step]:
        """All steps_each * K + 1 steps, (state after, evaluation before the update)."""
        return chain.run_in_turn(self.samplers, self.state, self.steps_each, callbacks)

    def kept(self, callbacks: Sequence[chain.Callback] = ()) -> Iterator[chain.Sample]:
        """The samples that are kept, as they come."""
        return chain.above(chain.thin(self.run(callbacks), self.every), self.above, term="condition")


def example_1(bundle: Bundle, wanted: str | int, *, seeds: Sequence[int] = (0,), steps: int = 200) -> Example:
    """A class; every 5th picture kept."""
    return _example(bundle, [_class(bundle, wanted, seeds)], seeds, _settings(bundle, steps), every=5)


def example_2(
    bundle: Bundle,
    classes: Sequence[str | int],
    *,
    seeds: Sequence[int] = (0,),
    steps: int = 100,
    prior_scale: float = 1e-5,
) -> Example:
    """Several classes in one chain, every picture kept (a GIF). prior_scale 1e-3 is "more abstract", 1e-1 ignores the class."""
    if not classes:
        raise ValueError("example 2 got no class, expected at least one: list the classes in their order")
    conditions = [_class(bundle, one, seeds) for one in classes]
    return _example(bundle, conditions, seeds, _settings(bundle, steps, prior_scale=prior_scale))


def example_3(
    bundle: Bundle,
    unit: str,
    *,
    network: nn.Module | Seen | Probe | None = None,
    seeds: Sequence[int] = (0,),
    steps: int = 1000,
    prior_scale: float = 1e-5,
) -> Example:
    """A hidden unit, "layer:channel@centre" before its activation, with a reset every 100 steps; samples of p > 0.98 are kept.

    network: that of the unit, by default the bundle's encoder.
    """
    condition = Unit(bundle.encoder if network is None else network, unit, measure="released", activation="before")
    settings = _settings(bundle, steps, prior_scale=prior_scale, reset_every=100)
    return _example(bundle, [condition], seeds, settings, above=KEEP_UNITS_ABOVE)


def example_4(
    bundle: Bundle, unit: str, network: nn.Module | Seen | Probe, *, seeds: Sequence[int] = (0,), steps: int = 1000
) -> Example:
    """A hidden unit of another network (a Places net in the released example): as example 3 with prior_scale 1e-7."""
    return example_3(bundle, unit, network=network, seeds=seeds, steps=steps, prior_scale=1e-7)


def example_5(
    bundle: Bundle,
    caption: str,
    *,
    captioner: CaptionerLike | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 200,
) -> Example:
    """A caption, its gradient truncated to one time step; prior_scale 1e-3, the step falls from 1 to 1e-10; every picture kept.

    captioner: by default the bundle's own. Raises ValueError where there is none, and for a word that it does not know.
    """
    condition = Caption(captioner_of(bundle) if captioner is None else captioner, caption, truncated=True)
    return _example(bundle, [condition], seeds, _settings(bundle, steps, prior_scale=1e-3, step_size_end=1e-10))


def example_6(bundle: Bundle, wanted: str | int, picture: Tensor, *, seeds: Sequence[int] = (0,), steps: int = 200) -> Example:
    """A class from a real picture `[channel, height, width]`; every picture kept."""
    settings = _settings(bundle, steps, step_size=0.5, step_size_end=0.5)
    start = repeated(picture_code(bundle, picture, settings), seeds)
    return _example(bundle, [_class(bundle, wanted, seeds)], seeds, settings, start=start)


def example_7(
    bundle: Bundle,
    wanted: str | int,
    picture: Tensor,
    known: Tensor | None = None,
    *,
    seeds: Sequence[int] = tuple(range(10)),
    steps: int = 20,
) -> Example:
    """In-painting a picture `[channel, height, width]` of a class; every picture kept, ten seeds (alike: there is no noise).

    known: the mask (see `ppgn.masks`); by default one square hole of 100/256 of the side, as 100 of the released 256 pixels,
    at a place that the first seed draws.
    """
    size, condition = bundle.image_size, _class(bundle, wanted, seeds)
    if known is None:
        known = random_mask(max(1, round(size * 100 / 256)), size, seeds[0])
    settings = _settings(bundle, steps, noise_scale=0.0, step_size_end=1e-32)
    hole, start = hole_and_start(bundle, picture, known, settings, RELEASED_CONTEXT_SCALE, fill=None)
    return _example(bundle, [condition], seeds, settings, start=repeated(start, seeds), hole=hole)


def _settings(bundle: Bundle, steps: int, **changes: Any) -> Settings:
    return settings_for(bundle, RECIPE, steps=steps, **changes)


def _class(bundle: Bundle, wanted: str | int, seeds: Sequence[int]) -> list[int]:
    return [class_index(bundle.class_names, wanted)] * len(seeds_of(seeds, len(seeds)))


def _example(
    bundle: Bundle,
    conditions: Sequence[Condition | Sequence[int]],
    seeds: Sequence[int],
    settings: Settings,
    *,
    start: Code | None = None,
    hole: Hole | None = None,
    every: int = 1,
    above: float = -math.inf,
) -> Example:
    objectives = [objective_for(bundle, one, settings, hole) for one in conditions]
    samplers = tuple(sampler_for(bundle, objective, settings) for objective in objectives)
    code = start_for(bundle, seeds, settings) if start is None else start
    return Example(samplers, samplers[0].init(code, seeds), settings.steps, every, above, hole)
