"""A condition on a picture of any size, computed tile by tile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ppgn.conditions.combine import select_chains
from ppgn.types import Condition, Image, LogProb, at_least_one


class Tiled:
    """sum over tiles of condition(tile) per chain, with the memory of one tile: overlapping squares that cover the picture.

    side: of a tile in pixels; a picture without a longer side is one tile, and its value that of the condition. overlap: pixels
    that neighbours share, None for an eighth of the side; there the gradients of both are blended linearly, so that no seam
    shows. Further from the border of a tile than a unit sees, the gradient is that of the whole picture. What lies in two tiles
    counts twice in the value. Raises ValueError for a side below 1 and an overlap outside [0, side / 2].
    """

    def __init__(self, condition: Condition, side: int = 512, overlap: int | None = None) -> None:
        self.condition = condition
        self.side = at_least_one("tile side", side, "give pixels")
        self.overlap = self.side // 8 if overlap is None else overlap
        if not 0 <= self.overlap <= side // 2:
            raise ValueError(f"tiles of {side} pixels got an overlap of {overlap}, expected from 0 to {side // 2}: correct it")

    def for_chains(self, chains: Sequence[int]) -> Tiled:
        """The same for some of its chains, in their order."""
        return Tiled(select_chains(self.condition, chains), self.side, self.overlap)

    def __call__(self, image: Image) -> LogProb:
        if max(image.shape[-2:]) <= self.side:
            return self.condition(image)
        return _TileByTile.apply(image, self)  # pyright: ignore[reportReturnType]

    def tiles(self, height: int, width: int) -> Iterator[tuple[slice, slice, Tensor]]:
        """Rows and columns of each tile, and the weight of its gradient at each of its pixels; weights sum to 1 at each pixel."""
        rows, columns = (tuple(self._along(length)) for length in (height, width))
        for down, vertical in rows:
            for right, horizontal in columns:
                yield down, right, vertical[:, None] * horizontal

    def _along(self, length: int) -> Iterator[tuple[slice, Tensor]]:
        """The tiles along a side of the picture, each with its weights."""
        side = min(self.side, length)
        count = 1 if length <= side else -(-(length - self.overlap) // (side - self.overlap))
        starts = [round(number * (length - side) / max(1, count - 1)) for number in range(count)]
        total = torch.zeros(length)
        windows = []
        for start in starts:
            reach = torch.arange(side) + 0.5
            rise = reach if start > 0 else torch.full((side,), torch.inf)
            fall = side - reach if start + side < length else torch.full((side,), torch.inf)
            window = torch.minimum(rise, fall).clamp(max=max(self.overlap, 1))
            total[start : start + side] += window
            windows.append(window)
        for start, window in zip(starts, windows, strict=True):
            yield slice(start, start + side), window / total[start : start + side]


class _TileByTile(torch.autograd.Function):
    """Value and gradient of `Tiled` in one pass over the tiles, of which one at a time has a graph."""

    @staticmethod
    def forward(context: Any, image: Tensor, tiled: Tiled) -> Tensor:
        needed = context.needs_input_grad[0]
        gradient = torch.zeros_like(image) if needed else None
        value = image.new_zeros(len(image))
        for down, right, weight in tiled.tiles(*image.shape[-2:]):
            with torch.set_grad_enabled(needed):
                tile = image.detach()[..., down, right].clone().requires_grad_(needed)
                found = tiled.condition(tile)
                if gradient is not None:
                    gradient[..., down, right] += weight.to(image) * torch.autograd.grad(found.sum(), tile)[0]
            value += found.detach()
        context.gradient = gradient
        return value

    @staticmethod
    def backward(context: Any, *outer: Tensor) -> tuple[Tensor | None, None]:
        scale = outer[0].reshape(-1, *(1,) * (context.gradient.ndim - 1))
        return context.gradient * scale, None
