"""Layers that only move values: Reshape, Flatten, Concat, Crop, Slice, Split."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from ppgn.caffe.settings import Settings, Shape, axis_of, same_shape


class Split(nn.Module):
    """Each top is the bottom."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape], tops: int) -> None:
        super().__init__()
        self.tops = tops

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        return (bottom,) * self.tops


class Reshape(nn.Module):
    """The bottom with `num_axes` axes from `axis` on replaced by `shape`; a size of 0 keeps that axis, -1 is inferred.

    A leading size that stands for the declared batch keeps the batch, so that other batches run too. It stands for the batch
    where the other sizes hold a single item, and where -1 takes a share of each item. Where -1 stands for the batch, the leading
    size counts as written.
    """

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        bottom, self.sizes = tuple(shapes[0]), [int(size) for size in settings.get("shape", {}).get("dim", [])]
        self.start = axis_of(settings.get("axis", 0), len(bottom), end=True)
        count = settings.get("num_axes", -1)
        self.axes = len(bottom) - self.start if count == -1 else count
        if self.axes < 0 or self.start + self.axes > len(bottom):
            held = f"pass the {len(bottom)} axes of its bottom"
            raise ValueError(f"its {count} axes from {self.start} on {held}, expected fewer: correct num_axes")
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
            lacking = f"copies an axis that its bottom {list(bottom)} lacks"
            raise ValueError(f"its shape {self.sizes} {lacking}, expected 0 for existing axes only: correct the prototxt")
        return [size or bottom[self.start + axis] for axis, size in enumerate(self.sizes)]

    def forward(self, bottom: Tensor) -> Tensor:
        before, after = bottom.shape[: self.start], bottom.shape[self.start + self.axes :]
        sizes = self._copied(bottom.shape)
        replaced, known = prod(bottom.shape[self.start : self.start + self.axes]), prod(size for size in sizes if size != -1)
        if (known == 0 or replaced % known) if -1 in sizes else replaced != known:
            fix = "correct the size of the input"
            raise ValueError(f"its bottom {list(bottom.shape)} does not fit its shape {sizes}, expected as many numbers: {fix}")
        return bottom.reshape(*before, *sizes, *after)


class Flatten(nn.Module):
    """The bottom with axes `axis` to `end_axis` merged into a single one."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        axes = len(shapes[0])
        self.start, self.end = axis_of(settings.get("axis", 1), axes), axis_of(settings.get("end_axis", -1), axes)
        if self.end < self.start:
            raise ValueError(f"its axis {self.start} comes after its end_axis {self.end}, expected it before: correct the axes")

    def forward(self, bottom: Tensor) -> Tensor:
        return bottom.flatten(self.start, self.end)


class Concat(nn.Module):
    """The bottoms in a row along `axis` (`concat_dim` in old files)."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", settings.get("concat_dim", 1)), len(shapes[0]))

    def forward(self, *bottoms: Tensor) -> Tensor:
        same_shape(bottoms, self.axis)
        return torch.cat(bottoms, self.axis)


class Crop(nn.Module):
    """The first bottom, cut along the axes from `axis` on to the size of the second, `offset` (one, or one per axis) left out."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.axis, offsets = axis_of(settings.get("axis", 2), len(shapes[0])), [int(one) for one in settings.get("offset", [])]
        cut = len(shapes[0]) - self.axis
        if len(offsets) not in (0, 1, cut):
            raise ValueError(f"offset is {offsets}, expected one number, or {cut}, one per axis: correct the prototxt")
        self.offsets = offsets if len(offsets) == cut else (offsets or [0]) * cut

    def forward(self, bottom: Tensor, like: Tensor) -> Tensor:
        if bottom.ndim != like.ndim or any(
            offset + size > whole
            for offset, size, whole in zip(self.offsets, like.shape[self.axis :], bottom.shape[self.axis :], strict=False)
        ):
            raise ValueError(
                f"its bottom {list(bottom.shape)} holds no part of {list(like.shape)} from {self.offsets} on, expected a larger "
                f"one: correct the sizes or the offset"
            )
        for place, offset in enumerate(self.offsets, self.axis):
            bottom = bottom.narrow(place, offset, like.shape[place])
        return bottom


class Slice(nn.Module):
    """The bottom, cut along `axis` (`slice_dim` in old files) at `slice_point`, or into equal parts, a part per top."""

    def __init__(self, settings: Settings, shapes: Sequence[Shape], tops: int) -> None:
        super().__init__()
        self.axis = axis_of(settings.get("axis", settings.get("slice_dim", 1)), len(shapes[0]))
        self.points, self.tops = [int(point) for point in settings.get("slice_point", [])], tops
        if self.points and (len(self.points) != tops - 1 or sorted(set(self.points)) != self.points or self.points[0] < 1):
            raise ValueError(
                f"slice_point is {self.points}, expected {tops - 1} growing numbers for {tops} tops: correct the prototxt"
            )

    def forward(self, bottom: Tensor) -> tuple[Tensor, ...]:
        size = bottom.shape[self.axis]
        if (self.points[-1] >= size) if self.points else size % self.tops:
            expected = f"expected slice_point inside it, or a size that {self.tops} divides"
            raise ValueError(
                f"its bottom {list(bottom.shape)} cannot be cut into {self.tops} along axis {self.axis}, {expected}: correct the "
                f"size of the input"
            )
        return bottom.tensor_split(self.points or self.tops, self.axis)
