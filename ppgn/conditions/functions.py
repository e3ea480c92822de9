"""Conditions from functions that are not conditions yet: of one image, or a gradient without a value."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ppgn.types import Image, LogProb


class CallableCondition:
    """function(image) as a condition. One of a batch, `[chain, channel, height, width]` -> `[chain]`, needs no wrapping but
    may be; with `single` the function is one of a single image, `[channel, height, width]` -> a number.

    Raises ValueError when it returns anything else than a tensor with one number per chain (or, with `single`, one number).
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, single: bool = False) -> None:
        self.function = function
        self.single = single

    def __call__(self, image: Image) -> LogProb:
        if self.single:
            return torch.stack([self._checked(one, 1).reshape(()) for one in image.unbind(0)])
        return self._checked(image, len(image))

    def _checked(self, image: Tensor, numbers: int) -> Tensor:
        value = self.function(image)
        if not isinstance(value, Tensor) or (value.numel() != 1 if self.single else value.shape != (numbers,)):
            got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            wanted = "one number" if self.single else f"shape ({numbers},)"
            raise ValueError(
                f"the function of a condition returned {got}, expected a tensor of {wanted}: "
                f"{'reduce it' if self.single else 'keep the chain axis, or pass single=True for a function of one image'}"
            )
        return value


class Score:
    """A frozen score function: its gradient is gradient(image), d log p / d image, whatever the way it was computed.

    gradient: image `[chain, channel, height, width]` -> the same shape; called with a detached image, and free to use autograd,
    a diffusion model or finite differences inside (cond_fn in guided diffusion, Dhariwal & Nichol 2021, algorithm 1; close over
    its time step and label). value: image -> `[chain]`, the log-probability to report; by default 0, as the score does not
    tell. Raises ValueError when gradient or value has another shape.
    """

    def __init__(self, gradient: Callable[[Image], Tensor], value: Callable[[Image], LogProb] | None = None) -> None:
        self.gradient = gradient
        self.value = value

    def __call__(self, image: Image) -> LogProb:
        frozen = image.detach()
        gradient = self.gradient(frozen).detach()
        if gradient.shape != image.shape:
            raise ValueError(
                f"the gradient of a score condition has shape {tuple(gradient.shape)}, expected the image's "
                f"{tuple(image.shape)}: return d log p / d image for every pixel"
            )
        value = image.new_zeros(len(image)) if self.value is None else self.value(frozen).detach()
        if value.shape != (len(image),):
            raise ValueError(
                f"the value of a score condition has shape {tuple(value.shape)}, expected ({len(image)},): "
                f"return one log-probability per chain"
            )
        return (gradient * (image - frozen)).flatten(1).sum(1) + value
