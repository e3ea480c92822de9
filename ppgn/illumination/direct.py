"""The direct encoding: every pixel of every channel is a gene (Nguyen et al. 2015, "Deep neural networks are easily fooled")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.illumination.encoding import height_and_width
from ppgn.types import Image

MUTATION_RATE, HALVED_EVERY = 0.1, 1000
"""Probability that a pixel mutates, and the generations after which it drops by half (section "Methods")."""
STRENGTH = 15.0
"""Strength of the polynomial mutation: eta_m of the released code."""


class Direct:
    """Genomes are pictures `[channel, height, width]` of 256 levels, at first uniform noise."""

    def __init__(self, size: int | tuple[int, int], channels: int = 3) -> None:
        self.size, self.channels = height_and_width(size, channels), channels

    def random(self, count: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Uniform noise."""
        return list(rng.integers(0, 256, (count, self.channels, *self.size), dtype=np.uint8))

    def children(self, parents: Sequence[np.ndarray], rng: np.random.Generator, generation: int) -> list[np.ndarray]:
        """Each pixel mutates with the rate of the generation, by `polynomial`."""
        rate = MUTATION_RATE * 0.5 ** (generation // HALVED_EVERY)
        found = []
        for parent in parents:
            chosen = np.flatnonzero(rng.random(parent.size, dtype=np.float32) < rate)
            child = parent.copy()
            values = child.reshape(-1)[chosen] / 255 + polynomial(rng.random(len(chosen)))
            child.reshape(-1)[chosen] = np.rint(np.clip(values, 0, 1) * 255)
            found.append(child)
        return found

    def render(self, genomes: Sequence[np.ndarray]) -> Image:
        """The genomes themselves."""
        return torch.from_numpy(np.stack(list(genomes))).float() / 255

    def pack(self, genomes: Sequence[np.ndarray]) -> dict[str, Tensor]:
        """All genomes in one tensor."""
        return {"pixels": torch.from_numpy(np.stack(list(genomes)))}

    def unpack(self, tensors: Mapping[str, Tensor]) -> list[np.ndarray]:
        """The genomes of `pack`."""
        return list(tensors["pixels"].numpy())

    def describe(self) -> dict[str, Any]:
        """Its name, size and channels."""
        return {"encoding": "direct", "size": list(self.size), "channels": self.channels}


def polynomial(uniform: np.ndarray, strength: float = STRENGTH) -> np.ndarray:
    """Changes in [-1, 1] by polynomial mutation (Deb & Agrawal 1995) for uniform numbers in [0, 1): small ones are likely.

    change = (2 u)^(1 / (strength + 1)) - 1 for u < 1/2, else 1 - (2 (1 - u))^(1 / (strength + 1)).
    """
    power = 1 / (strength + 1)
    return np.where(uniform < 0.5, (2 * uniform) ** power - 1, 1 - (2 * (1 - uniform)) ** power)
