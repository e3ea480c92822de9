"""The seven released examples: constants to the letter (docs/released-code.md, section 2, the table), networks the bundle's.

Each returns an Example: `example.run()` yields every step, `example.kept()` the samples that the released script saves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import Tensor, nn

from ppgn import chain, loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import CaptionerLike
from ppgn.images import random_mask
from ppgn.probe import Preprocessed, Probe
from ppgn.recipes import Hole, Recipe
from ppgn.requests import Request
from ppgn.sampling.inpainting import RELEASED_CONTEXT_SCALE, hole_and_start
from ppgn.sampling.pictures import picture_code, repeated
from ppgn.seeds import check_seeds
from ppgn.types import ChainState, Code

AnyBundle: TypeAlias = Bundle | str | Path
"""A bundle, or the name or folder of one."""
RECIPE = "noiseless_joint_ppgn_h_released"
KEEP_UNITS_ABOVE = math.log(0.98)
"""The unit examples keep p > 0.98."""


@dataclass(frozen=True, eq=False)
class Example:
    """Chains ready to run.

    stages: (sampler, objective) per request. state: the first one. steps_each: updates in each stage; there is one more in all.
    Kept is every `every`-th step, and of it the samples whose condition is above `above`, in nats. hole: of in-painting.
    """

    stages: tuple[chain.Stage, ...]
    state: ChainState
    steps_each: int
    every: int = 1
    above: float = -math.inf
    hole: Hole | None = None

    def run(self, callbacks: Sequence[chain.Callback] = ()) -> Iterator[chain.Step]:
        """All steps_each * K + 1 steps of K stages: (state after, evaluation before the update)."""
        return chain.run_in_turn(self.stages, self.state, self.steps_each, callbacks)

    def kept(self, callbacks: Sequence[chain.Callback] = ()) -> Iterator[chain.Sample]:
        """The samples that are kept, step by step."""
        return chain.above(chain.thin(self.run(callbacks), self.every), self.above, term="condition")


def example_1(bundle: AnyBundle, wanted: str | int, *, seeds: Sequence[int] = (0,), steps: int = 200) -> Example:
    """A class; every 5th picture kept."""
    bundle, seeds = _checked(bundle, seeds)
    return _example(bundle, [_class(bundle, wanted, seeds)], seeds, _recipe(bundle, steps), every=5)


def example_2(
    bundle: AnyBundle,
    classes: Sequence[str | int],
    *,
    seeds: Sequence[int] = (0,),
    steps: int = 100,
    prior_scale: float = 1e-5,
) -> Example:
    """Several classes in one chain, every picture kept (a GIF). prior_scale 1e-3 is "more abstract", 1e-1 ignores the class."""
    bundle, seeds = _checked(bundle, seeds)
    if len(classes) == 0:
        raise ValueError("example 2 got no class, expected at least one: list the classes in their order")
    wanted = [_class(bundle, one, seeds) for one in classes]
    return _example(bundle, wanted, seeds, _recipe(bundle, steps, prior_scale=prior_scale))


def example_3(
    bundle: AnyBundle,
    unit: str,
    *,
    network: nn.Module | Preprocessed | Probe | None = None,
    seeds: Sequence[int] = (0,),
    steps: int = 1000,
    prior_scale: float = 1e-5,
) -> Example:
    """A hidden unit, "layer:channel@centre" before its activation, with a reset every 100 steps; samples of p > 0.98 are kept.

    network: that of the unit, by default the bundle's encoder.
    """
    bundle, seeds = _checked(bundle, seeds)
    if network is None and bundle.encoder is None:
        raise ValueError(f"{bundle.name} has no encoder, expected a network for the unit {unit}: pass network")
    seen = bundle.encoder if network is None else network
    request = requests.unit(seen, unit, measure="released", activation="before").select([0] * len(seeds))
    recipe = _recipe(bundle, steps, prior_scale=prior_scale, reset_every=100)
    return _example(bundle, [request], seeds, recipe, above=KEEP_UNITS_ABOVE)


def example_4(
    bundle: AnyBundle, unit: str, network: nn.Module | Preprocessed | Probe, *, seeds: Sequence[int] = (0,), steps: int = 1000
) -> Example:
    """A hidden unit of another network (a Places net in the released example): as example 3 with prior_scale 1e-7."""
    return example_3(bundle, unit, network=network, seeds=seeds, steps=steps, prior_scale=1e-7)


def example_5(
    bundle: AnyBundle,
    caption: str,
    *,
    captioner: CaptionerLike | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 200,
) -> Example:
    """A caption, its gradient truncated to one time step; prior_scale 1e-3, the step falls from 1 to 1e-10; every picture kept.

    captioner: by default the bundle's own. Raises ValueError where there is none, and for a word that it does not know.
    """
    bundle, seeds = _checked(bundle, seeds)
    request = requests.captions(bundle, caption, captioner, truncated=True).select([0] * len(seeds))
    return _example(bundle, [request], seeds, _recipe(bundle, steps, prior_scale=1e-3, step_size=(1.0, 1e-10)))


def example_6(bundle: AnyBundle, wanted: str | int, picture: Tensor, *, seeds: Sequence[int] = (0,), steps: int = 200) -> Example:
    """A class from a real picture `[channel, height, width]`; every picture kept."""
    bundle, seeds = _checked(bundle, seeds)
    recipe = _recipe(bundle, steps, step_size=0.5)
    start = repeated(picture_code(bundle, picture, recipe), seeds)
    return _example(bundle, [_class(bundle, wanted, seeds)], seeds, recipe, start=start)


def example_7(
    bundle: AnyBundle,
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
    bundle, seeds = _checked(bundle, seeds)
    size, request = bundle.image.size, _class(bundle, wanted, seeds)
    if known is None:
        known = random_mask(max(1, round(min(size) * 100 / 256)), size, seeds[0])
    recipe = _recipe(bundle, steps, noise_scale=0.0, step_size=(1.0, 1e-32))
    hole, start = hole_and_start(bundle, picture, known, recipe, RELEASED_CONTEXT_SCALE, fill=None)
    return _example(bundle, [request], seeds, recipe, start=repeated(start, seeds), hole=hole)


def _checked(bundle: AnyBundle, seeds: Sequence[int]) -> tuple[Bundle, tuple[int, ...]]:
    """The bundle, loaded where its name is given, and the seeds. Raises ValueError without a seed."""
    checked = check_seeds(seeds)
    if not checked:
        raise ValueError("an example got no seeds, expected one per chain: pass at least one")
    return loaders.bundle(bundle), checked


def _recipe(bundle: Bundle, steps: int, **changes: Any) -> Recipe:
    return recipes.recipe_for(bundle, "class", RECIPE, steps=steps, **changes)


def _class(bundle: Bundle, wanted: str | int, seeds: Sequence[int]) -> Request:
    return requests.classes(bundle, wanted).select([0] * len(seeds))


def _example(
    bundle: Bundle,
    stages: Sequence[Request],
    seeds: Sequence[int],
    recipe: Recipe,
    *,
    start: Code | None = None,
    hole: Hole | None = None,
    every: int = 1,
    above: float = -math.inf,
) -> Example:
    """Step sizes change over the first stage's steps and are not begun anew, as released."""
    setup = recipes.prepare(bundle, recipe, stages[0])
    sampler = setup.sampler()
    pairs = tuple((sampler, recipes.objective(setup, request, hole)) for request in stages)
    code = recipes.starting_codes(setup, seeds) if start is None else start
    return Example(pairs, sampler.init(code, seeds), recipe.steps, every, above, hole)
