"""What an encoding of pictures is: genomes, their children, and the picture of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import Tensor

from ppgn.types import Image, plain_number, shown

Genome = TypeVar("Genome")


class Encoding(Protocol[Genome]):
    """Genomes of one kind. All randomness comes from the generator that is passed in; genomes are never changed in place."""

    def random(self, count: int, rng: np.random.Generator) -> list[Genome]:
        """New genomes that nobody has bred."""
        ...

    def children(self, parents: Sequence[Genome], rng: np.random.Generator, generation: int) -> list[Genome]:
        """A mutated copy of each parent. generation: counts from 1 (0 is the random one)."""
        ...

    def render(self, genomes: Sequence[Genome]) -> Image:
        """The pictures `[picture, channel, height, width]`, in the 256 levels that a file holds: a saved one is the same."""
        ...

    def pack(self, genomes: Sequence[Genome]) -> dict[str, Tensor]:
        """The genomes as tensors for a file."""
        ...

    def unpack(self, tensors: Mapping[str, Tensor]) -> list[Genome]:
        """The genomes of `pack`, exactly."""
        ...

    def describe(self) -> dict[str, Any]:
        """Its name and settings, as JSON: a run goes on only with the same."""
        ...


def height_and_width(size: Any, channels: Any) -> tuple[int, int]:
    """The size of pictures as (height, width). Raises ValueError for one that cannot be, and for other than 1 or 3 channels."""
    given = tuple(plain_number(side) for side in size) if isinstance(size, tuple | list) else (plain_number(size),) * 2
    if len(given) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in given):
        raise ValueError(f"got size {shown(size)}, expected pixels above 0: give a whole number, or (height, width)")
    if channels not in (1, 3):
        raise ValueError(f"got channels {shown(channels)}, expected 1 (grey) or 3 (colour): give one of them")
    return given[0], given[1]
