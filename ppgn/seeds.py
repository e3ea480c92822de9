"""Noise as a pure function of (chain seed, step, stream).

No generator object is carried, so a chain draws the same numbers alone, in any batch, on any device and after a resume.
The bits come from the counter-based Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from ppgn.types import plain_number


class Stream(IntEnum):
    """The purposes of random numbers: two streams of one (seed, step) are independent. A new purpose takes the next number."""

    NOISE = 0  # that a sampler adds at each step
    START = 1  # starting codes, independent of the noise of step 0
    RESET_CODE = 2  # codes that resets of the released sampler draw
    RESET_PRIOR_SCALE = 3  # prior scales that they draw
    HOLE_PLACE = 4  # where a random hole lies
    START_CHOICE = 5  # the choice among several starting codes
    FIRST_LEVEL = 6  # noise that brings codes to the first level of annealing
    RETRY = 7  # seeds of chains that begin anew
    FLOW = 8  # noise that a stochastic flow of codes adds at each level
    EVOLUTION = 9  # whom a search without gradients breeds, and where it looks
    RESPONSE = 10  # noise of responses to pictures
    VIEW = 11  # where the random views lie that a network sees of a picture
    VIEW_NOISE = 12  # noise of their pixels
    ILLUMINATION = 13  # pictures that a search for elites of classes breeds
    CONTROL = 14  # random directions beside a unit in reports
    RECURRENCE = 15  # noise that brings a code back to the level that it came from
    SMOOTHING = 16  # noise on denoised codes, over whose pictures a condition is averaged


def check_seeds(seeds: Iterable[int]) -> tuple[int, ...]:
    """The seeds as Python ints, also those of NumPy or in a tensor. Raises ValueError for anything but a list of whole numbers in
    [0, 2**64)."""
    if not isinstance(seeds, Iterable) or getattr(seeds, "ndim", 1) != 1:
        raise ValueError(f"got seeds {seeds!r}, expected a list of whole numbers: pass one for each chain, such as [0, 1]")
    return tuple(_word("seed", seed) for seed in seeds)


def generator(seed: int, step: int, stream: int) -> np.random.Generator:
    """NumPy's generator of (seed, step, stream), for what draws row by row or through another library. ValueError as `normal`."""
    # Philox counts up from the lowest word: (step, stream) in the two high words give disjoint blocks of 2**128 draws.
    counter = np.array([0, 0, _word("step", step), _word("stream", stream)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=_word("seed", seed), counter=counter))


def normal(
    seeds: Sequence[int],
    step: int,
    shape: Sequence[int],
    *,
    stream: int = Stream.NOISE,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Independent N(0, 1) numbers `[len(seeds), *shape]`: row i is a function of (seeds[i], step, stream, shape) only.

    They are drawn in float64 on the CPU and then rounded to `dtype`. Raises ValueError unless seeds, step and stream
    are whole numbers in [0, 2**64).
    """
    return _draw(lambda random: random.standard_normal(tuple(shape)), seeds, step, shape, stream).to(dtype).to(device)


def retry_seeds(seeds: Sequence[int], number: int) -> tuple[int, ...]:
    """Seeds of the chains that begin anew in the place of chains with these `seeds`, a function of (seed, number) each;
    number counts from 1. Raises ValueError as `normal`."""
    found = (generator(seed, _word("number", number), Stream.RETRY) for seed in check_seeds(seeds))
    return tuple(int(random.integers(0, 2**64, dtype=np.uint64)) for random in found)


def uniform(
    seeds: Sequence[int],
    step: int,
    shape: Sequence[int],
    *,
    stream: int = Stream.NOISE,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Independent uniform numbers `[len(seeds), *shape]` in [0, 1], 1 itself only by rounding; else as `normal`."""
    return _draw(lambda random: random.random(tuple(shape)), seeds, step, shape, stream).to(dtype).to(device)


def _draw(
    draw_one: Callable[[np.random.Generator], np.ndarray | float],
    seeds: Sequence[int],
    step: int,
    shape: Sequence[int],
    stream: int,
) -> Tensor:
    keys = check_seeds(seeds)
    numbers = np.empty((len(keys), *shape), dtype=np.float64)
    for row, key in enumerate(keys):
        numbers[row] = draw_one(generator(key, step, stream))
    return torch.from_numpy(numbers)


def _word(name: str, value: int) -> int:
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 2**64:
        raise ValueError(f"a {name} got {value!r}, expected a whole number in [0, 2**64): pass a non-negative int")
    return number
