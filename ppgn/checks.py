"""Contract checks for plug-in authors: each returns None, or raises ValueError with a sentence on what is wrong.

They need two different chains or more, and compare numbers up to `tolerance`, relative to the largest of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ppgn.chain import run
from ppgn.types import ChainState, Code, Condition, Evaluation, Generator, Image, Prior, Sampler

ABSOLUTE = 1e-6  # nats, pixels or code units: rounding of float32 sums whose result happens to be near 0
ALONE = "between a chain alone and in the batch"
TWICE = "between two calls"


def check_condition(condition: Condition, image: Image, *, tolerance: float = 1e-3) -> None:
    """Image `[chain, channel, height, width]` -> log-probability `[chain]`: finite, deterministic, differentiable.

    For each chain value and gradient are the same alone as in the batch, so give a class condition one target for all.
    """
    who = "the condition"
    _check_chains(who, image)
    value, gradient = _with_gradient(who, condition, image)
    if value.shape != (len(image),):
        raise ValueError(
            f"{who} returned shape {tuple(value.shape)}, expected ({len(image)},): "
            f"return one log-probability per chain, not a mean or a sum over chains"
        )
    _check_finite(who, value)
    _check_same(who, TWICE, condition(image.clone()), value, tolerance)
    _check_same(who, ALONE, _alone(who, condition, image), value, tolerance)
    gradient = _check_gradient(who, "the image", gradient)

    def gradient_of(one: Image) -> Tensor:
        return _check_gradient(who, "the image", _with_gradient(who, condition, one)[1])

    _check_same(f"the gradient of {who}", ALONE, _alone(who, gradient_of, image), gradient, tolerance, absolute=0.0)
    _check_not_zero(who, "the image", gradient)


def check_prior(prior: Prior, code: Code, image: Image, *, tolerance: float = 1e-3) -> None:
    """(code `[chain, *code]`, image = G(code)) -> direction of the code's shape: finite, deterministic, per chain."""
    who = "the prior"
    _check_chains(who, code)
    with torch.no_grad():
        direction = _call(who, prior, code, image)
        if direction.shape != code.shape:
            raise ValueError(
                f"{who} returned shape {tuple(direction.shape)}, expected the code's {tuple(code.shape)}: "
                f"return one direction per chain"
            )
        _check_finite(who, direction)
        _check_same(who, TWICE, prior(code.clone(), image.clone()), direction, tolerance)
        _check_same(who, ALONE, _alone(who, prior, code, image), direction, tolerance)


def check_generator(generator: Generator, code: Code, *, tolerance: float = 1e-3) -> None:
    """Code `[chain, *code]` -> image `[chain, channel, height, width]`: finite, deterministic, differentiable.

    For each chain it is the same alone as in the batch.
    """
    who = "the generator"
    _check_chains(who, code)
    image, gradient = _with_gradient(who, generator, code)
    if image.ndim != 4 or len(image) != len(code):
        raise ValueError(
            f"{who} returned shape {tuple(image.shape)}, expected [{len(code)}, channel, height, width]: "
            f"reshape its output to one image per chain"
        )
    _check_finite(who, image)
    with torch.no_grad():
        _check_same(who, TWICE, generator(code.clone()), image, tolerance)
        _check_same(who, ALONE, _alone(who, generator, code), image, tolerance)
    _check_not_zero(who, "the code", _check_gradient(who, "the code", gradient))


def check_sampler(sampler: Sampler, code: Code, *, tolerance: float = 1e-3) -> None:
    """`init` and `step` from code `[chain, *code]`: nothing is remembered outside the ChainState, which is not changed.

    A run of 4 steps is the same when run twice, when resumed after 2 from `state_dict`, and for each chain alone.
    """
    who = "the sampler"
    _check_chains(who, code)
    seeds = tuple(range(len(code)))
    start = sampler.init(code, seeds)
    _check_start(start, code, seeds)
    before = start.code.clone()
    after, evaluation = sampler.step(start)
    _check_step(start, before, after, evaluation)
    states = [state for state, _ in run(sampler, start, 4)]
    _check_same(who, "between two runs", _codes(sampler, start, 4), states[3].code, tolerance)
    resumed = ChainState.from_state_dict(states[1].state_dict())
    where = "between a resumed and an uninterrupted run"
    _check_same(who, where, _codes(sampler, resumed, 2), states[3].code, tolerance)
    singles = [sampler.init(code[chain : chain + 1], seeds[chain : chain + 1]) for chain in seeds]
    alone = torch.cat([_codes(sampler, single, 4) for single in singles])
    _check_same(who, ALONE, alone, states[3].code, tolerance)


def _codes(sampler: Sampler, state: ChainState, steps: int) -> Code:
    return [after.code for after, _ in run(sampler, state, steps)][-1]


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


def _check_chains(who: str, batch: Tensor) -> None:
    if batch.ndim < 1 or len(batch) < 2:
        raise ValueError(
            f"the check of {who} got shape {tuple(batch.shape)}, expected at least two chains: "
            f"pass a batch of two different ones, to see that they are independent"
        )


def _call(who: str, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function's value, after a check that it left its inputs as they were and returned a tensor."""
    copies = [tensor.clone() for tensor in inputs]
    value = function(*inputs)
    if not isinstance(value, Tensor):
        raise ValueError(f"{who} returned {type(value).__name__}, expected a tensor: convert its result")
    if not all(torch.equal(tensor, copy) for tensor, copy in zip(inputs, copies, strict=True)):
        raise ValueError(f"{who} changed its input, expected it left as it was: do not work in place")
    return value


def _alone(who: str, function: Callable[..., Tensor], *batches: Tensor) -> Tensor:
    """The function's values for one chain at a time, put together again: `[chain, ...]`."""
    values = [function(*(batch[chain : chain + 1] for batch in batches)) for chain in range(len(batches[0]))]
    for value in values:
        if value.ndim < 1 or len(value) != 1:
            raise ValueError(
                f"{who} returned shape {tuple(value.shape)} for one chain, expected a first axis of length 1: "
                f"do not squeeze the chain axis"
            )
    return torch.cat(values)


def _with_gradient(who: str, function: Callable[[Tensor], Tensor], source: Tensor) -> tuple[Tensor, Tensor | None]:
    """The value, and the gradient of a sum over it with unequal weights, or None where the two are not connected."""
    with torch.enable_grad():
        leaf = source.detach().clone().requires_grad_()
        value = _call(who, function, leaf * 1)  # not the leaf, on which work in place raises torch's own error
        if not value.requires_grad:
            return value, None
        # Equal weights would hide the gradient of anything that is normalised to a constant sum.
        units = value.shape[1:]
        weights = 1 + torch.arange(units.numel(), dtype=value.dtype, device=value.device).reshape(units)
        gradient = torch.autograd.grad((value * weights).sum(), leaf, allow_unused=True)[0]
    return value.detach(), gradient


def _check_finite(who: str, value: Tensor) -> None:
    broken = (~value.isfinite().reshape(len(value), -1).all(1)).nonzero()
    if len(broken):
        raise ValueError(
            f"{who} returned infinity or NaN for chain {int(broken[0])}, expected finite numbers: check the range of its input"
        )


def _check_gradient(who: str, source: str, gradient: Tensor | None) -> Tensor:
    if gradient is None:
        raise ValueError(
            f"{who} is not connected to {source}, expected a gradient to it: remove detach, no_grad, argmax or NumPy"
        )
    if not bool(gradient.isfinite().all()):
        raise ValueError(
            f"{who} has an infinite or NaN gradient to {source}, expected finite numbers: look for sqrt, log or a division at 0"
        )
    return gradient


def _check_not_zero(who: str, source: str, gradient: Tensor) -> None:
    if not bool(gradient.any()):
        raise ValueError(
            f"{who} has a gradient of exactly 0 to {source} for every chain, expected one that says where to go: "
            f"remove rounding, thresholds and saturated clamps"
        )


def _check_same(who: str, where: str, got: Tensor, expected: Tensor, tolerance: float, absolute: float = ABSOLUTE) -> None:
    if got.shape != expected.shape:
        raise ValueError(
            f"{who} returned shapes {tuple(got.shape)} and {tuple(expected.shape)} {where}, expected one shape: "
            f"let the shape of a chain's result depend on nothing else"
        )
    allowed = tolerance * float(expected.detach().abs().max()) + absolute
    differences = (got - expected).detach().abs().reshape(len(expected), -1).amax(1)
    if not bool((differences <= allowed).all()):  # so that NaN fails
        raise ValueError(
            f"{who} differs by {float(differences.max()):.3g} {where} (most at chain {int(differences.argmax())}), "
            f"expected at most {allowed:.3g}: call eval() on its networks, take no mean over chains, "
            f"and draw randomness only from (seed, step)"
        )
