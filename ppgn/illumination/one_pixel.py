"""The one-pixel attack: differential evolution of the place and colour of few pixels (Su, Vargas & Sakurai 2019)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.errors import required
from ppgn.illumination.run import Network, scored
from ppgn.seeds import Stream, generator
from ppgn.types import Image, plain_number, shown

POPULATION, ITERATIONS, FACTOR = 400, 100, 0.5
"""Candidates, generations, and the factor of differences (section 3.3)."""


@dataclass(frozen=True, eq=False)
class OnePixel:
    """A picture `[channel, height, width]` with few other pixels. label: the class that the network now puts first; fooled:
    whether it is the target, or without one, another than the picture's; before, confidence: of the target, or of the picture's
    class, in the picture as it was and now. changes: (y, x, levels) of each pixel. asked: how many pictures the network saw."""

    picture: Image = field(repr=False)
    fooled: bool
    label: int
    before: float
    confidence: float
    changes: tuple[tuple[int, int, tuple[int, ...]], ...]
    asked: int


def one_pixel(
    network: Network,
    picture: Image,
    label: int,
    *,
    pixels: int = 1,
    target: int | None = None,
    population: int = POPULATION,
    iterations: int = ITERATIONS,
    seed: int = 0,
    batch: int = 64,
    watch: Callable[[int, float], None] | None = None,
) -> OnePixel:
    """Changes `pixels` pixels of a picture `[channel, height, width]` in [0, 1] until the network puts another class first.

    network: images -> logits. label: the class of the picture. target: the class that is wanted, by default any other. A
    candidate holds the y, x and levels (0 to 255) of each pixel; there is no crossover, as in the paper, and the search ends when
    the network is fooled. watch: called with each generation and its best confidence. Raises ValueError for what does not fit,
    and where SciPy is missing.
    """
    evolve = _differential_evolution()
    if picture.ndim != 3 or len(picture) not in (1, 3):
        raise ValueError(f"got a picture {shown(picture)}, expected [channel, height, width] with 1 or 3 channels: give one")
    for what, value, least in (("pixels", pixels, 1), ("population", population, 5), ("iterations", iterations, 1)):
        number = plain_number(value)
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            raise ValueError(f"got {what} {shown(value)}, expected a whole number of at least {least}: give one")
    attack = _Attack(network, picture.detach(), label, target, pixels, batch)
    before = float(attack.scores(None)[attack.aim])
    rng = generator(seed, 0, Stream.ILLUMINATION)
    height, width = picture.shape[1:]
    highest = np.tile([height - 1, width - 1, *[255] * len(picture)], pixels)
    begin = _begin(rng, population, pixels, highest, len(picture))
    found = evolve(attack.losses, [(0, top) for top in highest], strategy="rand1bin", mutation=FACTOR, recombination=1.0,
                   init=begin, maxiter=iterations, tol=0.0, atol=-1.0, polish=False, vectorized=True, updating="deferred",
                   rng=rng, integrality=np.ones(len(highest), dtype=bool), callback=attack.callback(watch))  # fmt: skip
    best = np.rint(found.x)
    now = attack.scores(best)
    changes = tuple((int(one[0]), int(one[1]), tuple(int(level) for level in one[2:])) for one in best.reshape(pixels, -1))
    made, confidence = changed(picture.detach(), best[None], pixels)[0], float(now[attack.aim])
    return OnePixel(made, attack.fools(now), int(now.argmax()), before, confidence, changes, attack.asked)


class _Attack:
    """What the search asks: losses of candidates, and whether the best one fools the network. asked: pictures shown so far."""

    def __init__(self, network: Network, picture: Image, label: int, target: int | None, pixels: int, batch: int) -> None:
        self.network, self.picture, self.pixels, self.batch = network, picture, pixels, batch
        self.asked = 0
        first = self.scores(None)
        count = len(first)
        for what, value in (("label", label), ("target", target)):
            number = plain_number(value)
            if value is not None and (isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count):
                raise ValueError(f"got the {what} {shown(value)}, expected a class from 0 to {count - 1}: give its number")
        if target == label:
            raise ValueError(f"got the target {target}, which is the label, expected another class: give one, or leave it out")
        self.label, self.target = label, target
        self.aim = label if target is None else target
        if self.fools(first):
            raise ValueError(
                f"the network says class {int(first.argmax())} already, expected a picture that is to be changed: give another "
                f"picture, or other classes"
            )

    def scores(self, candidate: np.ndarray | None) -> Tensor:
        """The confidences `[class]` of the picture, changed or as it is."""
        self.asked += 1
        pictures = self.picture[None] if candidate is None else changed(self.picture, candidate[None], self.pixels)
        return scored(self.network, pictures)[0].cpu()

    def losses(self, candidates: np.ndarray) -> np.ndarray:
        """The confidence in the picture's class, or minus that in the target, of candidates `[number, candidate]`."""
        rows = candidates.T
        self.asked += len(rows)
        parts = [rows[first : first + self.batch] for first in range(0, len(rows), self.batch)]
        found = [scored(self.network, changed(self.picture, part, self.pixels))[:, self.aim] for part in parts]
        return (1 if self.target is None else -1) * torch.cat(found).cpu().numpy()

    def fools(self, scores: Tensor) -> bool:
        """Whether confidences `[class]` are what is wanted."""
        first = int(scores.argmax())
        return first != self.label if self.target is None else first == self.target

    def callback(self, watch: Callable[[int, float], None] | None) -> Callable[..., bool]:
        """Called by SciPy after each generation with the best candidate; true ends the search."""
        done = 0

        def ends(best: np.ndarray, convergence: float = 0.0) -> bool:
            nonlocal done
            done += 1
            now = self.scores(best)
            if watch is not None:
                watch(done, float(now[self.aim]))
            return self.fools(now)

        return ends


def changed(picture: Image, candidates: np.ndarray, pixels: int) -> Image:
    """The picture `[candidate, channel, height, width]` with the pixels of `[candidate, pixels * (y, x, *levels)]`."""
    values = torch.from_numpy(np.rint(candidates)).reshape(len(candidates), pixels, -1).to(picture.device)
    found = picture.repeat(len(candidates), 1, 1, 1)
    rows = torch.arange(len(candidates), device=picture.device)
    for one in values.unbind(1):
        found[rows, :, one[:, 0].long(), one[:, 1].long()] = (one[:, 2:] / 255).to(found)
    return found


def _begin(rng: np.random.Generator, count: int, pixels: int, highest: np.ndarray, channels: int) -> np.ndarray:
    """First candidates: places uniform, levels of the normal distribution N(128, 127) (section 3.3)."""
    found = rng.uniform(0, 1, (count, len(highest))) * highest
    levels = np.clip(rng.normal(128, 127, (count, pixels, channels)), 0, 255)
    found.reshape(count, pixels, -1)[:, :, 2:] = levels
    return np.rint(found)


def _differential_evolution() -> Any:
    return required("scipy.optimize", "the one-pixel attack needs SciPy", "ppgn[illumination]").differential_evolution
