"""The four contracts, each as one function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ppgn.chain import run
from ppgn.checks import faults
from ppgn.checks.plugin import Plugin
from ppgn.checks.quantity import Quantity, difference
from ppgn.types import ChainState, Code, Condition, Evaluation, Generator, Image, Prior, Sampler


def check_condition(condition: Condition, image: Image, *, tolerance: float = 1e-3) -> None:
    """Image `[chain, channel, height, width]` in [0, 1] -> log-probability `[chain]`: finite, deterministic, differentiable.

    For each chain value and gradient are the same alone as in the batch, so give a class condition one target for all. The
    condition changes neither the image nor its networks, leaves no gradient in them, and runs no BatchNorm or dropout in train
    mode, all on the image's device. Raises ValueError with the cause and the fix of the first rule it breaks.

    Of the range of pixels it can tell only what shows: a condition that fails on [0, 1], or has no gradient there, and works
    on [0, 255] or [-1, 1]. A network that was trained on other pixels and answers anyway looks well (see `probe.Seen`), and a
    value above 0 is no fault: activations and scores are conditions too.
    """
    plugin = Plugin("the condition", condition, given_pixels=True)
    faults.check_chains(plugin.who, "an image", image)
    faults.check_range("the check of the condition got an image", image, "divide 8-bit pixels by 255, or clamp")
    value, gradient = plugin.with_gradient(image)
    faults.check_shape(plugin.who, tuple(value.shape), len(image))
    _check_differentiable(plugin, "the image", image, value, gradient, tolerance)


def check_prior(prior: Prior, code: Code, image: Image, *, tolerance: float = 1e-3) -> None:
    """(code `[chain, *code]`, image = G(code)) -> direction of the code's shape: finite, deterministic, per chain.

    Called without gradients, as a chain does. It changes nothing, and runs no BatchNorm or dropout in train mode. Raises
    ValueError with the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin("the prior", prior)
    faults.check_chains(plugin.who, "a code", code)
    with torch.no_grad():
        direction = plugin(code, image)
        if direction.shape != code.shape:
            raise ValueError(
                f"the prior returned shape {tuple(direction.shape)}, expected the code's {tuple(code.shape)}: "
                f"return one direction per chain"
            )
        faults.check_finite(plugin.who, direction)
        quantity = Quantity(plugin, plugin.who, plugin, (code, image), direction, tolerance)
        quantity.check_repeats()
        quantity.check_independent()


def check_generator(generator: Generator, code: Code, *, tolerance: float = 1e-3) -> None:
    """Code `[chain, *code]` -> image `[chain, channel, height, width]` in [0, 1]: finite, deterministic, differentiable.

    For each chain image and gradient are the same alone as in the batch. It changes nothing, and runs no BatchNorm or dropout
    in train mode. Raises ValueError with the cause and the fix of the first rule it breaks.
    """
    plugin = Plugin("the generator", generator)
    faults.check_chains(plugin.who, "a code", code)
    image, gradient = plugin.with_gradient(code)
    if image.ndim != 4 or len(image) != len(code):
        raise ValueError(
            f"the generator returned shape {tuple(image.shape)}, expected [{len(code)}, channel, height, width]: "
            f"reshape its output to one image per chain"
        )
    _check_differentiable(plugin, "the code", code, image, gradient, tolerance)
    faults.check_range("the generator returned an image", image, faults.range_fix(image))


def check_sampler(sampler: Sampler, code: Code, *, tolerance: float = 1e-3) -> None:
    """`init` and `step` from code `[chain, *code]`: nothing is remembered outside the ChainState, which is not changed.

    A run of 4 steps is the same when run twice, when resumed after 2 from `state_dict`, and for each chain alone. No network
    that it holds runs BatchNorm or dropout in train mode or is left with gradients. Raises ValueError with the cause and the fix
    of the first rule it breaks.
    """
    plugin = Plugin("the sampler", sampler)
    faults.check_chains(plugin.who, "a code", code)
    seeds = tuple(range(len(code)))
    start = sampler.init(code, seeds)
    _check_start(start, code, seeds)
    before = start.code.clone()
    with plugin.watched(code):
        after, evaluation = sampler.step(start)
    _check_step(start, before, after, evaluation)
    states = [state for state, _ in run(sampler, start, 4)]
    fix = "draw noise only by ppgn.seeds.normal(state.seeds, state.step, ...)"
    _check_runs("between two runs", fix, _codes(sampler, start, 4), states[3].code, tolerance)
    resumed = ChainState.from_state_dict(states[1].state_dict())
    fix = "put what it remembers into the carry of the ChainState"
    _check_runs("between a resumed and an uninterrupted run", fix, _codes(sampler, resumed, 2), states[3].code, tolerance)
    for steps in (1, 4):  # after 4 the chains of a steep condition may be as far apart by rounding as by a fault
        batches = (code, torch.tensor(seeds))
        together = states[steps - 1].code
        Quantity(plugin, plugin.who, _runner(sampler, steps), batches, together, tolerance, steep=True).check_independent()


def _check_differentiable(
    plugin: Plugin, name: str, source: Tensor, value: Tensor, gradient: Tensor | None, tolerance: float
) -> None:
    """Value and gradient finite, the same again and for each chain alone, and a gradient that is not 0 everywhere."""

    def value_of(batch: Tensor) -> Tensor:
        return plugin.with_gradient(batch)[0]

    def gradient_of(batch: Tensor) -> Tensor:
        return faults.check_gradient(plugin.who, name, plugin.with_gradient(batch)[1])

    faults.check_finite(plugin.who, value)
    gradient = faults.check_gradient(plugin.who, name, gradient)
    quantities = (
        Quantity(plugin, plugin.who, value_of, (source,), value, tolerance),
        Quantity(plugin, f"the gradient of {plugin.who}", gradient_of, (source,), gradient, tolerance, absolute=0.0, steep=True),
    )
    for quantity in quantities:
        quantity.check_repeats()
    for quantity in quantities:
        quantity.check_independent()
    faults.check_not_zero(plugin, name, source, gradient)


def _check_runs(where: str, fix: str, got: Code, expected: Code, tolerance: float) -> None:
    found = difference("the sampler", where, got, expected, tolerance)
    if found:
        raise ValueError(f"the sampler {found}: {fix}")


def _codes(sampler: Sampler, state: ChainState, steps: int) -> Code:
    return [after.code for after, _ in run(sampler, state, steps)][-1]


def _runner(sampler: Sampler, steps: int) -> Callable[[Code, Tensor], Code]:
    """(start codes, their seeds) -> codes after so many steps."""
    return lambda code, seeds: _codes(sampler, sampler.init(code, tuple(seeds.tolist())), steps)


def _check_start(start: ChainState, code: Code, seeds: tuple[int, ...]) -> None:
    if start.code.shape != code.shape or start.seeds != seeds or start.step != 0:
        raise ValueError(
            f"the sampler's init returned shape {tuple(start.code.shape)}, seeds {start.seeds} and step {start.step}, "
            f"expected {tuple(code.shape)}, {seeds} and 0: put what init was given into the state"
        )


def _check_step(start: ChainState, before: Code, after: ChainState, evaluation: Evaluation) -> None:
    if not torch.equal(start.code, before):
        raise ValueError("the sampler changed the code of the state it was given, expected a new state: do not work in place")
    if after.code.shape != start.code.shape or after.seeds != start.seeds or after.step != start.step + 1:
        raise ValueError(
            f"the sampler's step returned shape {tuple(after.code.shape)}, seeds {after.seeds} and step {after.step}, "
            f"expected {tuple(start.code.shape)}, {start.seeds} and {start.step + 1}: "
            f"keep shape and seeds, count one step"
        )
    if not torch.equal(evaluation.code, start.code):
        raise ValueError(
            "the sampler's step returned the evaluation of another code, expected that of the code before the update: "
            "evaluate first, then update"
        )
