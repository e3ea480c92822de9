"""The indirect encoding: networks that compose patterns (CPPN), whose topology, weights and functions neat-python evolves."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ppgn.errors import one_line, required
from ppgn.illumination.drawing import coordinates, hls_to_rgb, outputs
from ppgn.illumination.encoding import height_and_width
from ppgn.types import Image

FUNCTIONS = ("sine", "sigmoid", "gaussian", "linear")
INPUTS = ("x", "y", "distance to the centre", "bias")
LARGEST_WEIGHT = 10.0
SETTINGS: dict[str, Any] = {
    "num_inputs": len(INPUTS), "num_hidden": 0, "feed_forward": True, "initial_connection": "full_direct",
    "conn_add_prob": 0.5, "conn_delete_prob": 0.3, "node_add_prob": 0.5, "node_delete_prob": 0.2,  # dl_map_elites_images.cpp
    "activation_default": "random", "activation_options": " ".join(FUNCTIONS), "activation_mutate_rate": 0.1,
    "aggregation_default": "sum", "aggregation_options": "sum", "aggregation_mutate_rate": 0.0,
    "weight_init_type": "uniform", "weight_init_mean": 0.0, "weight_init_stdev": LARGEST_WEIGHT / 2,
    "weight_max_value": LARGEST_WEIGHT, "weight_min_value": -LARGEST_WEIGHT, "weight_replace_rate": 0.0,
    "weight_mutate_rate": 0.1, "weight_mutate_power": 1.6,  # the spread of polynomial mutation of strength 15 over 20
    "enabled_default": True, "enabled_mutate_rate": 0.0,
    "compatibility_disjoint_coefficient": 1.0, "compatibility_weight_coefficient": 1.0,  # of species, which are not used
}  # fmt: skip
"""neat-python's settings by the constants of the released code, where it has them. The bias is an input there, not a gene."""
for _gene, _value in (("bias", 0.0), ("response", 1.0)):
    SETTINGS |= {f"{_gene}_init_mean": _value, f"{_gene}_init_stdev": 0.0, f"{_gene}_mutate_rate": 0.0,
                 f"{_gene}_replace_rate": 0.0, f"{_gene}_mutate_power": 0.0, f"{_gene}_max_value": 30.0,
                 f"{_gene}_min_value": -30.0}  # fmt: skip


class Cppn:
    """Genomes of neat-python: networks from the x, y and distance to the centre of a pixel to its grey, or its hue, lightness
    and saturation, as in the released code (Nguyen et al. 2015). coordinates: "centred", x and y in [-1, 1], or "pixels", whole
    numbers from 0, as that code has them. Raises ValueError where neat-python is missing.
    """

    def __init__(self, size: int | tuple[int, int], channels: int = 3, coordinates: str = "centred", device: Any = "cpu") -> None:
        self.size, self.channels = height_and_width(size, channels), channels
        if coordinates not in ("centred", "pixels"):
            raise ValueError(f"got coordinates {coordinates!r}, expected centred or pixels: give one of them")
        self.coordinates, self.device = coordinates, torch.device(device)
        self._neat = _neat()
        self.config = configuration(self._neat, channels)

    def random(self, count: int, rng: np.random.Generator) -> list[Any]:
        """Every input connected to every output, with random weights and functions."""
        with _seeded(rng):
            return [self._ready(lambda genome: genome.configure_new(self.config), 0) for _ in range(count)]

    def children(self, parents: Sequence[Any], rng: np.random.Generator, generation: int) -> list[Any]:
        """Copies that neat-python mutates; nobody is crossed, as in the released code."""
        with _seeded(rng):
            return [self._child(parent) for parent in parents]

    def outputs(self, genomes: Sequence[Any], dtype: torch.dtype = torch.float32) -> Tensor:
        """What the networks compute, before it becomes colours, `[picture, output, height, width]`."""
        keys = self.config.input_keys, self.config.output_keys
        return outputs(genomes, *keys, coordinates(self.size, self.coordinates, self.device, dtype))

    def render(self, genomes: Sequence[Any]) -> Image:
        """Grey is |output|, colour the hue, lightness and saturation |outputs|, in 256 levels."""
        values = self.outputs(genomes).abs().clamp_(0, 1)
        return ((hls_to_rgb(values) if self.channels == 3 else values) * 255).round_() / 255

    def pack(self, genomes: Sequence[Any]) -> dict[str, Tensor]:
        """All genomes in one tensor of compressed JSON."""
        text = json.dumps([to_json(genome) for genome in genomes], separators=(",", ":"))
        return {"genomes": torch.frombuffer(bytearray(zlib.compress(text.encode(), 1)), dtype=torch.uint8)}

    def unpack(self, tensors: Mapping[str, Tensor]) -> list[Any]:
        """The genomes of `pack`. Raises ValueError for others."""
        try:
            return [self.from_json(one) for one in json.loads(zlib.decompress(tensors["genomes"].numpy().tobytes()))]
        except (zlib.error, ValueError, TypeError, KeyError) as fault:
            raise ValueError(f"cannot read the networks of a run ({one_line(fault)}), expected those of this version") from fault

    def describe(self) -> dict[str, Any]:
        """Its name and settings."""
        about = {"encoding": "cppn", "size": list(self.size), "channels": self.channels}
        return {**about, "coordinates": self.coordinates, "neat": SETTINGS}

    def from_json(self, stored: Mapping[str, Any]) -> Any:
        """The genome of `to_json`."""
        genome = self._neat.DefaultGenome(0)
        for key, function in stored["nodes"]:
            gene = self._neat.genes.DefaultNodeGene(int(key))
            gene.bias, gene.response, gene.aggregation, gene.time_constant = 0.0, 1.0, "sum", 1.0
            gene.activation = FUNCTIONS[FUNCTIONS.index(function)]
            genome.nodes[gene.key] = gene
        for start, end, weight, enabled, innovation in stored["connections"]:
            gene = self._neat.genes.DefaultConnectionGene((int(start), int(end)), innovation=int(innovation))
            gene.weight, gene.enabled = float(weight), bool(enabled)
            genome.connections[gene.key] = gene
        return genome

    def _child(self, parent: Any) -> Any:
        genome = self._neat.DefaultGenome(0)
        genome.nodes = {key: gene.copy() for key, gene in parent.nodes.items()}
        genome.connections = {key: gene.copy() for key, gene in parent.connections.items()}
        newest = max((gene.innovation for gene in genome.connections.values()), default=0)
        return self._ready(lambda child: child.mutate(self.config), newest, genome)

    def _ready(self, change: Any, newest: int, genome: Any = None) -> Any:
        """A genome after a change by neat-python, whose numbers of nodes and innovations count on within the genome alone: a
        child is a function of its parent and the seed, and not of what was bred before."""
        genome = self._neat.DefaultGenome(0) if genome is None else genome
        self.config.node_indexer = None
        self.config.innovation_tracker = self._neat.innovation.InnovationTracker(newest)
        change(genome)
        return genome


def to_json(genome: Any) -> dict[str, Any]:
    """A genome as JSON: nodes [key, function], connections [from, to, weight, enabled, innovation], in their order."""
    nodes = [[key, gene.activation] for key, gene in genome.nodes.items()]
    connections = [[*key, gene.weight, gene.enabled, gene.innovation] for key, gene in genome.connections.items()]
    return {"nodes": nodes, "connections": connections}


def configuration(neat: Any, channels: int) -> Any:
    """neat-python's configuration of genomes, with the activation functions of the released code (af_cppn.hpp)."""
    found = neat.DefaultGenome.parse_config({name: str(value) for name, value in {**SETTINGS, "num_outputs": channels}.items()})
    found.add_activation("sine", lambda value: math.sin(value))
    found.add_activation("sigmoid", lambda value: math.tanh(value / 2))  # (1 / (1 + exp(-value)) - 1/2) * 2
    found.add_activation("gaussian", lambda value: math.exp(-(value**2)))
    found.add_activation("linear", lambda value: min(max(value, -3.0), 3.0) / 3)
    return found


@contextmanager
def _seeded(rng: np.random.Generator) -> Iterator[None]:
    """Python's own random numbers, which neat-python draws, from the generator; afterwards they are as they were."""
    before = random.getstate()
    random.seed(int(rng.integers(2**63)))
    try:
        yield
    finally:
        random.setstate(before)


def _neat() -> Any:
    return required("neat", "the encoding cppn needs neat-python", "ppgn[illumination]", "take the encoding direct")
