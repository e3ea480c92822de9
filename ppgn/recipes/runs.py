"""A batch of chains of a bundle, from its start to its last evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from ppgn import chain, starts
from ppgn.bundle import Bundle
from ppgn.recipes.classes import Target
from ppgn.recipes.haste import hastened
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import Hole, device_of, objective_for, part, sampler_for
from ppgn.types import Code, Condition, Evaluation, LogProb

MODELS_OF_CODES = {"codes": "start", "noise_level": "noise_level"}
"""A start -> the part of the bundle that draws such codes."""
AT_ONCE = 1024
"""Starting codes that a model of codes draws in one pass: it is a small network, which a few codes do not fill."""


def run(
    bundle: Bundle,
    condition: Condition | Sequence[Target] | None,
    seeds: Sequence[int],
    settings: Settings,
    start: Code | None = None,
    hole: Hole | None = None,
) -> Iterator[Evaluation]:
    """The evaluations of one batch of chains, step by step.

    condition: any function image -> log-probability per chain, one class number per chain, or None. start: codes `[chain, *code]`
    instead of those that the settings draw. hole: in-painting (see `objective_for`).
    """
    sampler = sampler_for(bundle, objective_for(bundle, condition, settings, hole), settings)
    code = start_for(bundle, seeds, settings, condition, hole) if start is None else start
    for _, evaluation in chain.run(sampler, sampler.init(code, seeds), settings.steps):
        yield evaluation


def start_for(
    bundle: Bundle,
    seeds: Sequence[int],
    settings: Settings,
    condition: Condition | Sequence[Target] | None = None,
    hole: Hole | None = None,
) -> Code:
    """Codes `[len(seeds), *code]` as the settings' start says; of several draws one is chosen by the condition, at temperature 1
    (`starts.likely_code`): there it is the class that counts, not how to go on asking for it."""
    quick = hastened(bundle, settings, condition)
    if condition is None or settings.draws == 1:
        return _drawn(quick, seeds, settings, range(1))[0]
    each = max(1, AT_ONCE // len(seeds))
    parts = (range(first, min(first + each, settings.draws)) for first in range(0, settings.draws, each))
    codes = (code for part in parts for code in _drawn(quick, seeds, settings, part))
    choosing = objective_for(bundle, condition, dataclasses.replace(settings, temperature=1.0), hole)

    def weight(code: Code) -> LogProb:
        return settings.draw_power * choosing.log_prob(code)

    return starts.likely_code(seeds, settings.draws, lambda number: next(codes), weight)  # which asks in order


def _drawn(bundle: Bundle, seeds: Sequence[int], settings: Settings, numbers: Sequence[int]) -> Sequence[Code]:
    """The codes `[len(seeds), *code]` of several draws; those of a network in one pass."""
    device = device_of(bundle)
    if settings.start in MODELS_OF_CODES:
        network = part(bundle, MODELS_OF_CODES[settings.start], "no model of its codes to start from")
        model = network.before_relu if settings.prior == "noise_level" else network
        return starts.drawn_codes(seeds, bundle.code_shape, model, numbers, device).unbind(0)
    shape = (bundle.channels, bundle.image_size, bundle.image_size) if settings.generator == "pixels" else bundle.code_shape
    low = settings.code_low if settings.start == "normal" else None
    mean, std = settings.start_mean, settings.start_std
    return [starts.random_code(seeds, shape, mean=mean, std=std, low=low, device=device, draw=number) for number in numbers]
