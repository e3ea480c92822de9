"""The contracts of conditions, priors, generators and samplers, each as one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ppgn.chain import run
from ppgn.checks import rules, states
from ppgn.checks.invariance import Quantity
from ppgn.checks.plugin import Plugin
from ppgn.types import ChainState, Code, Condition, Evaluator, Generator, Image, Prior, Sampler


def check_condition(condition: Condition, image: Image, *, tolerance: float = 1e-3, flat: bool = False) -> None:
    """Image `[chain, channel, height, width]` in [0, 1] -> log-probability `[chain]`: finite, deterministic, differentiable.

    For each chain value and gradient are the same alone as in the batch, so give a class condition one target for all. The
    condition changes neither the image nor its networks, leaves no gradient in them, and runs no BatchNorm or dropout in train
    mode, all on the image's device. Raises ValueError with the cause and the fix of the first rule it breaks.

    A condition that says `couples = True` looks at several chains at once, and may differ alone and in the batch. flat: the
    gradient may be exactly 0, as that of a silent unit is.

    A wrong range of pixels is found only where it shows: where the condition fails on [0, 1], or has no gradient there, and works
    on [0, 255] or [-1, 1]. A network that was trained on other pixels and answers anyway passes (see `probe.Preprocessed`).
    So does a value above 0: activations and scores are conditions too.
    """
    plugin = Plugin("the condition", condition, given_pixels=True)
    rules.check_chains(plugin.who, "an image", image)
    rules.check_range("the check of the condition got an image", image, "divide 8-bit pixels by 255, or clamp")
    value, gradient = plugin.with_gradient(image)
    rules.check_shape(plugin.who, tuple(value.shape), len(image))
    couples = bool(getattr(condition, "couples", False))
    _check_differentiable(plugin, "the image", image, value, gradient, tolerance, couples, flat)


def check_prior(prior: Prior, code: Code, image: Image, *, tolerance: float = 1e-3) -> None:
    """(code `[chain, *code]`, image = G(code)) -> direction of the code's shape: finite, deterministic, per chain.

    Called without gradients, as a chain does. It changes nothing, and runs no BatchNorm or dropout in train mode. Raises
    ValueError with the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin("the prior", prior)
    rules.check_chains(plugin.who, "a code", code)
    with torch.no_grad():
        direction = plugin(code, image)
        if direction.shape != code.shape:
            raise ValueError(
                f"the prior returned shape {tuple(direction.shape)}, expected the code's {tuple(code.shape)}: "
                f"return one direction per chain"
            )
        rules.check_finite(plugin.who, direction)
        quantity = Quantity(plugin, plugin.who, plugin, (code, image), direction, tolerance)
        quantity.check_repeats()
        quantity.check_independent()


def check_generator(generator: Generator, code: Code, *, tolerance: float = 1e-3) -> None:
    """Code `[chain, *code]` -> image `[chain, channel, height, width]` in [0, 1]: finite, deterministic, differentiable.

    For each chain image and gradient are the same alone as in the batch. It changes nothing, and runs no BatchNorm or dropout
    in train mode. Raises ValueError with the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin("the generator", generator)
    rules.check_chains(plugin.who, "a code", code)
    image, gradient = plugin.with_gradient(code)
    if image.ndim != 4 or len(image) != len(code):
        raise ValueError(
            f"the generator returned shape {tuple(image.shape)}, expected [{len(code)}, channel, height, width]: "
            f"reshape its output to one image per chain"
        )
    _check_differentiable(plugin, "the code", code, image, gradient, tolerance)
    rules.check_range("the generator returned an image", image, rules.range_fix(image))


def check_sampler(sampler: Sampler, objective: Evaluator, code: Code, *, tolerance: float = 1e-3) -> None:
    """`init` and `step` from code `[chain, *code]`: nothing is remembered outside the ChainState, which is not changed.

    step(state, objective) evaluates the objective it is given at the state's code. A run of 4 steps is the same when run
    twice, when resumed after 2 from `state_dict`, and for each chain alone, so the objective has to fit any number of chains.
    No network of sampler or objective runs BatchNorm or dropout in train mode or is left with gradients. Raises ValueError
    with the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin("the sampler", {"sampler": sampler, "objective": objective})
    rules.check_chains(plugin.who, "a code", code)
    seeds = tuple(range(len(code)))
    start = sampler.init(code, seeds)
    states.check_start(plugin.who, start, code, seeds)
    _check_step(plugin, sampler, objective, start)
    steps = [state for state, _ in run(sampler, objective, start, 4)]
    expected = steps[3].code
    fix = "draw noise only by ppgn.seeds.normal(state.seeds, state.step, ...)"
    states.check_runs(plugin.who, "between two runs", fix, _codes(sampler, objective, start, 4), expected, tolerance)
    resumed = _codes(sampler, objective, ChainState.from_state_dict(steps[1].state_dict()), 2)
    fix = "put what it remembers into the carry of the ChainState"
    states.check_runs(plugin.who, "between a resumed and an uninterrupted run", fix, resumed, expected, tolerance)
    for count in (1, 4):  # after 4 the chains of a steep condition may be as far apart by rounding as by a fault
        batches = (code, torch.tensor(seeds))
        together = steps[count - 1].code
        runner = _runner(sampler, objective, count)
        Quantity(plugin, plugin.who, runner, batches, together, tolerance, steep=True).check_independent()


def _check_differentiable(
    plugin: Plugin,
    name: str,
    source: Tensor,
    value: Tensor,
    gradient: Tensor | None,
    tolerance: float,
    couples: bool = False,
    flat: bool = False,
) -> None:
    """Value and gradient finite, the same again and, unless it couples chains, for each alone; and a gradient that is not 0."""

    def value_of(batch: Tensor) -> Tensor:
        return plugin.with_gradient(batch)[0]

    def gradient_of(batch: Tensor) -> Tensor:
        return rules.check_gradient(plugin.who, name, plugin.with_gradient(batch)[1])

    rules.check_finite(plugin.who, value)
    gradient = rules.check_gradient(plugin.who, name, gradient)
    quantities = (
        Quantity(plugin, plugin.who, value_of, (source,), value, tolerance),
        Quantity(plugin, f"the gradient of {plugin.who}", gradient_of, (source,), gradient, tolerance, absolute=0.0, steep=True),
    )
    for quantity in quantities:
        quantity.check_repeats()
    for quantity in () if couples else quantities:
        quantity.check_independent()
    if not flat:
        rules.check_not_zero(plugin, name, source, gradient)


def _codes(sampler: Sampler, objective: Evaluator, state: ChainState, steps: int) -> Code:
    return [after.code for after, _ in run(sampler, objective, state, steps)][-1]


def _runner(sampler: Sampler, objective: Evaluator, steps: int) -> Callable[[Code, Tensor], Code]:
    """(first codes, their seeds) -> codes after so many steps."""
    return lambda code, seeds: _codes(sampler, objective, sampler.init(code, tuple(seeds.tolist())), steps)


def _check_step(plugin: Plugin, sampler: Sampler, objective: Evaluator, start: ChainState) -> None:
    """The first step: the next state, made without changing the one it was given, and the evaluation of the latter's code."""
    copy, used = states.Copy.of(start), _Used(objective)
    with plugin.watched(start.code):
        after, evaluation = sampler.step(start, used)
    copy.check_unchanged(plugin.who)
    states.check_next(plugin.who, "step", start, after)
    if not used.is_used:
        raise ValueError(
            "the sampler's step did not evaluate the objective it was given, expected objective.evaluate(state.code): keep no "
            "objective in the sampler"
        )
    if not torch.equal(evaluation.code, start.code):
        raise ValueError(
            "the sampler's step returned the evaluation of another code, expected that of the code before the update: "
            "evaluate first, then update"
        )


class _Used:
    """An objective that notes whether a step asks it for anything but its code space."""

    def __init__(self, objective: Evaluator) -> None:
        self.objective = objective
        self.is_used = False

    def __getattr__(self, name: str) -> Any:
        self.is_used = self.is_used or name != "space"
        return getattr(self.objective, name)
