"""Chains of a bundle: how many, from which seeds, in batches, and what they ended with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import chain, images
from ppgn.bundle import Bundle
from ppgn.recipes.classes import Target, asked_of, target_of
from ppgn.recipes.named import kind_of, settings_for
from ppgn.recipes.runs import run, start_for
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import objective_for, sampler_for
from ppgn.types import Code, Condition, Evaluation

Watch = Callable[[int, Evaluation], None]


@dataclass(frozen=True, eq=False)
class Samples:
    """What chains ended with: images `[chain, channel, height, width]`, codes `[chain, *code]`, the condition's
    log_prob `[chain]` in nats, each chain's seed, the settings that made them, and why chains stopped early, if any did."""

    images: Tensor
    codes: Tensor
    log_prob: Tensor
    seeds: tuple[int, ...]
    settings: Settings
    stopped: Mapping[int, str] = field(default_factory=dict)

    def grid(self, labels: Sequence[str] | None = None, columns: int | None = None) -> Pillow.Image:
        """All images as tiles of one picture, with a label under each if given."""
        return images.grid(self.images, labels, columns)


def sample(
    bundle: Bundle,
    condition: Condition | str | int | Sequence[Target],
    *,
    count: int | None = None,
    seed: int | Sequence[int] = 0,
    batch: int = 32,
    watch: Watch | None = None,
    recipe: str | None = None,
    **changes: Any,
) -> Samples:
    """Runs `count` chains and returns their last pictures.

    condition: a class by name or number, one class of each of several groups ("type:Handbags & colour:Red"), one class number
    per chain, or any function image -> log-probability per chain.
    count: 16, or as many as classes are listed. seed: the first chain's, the next ones count up; or one a chain.
    batch: chains that run at once; it changes memory, not results.
    watch: called as watch(step, evaluation) after each step. recipe: a name in NAMED.
    changes: fields of Settings, e.g. steps=100. Raises ValueError for what does not fit, naming what there is.
    """
    settings = settings_for(bundle, recipe, kind=kind_of(bundle, condition), **changes)
    asked, count = asked_of(bundle, condition, count, default=16)

    def batch_of(chosen: slice, seeds: Sequence[int]) -> Iterator[Evaluation]:
        return run(bundle, asked[chosen] if isinstance(asked, list) else asked, seeds, settings)

    return collect(batch_of, seeds_of(seed, count), batch, settings, watch)


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


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """One seed a chain; ValueError unless there is at least one chain and a seed for each."""
    if count < 1:
        raise ValueError(f"got count {count}, expected at least 1: ask for one sample or more")
    seeds = list(range(seed, seed + count)) if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise ValueError(f"got {len(seeds)} seeds for {count} chains: give one seed a chain, or the first one only")
    return seeds


def collect(
    batch_of: Callable[[slice, Sequence[int]], Iterator[Evaluation]],
    seeds: Sequence[int],
    batch: int,
    settings: Settings,
    watch: Watch | None,
) -> Samples:
    """The last evaluations of all chains, `batch` at once: batch_of(which chains, their seeds) runs some of them."""
    if batch < 1:
        raise ValueError(f"got batch {batch}, expected at least 1: run one chain or more at once")
    parts = []
    for first in range(0, len(seeds), batch):
        chosen = slice(first, first + batch)
        parts.append(_last(batch_of(chosen, seeds[chosen]), watch))
    pictures, codes = (torch.cat([getattr(part, name) for part in parts]) for name in ("image", "code"))
    log_prob = torch.cat([part.log_probs.get("condition", part.log_prob) for part in parts])
    stopped = {number * batch + chain: why for number, part in enumerate(parts) for chain, why in part.stopped.items()}
    return Samples(pictures, codes, log_prob, tuple(seeds), settings, stopped)


def _last(evaluations: Iterator[Evaluation], watch: Watch | None) -> Evaluation:
    evaluation = None
    for step, evaluation in enumerate(evaluations, 1):
        if watch is not None:
            watch(step, evaluation)
    assert evaluation is not None, "settings ask for at least one step"
    return evaluation
