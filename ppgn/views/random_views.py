"""Random views of a picture: moved, scaled, turned, framed, with noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ppgn.seeds import Stream, normal, uniform
from ppgn.types import Image, at_least_one

GREY = 0.5


@dataclass(frozen=True)
class RandomViews:
    """`count` random views of a picture at each step, whose log-probabilities are averaged; each chain draws its own.

    frame: pixels of grey added around the picture. The part that is seen has `smallest` to `largest` of the framed picture's
    sides (above 1 shows grey around it), is turned by up to `rotation` degrees to either side, and lies around a centre that
    moves by up to `jitter` whole pixels and by N(0, wander^2) sides along each axis. noise: standard deviation of Gaussian noise
    of its pixels. All are uniform but wander and noise, and functions of (seed, step, number) alone. What is seen has the size of
    the framed picture, by bilinear interpolation, and grey outside it.

    Jitter: Mordvintsev et al. 2015. The others: Olah et al. 2017 ("Feature visualization"), Fel et al. 2023 (MACO). Raises
    ValueError for numbers that cannot be.
    """

    count: int = 1
    frame: int = 0
    jitter: int = 0
    smallest: float = 1.0
    largest: float = 1.0
    rotation: float = 0.0
    wander: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        at_least_one("random views", self.count, "a step sees one or more")
        if not 0 < self.smallest <= self.largest < math.inf:
            raise ValueError(
                f"random views got smallest {self.smallest} and largest {self.largest}, expected 0 < smallest <= largest"
            )
        for name in ("frame", "jitter", "rotation", "wander", "noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"random views got {name} {getattr(self, name)}, expected a finite number of at least 0: correct it"
                )

    @property
    def views(self) -> int:
        """How many are drawn at a step."""
        return self.count

    def __call__(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        """All views `[view, chain, channel, height, width]` of images `[chain, channel, height, width]`, one seed a chain."""
        framed = functional.pad(image, (self.frame,) * 4, value=GREY) if self.frame else image
        seen = self._rolled(framed, seeds, step) if self._moves_only else self._turned(framed, seeds, step)
        if not self.noise:
            return seen
        shape = (self.count, *seen.shape[2:])
        drawn = normal(seeds, step, shape, stream=Stream.VIEW_NOISE, dtype=seen.dtype, device=seen.device)
        return seen.add(drawn.transpose(0, 1), alpha=self.noise)

    @property
    def _moves_only(self) -> bool:
        """Whether views differ by whole pixels alone, so that nothing is interpolated."""
        return self.smallest == self.largest == 1 and not self.rotation and not self.wander

    def _turned(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        several = image - GREY if self.count == 1 else (image - GREY).repeat(self.count, 1, 1, 1)
        matrices = self.matrices(image, seeds, step).flatten(0, 1).to(image.dtype)
        grid = functional.affine_grid(matrices, list(several.shape), align_corners=False)
        return GREY + functional.grid_sample(several, grid, align_corners=False).unflatten(0, (self.count, len(image)))

    def matrices(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        """Affine matrices `[view, chain, 2, 3]` from places in the view to places in the picture, both from -1 to 1 along each
        side."""
        drawn, moved = self._drawn(seeds, step)
        side = self.smallest + (self.largest - self.smallest) * drawn[..., 0]
        angle = (2 * drawn[..., 1] - 1) * self.rotation * math.pi / 180
        height, width = image.shape[-2:]
        sides = torch.tensor([width, height], dtype=moved.dtype)
        centre = 2 * moved / sides + 2 * self.wander * torch.special.ndtri(drawn[..., 2:])
        turn = torch.stack([angle.cos(), -angle.sin() * height / width, angle.sin() * width / height, angle.cos()], -1)
        return torch.cat([side[..., None, None] * turn.unflatten(-1, (2, 2)), centre[..., None]], -1).to(image.device)

    def _rolled(self, image: Image, seeds: Sequence[int], step: int) -> Tensor:
        if not self.jitter:
            return image.expand(self.count, *image.shape)
        moved = [
            functional.pad(picture, (-right, right, -down, down), value=GREY)  # what leaves on one side is grey on the other
            for moves in self._drawn(seeds, step)[1].long().tolist()
            for picture, (right, down) in zip(image, moves, strict=True)
        ]
        return torch.stack(moved).unflatten(0, (self.count, len(image)))

    def _drawn(self, seeds: Sequence[int], step: int) -> tuple[Tensor, Tensor]:
        """(uniform numbers `[view, chain, 4]` for side, angle and wandering, moves `[view, chain, 2]` to the right and down in
        pixels)."""
        drawn = uniform(seeds, step, (self.count, 6), stream=Stream.VIEW, dtype=torch.float64).transpose(0, 1)
        return drawn[..., :4], ((2 * self.jitter + 1) * drawn[..., 4:]).floor().clamp(max=2 * self.jitter) - self.jitter
