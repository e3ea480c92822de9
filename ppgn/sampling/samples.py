"""Samples: the last evaluations of chains, with all that made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.errors import check_chains
from ppgn.recipes import Recipe
from ppgn.sampling.files import write_samples
from ppgn.seeds import check_seeds
from ppgn.types import Evaluation, at_least_one, plain_number

OnStep = Callable[[int, Evaluation], None]
"""Called after each step of a batch with its number, from 1, and its evaluation."""


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """The last evaluations of chains.

    images: `[chain, channel, height, width]`, in [0, 1]. codes: `[chain, *code]`. log_prob: the condition's value, `[chain]`, in
    nats where its quantity is "log-probability"; that of a unit is its "activation" (`Request.quantity`).
    seeds: one per chain. recipe: of the chains, with the precision that was decided. names: a label per chain. about: the request
    as JSON. stopped: chain -> why it stopped early. bundle: its name. run: what
    else rounding depends on: how many chains ran at once, on which device, with how many threads and which versions. origin:
    fingerprints of the bundle's "weights", and as "source" of the code and weights of request and recipe; of `sample_into`.
    """

    images: Tensor
    codes: Tensor
    log_prob: Tensor
    seeds: tuple[int, ...]
    recipe: Recipe
    names: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    stopped: Mapping[int, str] = field(default_factory=dict)
    bundle: str = ""
    run: Mapping[str, Any] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    quantity: str = "log-probability"

    def __repr__(self) -> str:
        """A line; the fields hold the rest."""
        height, width = self.images.shape[-2:]
        targets = shorten(", ".join(dict.fromkeys(self.names)) or "nothing", 60, placeholder=" ...")
        value = f"mean {self.quantity} {float(self.log_prob.mean()):.3g}"
        return f"<Samples of {self.bundle}: {len(self)} pictures of {width}x{height} px for {targets}, {value}>"

    def __len__(self) -> int:
        return len(self.seeds)

    def grid(self, labels: Sequence[str] | None = None, columns: int | None = None) -> Pillow.Image:
        """All images as tiles of one picture, with a label under each if given."""
        return images.grid(self.images, labels, columns)

    def save(self, folder: str | Path) -> Path:
        """Writes each image as PNG, then samples.json, into a folder, which is made; returns the JSON file (`write_samples`)."""
        return write_samples(self, folder)

    def with_rows(self, chains: Sequence[int], other: Samples, rows: Sequence[int]) -> Samples:
        """The samples with `rows` of other samples in the place of some chains; seeds and names stay."""
        changed: dict[str, Any] = {}
        for name in ("images", "codes", "log_prob"):
            changed[name] = getattr(self, name).clone()
            changed[name][list(chains)] = getattr(other, name)[list(rows)]
        renewed = {chain: other.stopped[row] for chain, row in zip(chains, rows, strict=True) if row in other.stopped}
        stopped = {chain: why for chain, why in self.stopped.items() if chain not in chains} | renewed
        return replace(self, **changed, stopped=stopped)


def joined(parts: Sequence[Samples]) -> Samples:
    """The samples of several batches, one after the other."""
    if len(parts) == 1:
        return parts[0]
    tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("images", "codes", "log_prob")}
    seeds = tuple(seed for part in parts for seed in part.seeds)
    names = tuple(name for part in parts for name in part.names)
    firsts = [sum(len(part) for part in parts[:index]) for index in range(len(parts))]
    stopped = {first + chain: why for first, part in zip(firsts, parts, strict=True) for chain, why in part.stopped.items()}
    return replace(parts[0], **tensors, seeds=seeds, names=names, stopped=stopped)


def refuse_retries(changes: Mapping[str, Any], who: str) -> None:
    """Raises ValueError, in the name of `who`, for settings of chains that begin anew, which only `sample` has."""
    given = [name for name in ("tries", "accept", "retries") if changes.get(name) is not None]
    if given:
        raise ValueError(
            f"{who} got {given[0]} {changes[given[0]]}, expected none: only `sample` lets chains begin anew; leave it out"
        )


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """One seed per chain: those given, or counted up from the one given; of Python, of NumPy or in a tensor.

    Raises ValueError unless there is at least one chain, and a seed for each, a whole number in [0, 2**64).
    """
    count = at_least_one("count", count, "ask for one sample or more")
    check_chains(count)
    first = plain_number(seed)
    if not isinstance(first, Iterable):
        (begin,) = check_seeds([first])
        return list(check_seeds(range(begin, begin + count)))
    seeds = list(check_seeds(first))
    if len(seeds) != count:
        raise ValueError(f"got {len(seeds)} seeds for {count} chains: give one seed per chain, or the first one only")
    return seeds
