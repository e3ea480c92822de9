"""Scales and noise levels that change while a chain runs, as values that JSON can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from torch import Tensor

from ppgn.types import CodeSpace, plain_number, real, shown


@dataclass(frozen=True)
class Linear:
    """start + (end - start) * (step - begin) / steps: start up to step `begin`, end from step `begin` + `steps` on.

    steps: None is the whole run, which `bound` fills in. The schedule of the released code does not stop at its end but goes on
    falling, below 0. Raises ValueError when steps < 1, and when called without steps.
    """

    start: float
    end: float
    steps: int | None = None
    begin: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(real(self.start)) and math.isfinite(real(self.end))):
            raise ValueError(
                f"a linear schedule got {shown(self.start)} to {shown(self.end)}, expected finite numbers: correct them"
            )
        _check_whole("a linear schedule got steps", self.steps, "ask for one step or more")

    def __call__(self, step: int) -> float:
        if self.steps is None:
            raise ValueError("a linear schedule got no steps, expected the length of the run: pass steps, or use samplers.bound")
        return self.start + (self.end - self.start) * min(max((step - self.begin) / self.steps, 0.0), 1.0)

    def over(self, steps: int, begin: int) -> Linear:
        """The schedule over a run of `steps` steps from step `begin` on; unchanged where it has steps already."""
        return self if self.steps is not None else replace(self, steps=steps, begin=begin)


@dataclass(frozen=True)
class Spaced:
    """`count` levels from highest to lowest, spaced evenly in level^(1 / rho) (Karras et al. 2022, Eq. 5).

    count: None is as many as the run has steps for, which `bound` fills in. Raises ValueError unless 0 < lowest < highest
    and rho > 0.
    """

    highest: float
    lowest: float
    count: int | None = None
    rho: float = 7.0

    def __post_init__(self) -> None:
        if not 0 < real(self.lowest) < real(self.highest) < math.inf:
            raise ValueError(
                f"spaced levels got {shown(self.highest)} to {shown(self.lowest)}, expected 0 < lowest < highest: swap the two"
            )
        if not 0 < real(self.rho) < math.inf:
            raise ValueError(f"spaced levels got rho {shown(self.rho)}, expected more than 0: 7 is that of Karras et al.")
        _check_whole("spaced levels got count", self.count, "ask for one level or more")

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels, falling; the highest alone for a count of 1. Raises ValueError without a count."""
        if self.count is None:
            raise ValueError("spaced levels got no count, expected one: pass count, or use samplers.bound")
        top, bottom = self.highest ** (1 / self.rho), self.lowest ** (1 / self.rho)
        return tuple((top + place / max(1, self.count - 1) * (bottom - top)) ** self.rho for place in range(self.count))


Scale: TypeAlias = float | Linear | Callable[[int], float]
"""A constant, or a schedule: the scale as a function of the step, counted from 0."""
AnySampler = TypeVar("AnySampler")


def scale_at(scale: Scale, step: int) -> float:
    """The scale at this step, counted from 0."""
    return scale(step) if callable(scale) else scale


def check_scales(who: str, **scales: Scale) -> None:
    """Raises ValueError, in the name of `who`, for a scale that is no schedule and no finite number of at least 0, at either end
    of a `Linear`."""
    for name, scale in scales.items():
        ends = [scale.start, scale.end] if isinstance(scale, Linear) else [] if callable(scale) else [scale]
        if not all(0 <= real(end) < math.inf for end in ends):
            raise ValueError(f"{who} got {name} {shown(scale)}, expected finite numbers of at least 0: 0 leaves its part out")


def bound(sampler: AnySampler, steps: int, begin: int = 0, space: CodeSpace | None = None) -> AnySampler:
    """The sampler made ready for a run of `steps` steps from step `begin` on, through codes of that space.

    Every schedule without steps is set over that run. A sampler that has to know more of the run has a method
    `bound_to(steps, begin, space)`, which is called instead.
    """
    if isinstance(sampler, _Binds):
        return sampler.bound_to(steps, begin, space or CodeSpace())
    if not dataclasses.is_dataclass(sampler) or isinstance(sampler, type):
        return sampler
    values = {field.name: getattr(sampler, field.name) for field in dataclasses.fields(sampler) if field.init}
    changed = {name: value.over(steps, begin) for name, value in values.items() if hasattr(value, "over")}
    return replace(sampler, **changed) if changed else sampler


@runtime_checkable
class _Binds(Protocol):
    """A sampler that has to know the length of its run, and the codes."""

    def bound_to(self, steps: int, begin: int, space: CodeSpace) -> Any: ...


def scale_from(value: Any, who: str) -> Any:
    """A scale from JSON or a caller: a number, [start, end], "start:end", {"name": "linear", ...}, or a schedule as it is.

    Raises ValueError for anything else, in the name of `who`.
    """
    value = _numbers(value) if isinstance(value, str) else _from_json(Linear, _plain(value))
    if _are_numbers(value) and len(value) == 2:
        return Linear(float(value[0]), float(value[1]))
    if is_number(value) or callable(value):
        return value
    raise ValueError(f"{who} got {value!r}, expected a number, or a start and an end: write 0.2, or 0.2:0.05 to fall linearly")


def levels_from(value: Any, who: str) -> Any:
    """Noise levels from JSON or a caller: a pair or "1:0.05" (the highest and the lowest), {"name": "spaced", ...}, Spaced as it
    is, or a list of all levels.

    Raises ValueError for anything else, in the name of `who`.
    """
    value = _numbers(value) if isinstance(value, str) else _from_json(Spaced, _plain(value))
    if _are_numbers(value) and len(value) == 2:
        return Spaced(float(value[0]), float(value[1]))
    if _are_numbers(value):
        return tuple(value)
    if isinstance(value, Spaced):
        return value
    raise ValueError(f"{who} got {value!r}, expected levels: pass the highest and the lowest, such as 1:0.05")


def _numbers(text: str) -> Any:
    """The number in a text, the two numbers that a colon separates, or the text itself where it is neither."""
    try:
        found = [float(part) for part in text.split(":")]
    except ValueError:  # words
        return text
    return {1: found[0], 2: found}.get(len(found), text)


def _from_json(kind: Any, value: Any) -> Any:
    """kind(**settings) of {"name": "linear", "start": 1.0, ...}, where all settings are numbers; any other value itself."""
    if not isinstance(value, Mapping) or value.get("name") != kind.__name__.lower():
        return value
    given = {name: one for name, one in value.items() if name != "name"}
    fields = dataclasses.fields(kind)
    needed = {field.name for field in fields if field.default is dataclasses.MISSING}
    fits = needed <= set(given) <= {field.name for field in fields} and all(is_number(one) for one in given.values())
    return kind(**given) if fits else value


def _plain(value: Any) -> Any:
    """Numbers of NumPy, and in tensors, as Python's own; anything else as it is."""
    if isinstance(value, np.ndarray | Tensor):
        return value.tolist()
    return type(value)(map(plain_number, value)) if type(value) in (list, tuple) else plain_number(value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(is_number(one) for one in value)


def is_number(value: Any, kind: Any = (int, float)) -> bool:
    """Whether a value is a number of that kind, finite also as a float."""
    return isinstance(value, kind) and math.isfinite(real(value))


def _check_whole(what: str, count: Any, remedy: str) -> None:
    """Raises ValueError unless count is None or a whole number of at least 1."""
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ValueError(f"{what} {count!r}, expected a whole number of at least 1: {remedy}")
