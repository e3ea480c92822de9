"""How well a map fits a code, for discriminators: the projection of Miyato & Koyama 2018, place by place where codes are maps."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def matched(activation: Tensor, code: Tensor, linear: Callable[[Tensor], Tensor]) -> Tensor:
    """Mean over places of <activation, linear(code)>, `[picture]`.

    activation: `[picture, width, row, column]`. code: `[picture, unit]`, the same at each place, or a map `[picture, channel,
    row, column]`, averaged to the places of the activation. linear: units, or channels, to width.
    """
    if code.ndim == 2:
        return (activation.mean((2, 3)) * linear(code)).sum(1)
    there = functional.adaptive_avg_pool2d(code, (activation.shape[2], activation.shape[3])).movedim(1, -1)
    return (activation.movedim(1, -1) * linear(there)).sum(-1).mean((1, 2))


def as_vector(code: Tensor) -> Tensor:
    """A code `[picture, unit]` as it is, of a map the mean over places `[picture, channel]`."""
    return code.mean((2, 3)) if code.ndim == 4 else code
