"""Layers that only move numbers: Reshape, Flatten, Concat, Slice, Split."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ppgn.networks.caffe.settings import Settings, Shape, axis_of, same_shape


class Split(nn.Module):
    """The bottom, as each of the tops."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape], tops: int) -> None:
        super().__init__()
        self.tops = tops

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        return (bottom,) * self.tops


class Reshape(nn.Module):
    """The bottom with axes `axis` to `axis + num_axes` replaced by `shape`: 0 keeps that axis, -1 is inferred.

    A leading number that stands for the declared batch keeps the batch, so that other batches can be given: where the other
    numbers hold one item, or where -1 takes a share of each item. Where -1 stands for the batch, a leading number is itself.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        bottom, self.sizes = tuple(shapes[0]), [int(size) for size in settings.get("shape", {}).get("dim", [])]
        self.start = axis_of(settings.get("axis", 0), len(bottom), end=True)
        count = settings.get("num_axes", -1)
        self.axes = len(bottom) - self.start if count == -1 else count
        if self.axes < 0 or self.start + self.axes > len(bottom):
            raise ValueError(f"its {count} axes from {self.start} on pass the {len(bottom)} axes of its bottom: correct num_axes")
        if min(self.sizes, default=0) < -1 or self.sizes.count(-1) > 1:
            raise ValueError(f"its shape is {self.sizes}, expected sizes, 0, and at most one -1: correct the prototxt")
        if self.start == 0 and self.axes == len(bottom) and self._leads_with_batch(bottom):
            self.sizes[0] = 0

    def _leads_with_batch(self, bottom: Shape) -> bool:
        if not self.sizes or self.sizes[0] < 1:
            return False
        item, sizes = prod(bottom[1:]), self._copied(bottom)[1:]
        known = prod(size for size in sizes if size != -1)
        if -1 not in sizes or known == 0 or item % known:
            return known == item
        return item > known or self.sizes[0] == bottom[0] > 1

    def _copied(self, bottom: Shape) -> list[int]:
        """`sizes` with each 0 replaced by the bottom's size there."""
        if any(size == 0 and self.start + axis >= len(bottom) for axis, size in enumerate(self.sizes)):
            raise ValueError(f"its shape {self.sizes} copies an axis that its bottom {list(bottom)} lacks: correct the prototxt")
        return [size or bottom[self.start + axis] for axis, size in enumerate(self.sizes)]

    def forward(self, bottom: Tensor) -> Tensor:
        before, after = bottom.shape[: self.start], bottom.shape[self.start + self.axes :]
        sizes = self._copied(bottom.shape)
        replaced, known = prod(bottom.shape[self.start : self.start + self.axes]), prod(size for size in sizes if size != -1)
        if (known == 0 or replaced % known) if -1 in sizes else replaced != known:
            raise ValueError(f"its bottom {list(bottom.shape)} does not fit its shape {sizes}: is the input's size right?")
        return bottom.reshape(*before, *sizes, *after)


class Flatten(nn.Module):
    """Axes `axis` to `end_axis` as one."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        axes = len(shapes[0])
        self.start, self.end = axis_of(settings.get("axis", 1), axes), axis_of(settings.get("end_axis", -1), axes)
        if self.end < self.start:
            raise ValueError(f"its axis {self.start} comes after its end_axis {self.end}: correct the prototxt")

    def forward(self, bottom: Tensor) -> Tensor:
        return bottom.flatten(self.start, self.end)


class Concat(nn.Module):
    """All bottoms, one after another along `axis` (`concat_dim` in old files)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", settings.get("concat_dim", 1)), len(shapes[0]))

    def forward(self, *bottoms: Tensor) -> Tensor:
        same_shape(bottoms, self.axis)
        return torch.cat(bottoms, self.axis)


class Slice(nn.Module):
    """The bottom cut along `axis` (`slice_dim` in old files) at `slice_point`, or into equal parts, one for each top."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape], tops: int) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", settings.get("slice_dim", 1)), len(shapes[0]))
        self.points, self.tops = [int(point) for point in settings.get("slice_point", [])], tops
        if self.points and (len(self.points) != tops - 1 or sorted(set(self.points)) != self.points or self.points[0] < 1):
            raise ValueError(f"slice_point is {self.points}, expected {tops - 1} growing numbers for {tops} tops")

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        size = bottom.shape[self.axis]
        if (self.points[-1] >= size) if self.points else size % self.tops:
            raise ValueError(f"its bottom {list(bottom.shape)} cannot be cut into {self.tops} along axis {self.axis}")
        return bottom.tensor_split(self.points or self.tops, self.axis)
