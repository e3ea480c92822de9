"""Rules on the values of a plug-in: shapes, finite numbers, gradients and pixels."""

from __future__ import annotations

from torch import Tensor

from ppgn.checks.plugin import Plugin
from ppgn.types import Image

HALF_LEVEL = 1 / 510  # of 8-bit pixels: no saved picture shows less


def check_chains(who: str, name: str, batch: Tensor) -> None:
    """At least two chains, all finite."""
    if batch.ndim < 1 or len(batch) < 2:
        raise ValueError(
            f"the check of {who} got shape {tuple(batch.shape)}, expected at least two chains: "
            f"pass a batch of two different ones, to see that they are independent"
        )
    if not bool(batch.isfinite().all()):
        raise ValueError(f"the check of {who} got {name} with infinity or NaN, expected finite numbers: pass another batch")


def check_range(who: str, image: Image, fix: str) -> None:
    """Pixels in [0, 1], up to half an 8-bit level."""
    low, high = float(image.detach().min()), float(image.detach().max())
    if low < -HALF_LEVEL or high > 1 + HALF_LEVEL:
        raise ValueError(f"{who} with pixels from {low:.3g} to {high:.3g}, the wrong range, expected pixels in [0, 1]: {fix}")


def range_fix(image: Image) -> str:
    """The advice for pixels outside [0, 1], by where they lie."""
    if float(image.detach().max()) > 2:
        return "divide by 255"
    return "end with a sigmoid, with (x + 1) / 2 after a tanh, or with clamp"


def check_shape(who: str, got: tuple[int, ...], chains: int) -> None:
    """One log-probability per chain."""
    if got == (chains,):
        return
    if got in ((), (1,)):
        cause, fix = "it takes a mean or a sum over the batch", "reduce each chain's own axes only, value.flatten(1).sum(1)"
    elif got == (chains, 1):
        cause, fix = "it keeps an axis of length 1", "drop it, value.squeeze(1)"
    else:
        cause, fix = "it is not one number per chain", "choose one entry per chain, or reduce every axis but the first"
    raise ValueError(f"{who} returned shape {got}, expected ({chains},), one log-probability per chain: {cause}; {fix}")


def check_finite(who: str, value: Tensor) -> None:
    """Finite numbers for every chain."""
    broken = (~value.isfinite().reshape(len(value), -1).all(1)).nonzero()
    if len(broken):
        raise ValueError(
            f"{who} returned infinity or NaN for chain {int(broken[0])}, expected finite numbers: look for log(0), exp of large "
            f"numbers or a division by 0, and add a small constant there"
        )


def check_gradient(who: str, source: str, gradient: Tensor | None) -> Tensor:
    """The gradient; ValueError when there is none, or one that is not finite."""
    if gradient is None:
        raise ValueError(
            f"{who} is not connected to {source}, expected a gradient to it: its graph is detached; remove detach(), .data, "
            f"no_grad or inference_mode, argmax, and conversions to NumPy or Python numbers; a quantised "
            f"network has no gradient, use the one that it was made from"
        )
    if not bool(gradient.isfinite().all()):
        raise ValueError(
            f"{who} has an infinite or NaN gradient to {source}, expected finite numbers: look for sqrt, log, a norm or a "
            f"division at 0, and add a small constant inside it"
        )
    return gradient


def check_not_zero(plugin: Plugin, name: str, source: Tensor, gradient: Tensor) -> None:
    """Some chain has a gradient to `name`."""
    if bool(gradient.any()):
        return
    fitting = plugin.fitting_range(source) if plugin.given_pixels else None
    if fitting is not None:
        raise ValueError(
            f"{plugin.who} has a gradient of exactly 0 to {name} for every chain with pixels in [0, 1], and none such with "
            f"{fitting}: it expects another range; begin it with image = {fitting}"
        )
    raise ValueError(
        f"{plugin.who} has a gradient of exactly 0 to {name} for every chain, expected one that says where to go: "
        f"remove rounding, thresholds and saturated clamps"
    )
