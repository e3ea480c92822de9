"""A search from its beginning to its end, in memory or in a folder that a kill cannot harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from ppgn import images, requests
from ppgn.illumination.encoding import Encoding
from ppgn.illumination.folder import SearchFolder
from ppgn.illumination.illuminated import Illuminated
from ppgn.illumination.search import CurveRow, Search
from ppgn.types import Image, plain_number, shown

Network: TypeAlias = Callable[[Image], Tensor]
"""Images `[picture, channel, height, width]` in [0, 1] -> logits `[picture, class]`."""
OnGeneration: TypeAlias = Callable[[int, CurveRow], None]
"""Called with the number of generations that are done and the last row of the curve."""


def illuminate(
    network: Network,
    encoding: Encoding[Any],
    *,
    classes: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    generations: int | None = None,
    budget: int | None = None,
    population: int = 200,
    seed: int = 0,
    folder: str | Path | None = None,
    watch: OnGeneration | None = None,
    batch: int = 32,
    device: Any = "cpu",
) -> Illuminated:
    """Pictures of which a network is sure, one for each class, by MAP-Elites (Nguyen, Yosinski & Clune 2015).

    network: its softmax over all classes is the confidence. classes: numbers of the classes that are searched, by default all;
    one class is the evolution of a single target. names: of them. generations, or budget in pictures: one of both; the first
    generation is the random one. folder: where the search is kept; the same call goes on there after a kill, and with a larger
    budget, and gives what an undisturbed one gives. watch: called after each generation. batch: pictures a pass. Raises
    ValueError for what does not fit.
    """
    whole = _generations(generations, budget, population)
    columns, labels = _classes(network, encoding, classes, names, device)
    search = Search(encoding, len(columns), population=population, seed=seed)
    place = None if folder is None else images.make_folder(folder)
    with nullcontext() if place is None else images.alone_in(place):
        kept = None if place is None else SearchFolder(place)
        if kept is not None:
            about = {"encoding": encoding.describe(), "classes": columns, "names": list(labels), "population": search.population,
                     "seed": search.seed, "network": requests.fingerprint(network, weights=True)}  # fmt: skip
            kept.open(search, about)
        begun = search.generation
        while search.generation < whole:
            row = search.tell(confidences(network, encoding, search.candidates(), batch, device)[:, columns])
            if kept is not None:
                kept.save(search)
            if watch is not None:
                watch(search.generation, row)
        if kept is not None:
            if search.generation > begun:
                kept.save(search, at_once=True)
            kept.write_curve(search)
    return Illuminated(labels, tuple(columns), search)


def confidences(network: Network, encoding: Encoding[Any], genomes: Sequence[Any], batch: int, device: Any) -> Tensor:
    """The softmax `[picture, class]` of the network for the pictures of genomes, `batch` at a time. ValueError as `scored`."""
    found = [scored(network, encoding.render(genomes[i : i + batch]).to(device)).cpu() for i in range(0, len(genomes), batch)]
    return torch.cat(found)


def scored(network: Network, pictures: Image) -> Tensor:
    """The softmax `[picture, class]` in float64. Raises ValueError where the network gives something else than logits."""
    with torch.inference_mode():
        logits = network(pictures)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(pictures):
        raise ValueError(f"the network gave {shown(logits)}, expected logits [picture, class]: give one that classifies")
    return logits.double().softmax(1)


def _generations(generations: Any, budget: Any, population: Any) -> int:
    if (generations is None) == (budget is None):
        raise ValueError("got generations and budget, expected one of them" if budget is not None else
                         "got neither generations nor budget, expected one of them: give generations")  # fmt: skip
    what, value = ("generations", generations) if budget is None else ("budget", budget)
    number = plain_number(value)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"got {what} {shown(value)}, expected a whole number of at least 1: give one")
    if budget is None:
        return number
    if isinstance(population, int) and number < population:
        raise ValueError(f"got a budget of {number} pictures for generations of {population}, expected at least one generation: "
                         f"raise it, or lower the population")  # fmt: skip
    return number // population if isinstance(population, int) and population > 0 else number


def _classes(
    network: Network, encoding: Encoding[Any], classes: Any, names: Any, device: Any
) -> tuple[list[int], tuple[str, ...]]:
    """The columns that are searched and their names, tried on a picture."""
    trial = encoding.render(encoding.random(1, np.random.default_rng(0))).to(device)
    count = scored(network, trial).shape[1]
    columns = list(range(count)) if classes is None else [plain_number(one) for one in classes]
    wrong = [one for one in columns if not isinstance(one, int) or isinstance(one, bool) or not 0 <= one < count]
    if wrong or not columns or len(set(columns)) < len(columns):
        raise ValueError(f"got classes {shown(classes)}, expected different numbers from 0 to {count - 1}: correct them")
    labels = tuple(str(one) for one in columns) if names is None else tuple(str(one) for one in names)
    if len(labels) != len(columns):
        raise ValueError(f"got {len(labels)} names for {len(columns)} classes, expected one for each: give them in that order")
    return columns, labels
