"""Real pictures as all parts need them: loaded once, and seen once by encoder, second network and targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import recipes
from ppgn.bundle import Bundle
from ppgn.conditions import vector_of
from ppgn.explanation.study import Pictures, Second, Tick, split_pass
from ppgn.explanation.target import AT_ONCE, Reading, Target
from ppgn.probe import Probe
from ppgn.seeds import check_seeds

DRAWN = 256
"""Pictures that are drawn from the prior where no real ones are given, at most."""


@dataclass(frozen=True, eq=False)
class Measured:
    """responses: `[target, picture]`. codes: `[picture, *code]` or None. vectors: layer of the second network -> `[picture,
    channel]`."""

    responses: Tensor
    codes: Tensor | None
    vectors: dict[str, Tensor]


def passes(targets: Sequence[Target], bundle: Bundle, second: Second | None, count: int) -> int:
    """Passes of a picture through a network that `measure` takes."""
    return count * (len(_groups(targets)) + (bundle.encoder is not None) + (second is not None))


def measure(targets: Sequence[Target], bundle: Bundle, second: Second | None, pictures: Pictures, tick: Tick) -> Measured:
    """The pictures as the networks see them. Targets of one network cost one pass."""
    device, responses = bundle.device, torch.empty(len(targets), len(pictures))
    for group in _groups(targets):
        readings = [reading for row in group if (reading := targets[row].reading) is not None]

        def seen(some: Tensor, group: list[int] = group, readings: list[Reading] = readings) -> Tensor:
            some = some.to(device)
            with torch.no_grad():
                values = _linear(readings, some) if readings else targets[group[0]].response(some)[None]
            return values.float().cpu()

        responses[group] = torch.cat(split_pass(seen, pictures, tick), 1)
    codes, vectors = None, {}
    if (encoder := bundle.encoder) is not None:
        with torch.no_grad():
            codes = torch.cat(split_pass(lambda some: encoder(some.to(device)).float().cpu(), pictures, tick))
    if second is not None:
        found: list[dict[str, Tensor]] = split_pass(lambda some: second.vectors(some.to(device)), pictures, tick)
        vectors = {layer: torch.cat([one[layer].float().cpu() for one in found]) for layer in found[0]}
    return Measured(responses, codes, vectors)


def drawn_pictures(bundle: Bundle, most: int, seed: int) -> Pictures:
    """Pictures of codes that the bundle's recipe starts at, in the place of real ones."""
    recipe = recipes.recipe_for(bundle, "plugged", draws=1, tries=1)
    setup = recipes.prepare(bundle, recipe)
    objective = recipes.objective(setup)
    count = min(most, DRAWN)
    with torch.no_grad():
        codes = recipes.starting_codes(setup, check_seeds(range(seed, seed + count)))
        made = torch.cat([objective.generator(some).clamp(0, 1).cpu() for some in codes.split(AT_ONCE)])
    files = tuple(f"drawn {number}" for number in range(count))
    return Pictures(files, torch.zeros(count, dtype=torch.long), (made * 255).round().to(torch.uint8))


def folder_facts(folder: str | Path, files: Sequence[str]) -> list[Any]:
    """Name and size of each picture, by which a resumed run knows that they are the same."""
    return [[file, (Path(folder) / file).stat().st_size] for file in files]


def _groups(targets: Sequence[Target]) -> list[list[int]]:
    """The targets that share a pass: those that read the same network on the same side of activations, heads or not; others
    alone."""
    groups: dict[Any, list[int]] = {}
    for row, target in enumerate(targets):
        reading = target.reading
        key = row if reading is None else (id(reading.network.network), reading.network.size, reading.activation, reading.heads)
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _linear(readings: Sequence[Reading], image: Tensor) -> Tensor:
    """Responses `[target, picture]` of readings of one network, in one pass."""
    first = readings[0]
    layers = list(dict.fromkeys(reading.layer for reading in readings))
    probe = Probe(first.network, layers, activation=first.activation, heads=first.heads)
    values = probe(image)
    vectors = {
        (reading.layer, reading.position): vector_of(probe, reading.layer, values[reading.layer], image, reading.position)
        for reading in readings
    }
    rows = [(vectors[one.layer, one.position] @ one.weight.to(image)) + one.bias for one in readings]
    return torch.stack(rows)
