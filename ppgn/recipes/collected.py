"""What chains ended with, and the batches in which they run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.recipes.settings import Settings
from ppgn.types import Evaluation

Watch = Callable[[int, Evaluation], None]


@dataclass(frozen=True, eq=False)
class Samples:
    """What chains ended with: images `[chain, channel, height, width]`, codes `[chain, *code]`, the condition's
    log_prob `[chain]` in nats, each chain's seed, the settings that made them, and why chains stopped early, if any did."""

    images: Tensor
    codes: Tensor
    log_prob: Tensor
    seeds: tuple[int, ...]
    settings: Settings
    stopped: Mapping[int, str] = field(default_factory=dict)

    def grid(self, labels: Sequence[str] | None = None, columns: int | None = None) -> Pillow.Image:
        """All images as tiles of one picture, with a label under each if given."""
        return images.grid(self.images, labels, columns)


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """One seed a chain; ValueError unless there is at least one chain and a seed for each."""
    if count < 1:
        raise ValueError(f"got count {count}, expected at least 1: ask for one sample or more")
    seeds = list(range(seed, seed + count)) if isinstance(seed, int) else list(seed)
    if len(seeds) != count:
        raise ValueError(f"got {len(seeds)} seeds for {count} chains: give one seed a chain, or the first one only")
    return seeds


def collect(
    batch_of: Callable[[slice, Sequence[int]], Iterator[Evaluation]],
    seeds: Sequence[int],
    batch: int,
    settings: Settings,
    watch: Watch | None,
) -> Samples:
    """The last evaluations of all chains, `batch` at once: batch_of(which chains, their seeds) runs some of them."""
    if batch < 1:
        raise ValueError(f"got batch {batch}, expected at least 1: run one chain or more at once")
    parts = []
    for first in range(0, len(seeds), batch):
        chosen = slice(first, first + batch)
        parts.append(_last(batch_of(chosen, seeds[chosen]), watch))
    pictures, codes = (torch.cat([getattr(part, name) for part in parts]) for name in ("image", "code"))
    log_prob = torch.cat([part.log_probs.get("condition", part.log_prob) for part in parts])
    stopped = {number * batch + chain: why for number, part in enumerate(parts) for chain, why in part.stopped.items()}
    return Samples(pictures, codes, log_prob, tuple(seeds), settings, stopped)


def _last(evaluations: Iterator[Evaluation], watch: Watch | None) -> Evaluation:
    evaluation = None
    for step, evaluation in enumerate(evaluations, 1):
        if watch is not None:
            watch(step, evaluation)
    assert evaluation is not None, "settings ask for at least one step"
    return evaluation
