"""The settings of a layer (the fields of its message in caffe.proto), and the checks that layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

Settings: TypeAlias = Mapping[str, Any]
Shape: TypeAlias = Sequence[int]


def blob(*shape: int) -> nn.Parameter:
    """Weights of a layer before they are loaded: zeros. Layers register them in the order in which Caffe stores them."""
    return nn.Parameter(torch.zeros(shape))


def optional_blob(settings: Settings, *shape: int, default: bool = True) -> nn.Parameter | None:
    """The bias of a layer; None where its `bias_term` is off. default: `bias_term` where the file leaves it out."""
    return blob(*shape) if settings.get("bias_term", default) else None


def needed(settings: Settings, field: str) -> int:
    """A number without a default. Raises ValueError where it is absent or below 1."""
    value = settings.get(field)
    if value is None or value < 1:
        raise ValueError(f"{field} is {'absent' if value is None else value}, expected at least 1: state it in the prototxt")
    return int(value)


def pair(settings: Settings, field: str, default: int | None, least: int, stem: str = "") -> tuple[int, int]:
    """(height, width) of `field`: a single number, a number per axis, or `<stem>_h` and `<stem>_w`.

    Raises ValueError where it is absent without a default, has more than two numbers, or is below `least`.
    """
    stem = stem or field
    if f"{stem}_h" in settings or f"{stem}_w" in settings:
        values = [settings.get(f"{stem}_h", 0), settings.get(f"{stem}_w", 0)]
    else:
        given = settings.get(field, default)
        values = list(given) if isinstance(given, Sequence) else [given]
        values = values or [default]
    if len(values) > 2 or None in values or min(values) < least:
        raise ValueError(f"{field} is {values}, expected one or two numbers of at least {least}: correct the prototxt")
    return int(values[0]), int(values[-1])


def axis_of(axis: int, axes: int, *, end: bool = False) -> int:
    """`axis` of a blob of `axes` axes, counted from the last one where it is negative; `end` allows the axis behind the last."""
    place = axis + axes + end if axis < 0 else axis
    if not 0 <= place < axes + end:
        raise ValueError(f"axis {axis} is outside a blob of {axes} axes, expected one inside it: correct the prototxt")
    return place


def picture(shape: Shape, channels: int | None = None) -> None:
    """Raises ValueError where `shape` is not `[n, channels, height, width]`."""
    if len(shape) != 4 or (channels is not None and shape[1] != channels):
        wanted = "channels" if channels is None else channels
        raise ValueError(f"its bottom is {list(shape)}, expected [n, {wanted}, height, width]: correct the shape of the input")


def same_shape(bottoms: Sequence[Tensor], but_axis: int | None = None) -> None:
    """Raises ValueError where shapes of bottoms differ on any axis but `but_axis`."""
    shapes = [list(bottom.shape) for bottom in bottoms]
    kept = [[size for axis, size in enumerate(shape) if axis != but_axis] for shape in shapes]
    if any(shape != kept[0] for shape in kept):
        where = "" if but_axis is None else f" except for axis {but_axis}"
        raise ValueError(f"its bottoms are {shapes}, expected equal shapes{where}: correct the size of the input")


def spread(weights: Tensor, bottom: Tensor, axis: int) -> Tensor:
    """`weights`, which cover axes of `bottom` from `axis` on, in a shape that is broadcast over the other axes.

    Raises ValueError where their shape is not that of these axes.
    """
    covered = tuple(bottom.shape[axis : axis + weights.ndim])
    if covered != tuple(weights.shape):
        expected = f"expected {list(weights.shape)} from axis {axis} on"
        raise ValueError(f"its bottom is {list(bottom.shape)}, {expected}: correct the size of the input")
    return weights.reshape(*weights.shape, *[1] * (bottom.ndim - axis - weights.ndim))
