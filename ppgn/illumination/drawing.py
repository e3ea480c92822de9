"""CPPNs of neat-python drawn by torch: all pixels of all networks of a batch at once, layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": torch.sin_,
    "sigmoid": lambda value: value.mul_(0.5).tanh_(),
    "gaussian": lambda value: value.square_().neg_().exp_(),
    "linear": lambda value: value.clamp_(-3, 3).div_(3),
}
"""In place, as af_cppn.hpp of the released code defines them."""
MOST_VALUES = 2**24
"""Numbers of a batch's nodes in memory at a time (64 MiB)."""


class Node(NamedTuple):
    """A node of a network: its level (0 for inputs), its function, and whom it hears [(key, weight)]."""

    key: int
    level: int
    function: str
    heard: list[tuple[int, float]]


def coordinates(size: tuple[int, int], kind: str, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The inputs of each pixel `[4, height, width]`: x, y, its distance to the centre with both in [-1, 1], and 1."""
    height, width = size
    centred = [torch.linspace(-1, 1, side, device=device, dtype=dtype) if side > 1 else torch.zeros(1, device=device, dtype=dtype)
               for side in (width, height)]  # fmt: skip
    x, y = centred[0].expand(height, width), centred[1][:, None].expand(height, width)
    distance = (x.square() + y.square()).sqrt()
    if kind == "pixels":
        x = torch.arange(width, device=device, dtype=dtype).expand(height, width)
        y = torch.arange(height, device=device, dtype=dtype)[:, None].expand(height, width)
    return torch.stack([x, y, distance, torch.ones_like(distance)])


def outputs(genomes: Sequence[Any], input_keys: Sequence[int], output_keys: Sequence[int], inputs: Tensor) -> Tensor:
    """The outputs of networks `[picture, output, height, width]` for inputs `[input, height, width]`."""
    ordered = [nodes_of(genome, input_keys, output_keys) for genome in genomes]
    pixels = inputs[0].numel()
    found, part, held = [], [], 0
    for nodes in ordered:
        if part and (held + len(nodes)) * pixels > MOST_VALUES:
            found.append(_computed(part, input_keys, output_keys, inputs.flatten(1)))
            part, held = [], 0
        part.append(nodes)
        held += len(nodes)
    found.append(_computed(part, input_keys, output_keys, inputs.flatten(1)))
    return torch.cat(found).unflatten(2, inputs.shape[1:])


def nodes_of(genome: Any, input_keys: Sequence[int], output_keys: Sequence[int]) -> list[Node]:
    """The nodes that the outputs of a network need, each after those that it hears."""
    heard: dict[int, list[tuple[int, float]]] = {key: [] for key in genome.nodes}
    for (start, end), gene in genome.connections.items():
        if gene.enabled:
            heard[end].append((start, gene.weight))
    needed, waiting, inputs = set(output_keys), list(output_keys), set(input_keys)
    while waiting:
        new = {start for start, _ in heard[waiting.pop()]} - inputs - needed
        needed |= new
        waiting += new
    order = TopologicalSorter({key: [start for start, _ in heard[key] if start not in inputs] for key in sorted(needed)})
    levels: dict[int, int] = dict.fromkeys(input_keys, 0)
    found = []
    for key in order.static_order():
        levels[key] = 1 + max((levels[start] for start, _ in heard[key]), default=0)
        found.append(Node(key, levels[key], genome.nodes[key].activation, heard[key]))
    return found


def _computed(
    networks: Sequence[Sequence[Node]], input_keys: Sequence[int], output_keys: Sequence[int], inputs: Tensor
) -> Tensor:
    """The outputs `[picture, output, pixel]`. All nodes of a level and function stand side by side, and are computed at once."""
    every = [(node, number) for number, nodes in enumerate(networks) for node in nodes]
    every.sort(key=lambda one: (one[0].level, one[0].function))
    rows = {(number, key): row for number in range(len(networks)) for row, key in enumerate(input_keys)}
    rows |= {(number, node.key): len(input_keys) + row for row, (node, number) in enumerate(every)}
    values = torch.empty(len(input_keys) + len(every), inputs.shape[1], device=inputs.device, dtype=inputs.dtype)
    values[: len(input_keys)] = inputs
    begin = len(input_keys)
    for _, level in groupby(every, lambda one: one[0].level):
        nodes = list(level)
        _level(values, nodes, begin, rows)
        begin += len(nodes)
    chosen = [rows[number, key] for number in range(len(networks)) for key in output_keys]
    return values[chosen].unflatten(0, (len(networks), len(output_keys)))


def _level(values: Tensor, nodes: Sequence[tuple[Node, int]], begin: int, rows: dict[tuple[int, int], int]) -> None:
    """Computes the rows of a level from those before `begin`: weighted sums, then the functions, each over its rows."""
    starts = [rows[number, start] for node, number in nodes for start, _ in node.heard]
    weights = [weight for node, _ in nodes for _, weight in node.heard]
    counts = [0]
    for node, _ in nodes:
        counts.append(counts[-1] + len(node.heard))
    sums = values[begin : begin + len(nodes)]
    if starts:
        where = torch.tensor(starts, device=values.device), torch.tensor(counts[:-1], device=values.device)
        scaled = torch.tensor(weights, device=values.device, dtype=values.dtype)
        sums.copy_(functional.embedding_bag(where[0], values[:begin], where[1], mode="sum", per_sample_weights=scaled))
    else:
        sums.zero_()
    first = 0
    for function, same in groupby(nodes, lambda one: one[0].function):
        last = first + sum(1 for _ in same)
        ACTIVATIONS[function](sums[first:last])
        first = last


def hls_to_rgb(values: Tensor) -> Tensor:
    """Hue, lightness and saturation `[picture, 3, height, width]` in [0, 1] as red, green and blue.

    The hue of 1 is 510 degrees: the released code fills OpenCV's bytes of two degrees up to 255 (phen_color_image.hpp).
    """
    hue, lightness, saturation = values.unbind(1)
    spread = saturation * torch.minimum(lightness, 1 - lightness)
    turns = hue * (510 / 30)
    channels = []
    for offset in (0, 8, 4):
        place = torch.remainder(turns + offset, 12)
        channels.append(lightness - spread * torch.minimum(place - 3, 9 - place).clamp_(-1, 1))
    return torch.stack(channels, 1).clamp_(0, 1)
