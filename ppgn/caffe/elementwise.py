"""Functions of each number of a blob: powers, exponentials, logarithms, and functions without settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log

from torch import Tensor, nn
from torch.nn import functional

from ppgn.caffe.settings import Settings, Shape


class Pointwise(nn.Module):
    """A function without settings, applied element by element."""

    def __init__(self, function: Callable[[Tensor], Tensor], settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.function = function

    def forward(self, bottom: Tensor) -> Tensor:
        return self.function(bottom)


class Power(nn.Module):
    """(shift + scale * x) ** power."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.power, self.scale, self.shift = (
            settings.get(key, value) for key, value in (("power", 1), ("scale", 1), ("shift", 0))
        )

    def forward(self, bottom: Tensor) -> Tensor:
        return (bottom * self.scale + self.shift) ** self.power


class Elu(nn.Module):
    """x where it is positive, else alpha * (exp(x) - 1)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.alpha = settings.get("alpha", 1.0)

    def forward(self, bottom: Tensor) -> Tensor:
        return functional.elu(bottom, self.alpha)


class Exp(nn.Module):
    """base ** (shift + scale * x), or exp(shift + scale * x) where the base is -1 (the default)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.unit, self.scale, self.shift = unit_of(settings, "exp_param"), settings.get("scale", 1), settings.get("shift", 0)

    def forward(self, bottom: Tensor) -> Tensor:
        return ((self.shift + self.scale * bottom) * self.unit).exp()


class Log(nn.Module):
    """log(shift + scale * x) to the base `base`, or to e where it is -1 (the default)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.unit, self.scale, self.shift = unit_of(settings, "log_param"), settings.get("scale", 1), settings.get("shift", 0)
        if not self.unit:
            raise ValueError("it has the base 1, expected -1 for e, or a positive base other than 1: correct log_param")

    def forward(self, bottom: Tensor) -> Tensor:
        return (self.shift + self.scale * bottom).log() / self.unit


def unit_of(settings: Settings, message: str) -> float:
    """log(base), 1 where the base is -1 for e. message: the name of the settings. Raises ValueError for another base below 0."""
    base = settings.get("base", -1)
    if base != -1 and base <= 0:
        raise ValueError(f"it has the base {base}, expected -1 for e, or a positive base: correct {message}")
    return 1.0 if base == -1 else log(base)
