"""A generator and a CaffeNet of random weights in files of Caffe's, small or of full size."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt
from pathlib import Path
from typing import Any

import caffe_topologies as topologies
import numpy as np
import torch
from caffe_files import write_caffemodel, write_prototxt
from numpy.typing import NDArray

from ppgn.caffe import CaffeNetwork, CaffeNetworkConfig, read_definition

CLASSES = 20


def random_weights(definition: Mapping[str, Any]) -> dict[str, tuple[str, list[NDArray[np.float32]]]]:
    """Arrays of every layer of a definition, of a size under which maps neither grow nor vanish."""
    with torch.device("meta"):
        network = CaffeNetwork(CaffeNetworkConfig(dict(definition)))
    types = {layer["name"]: layer["type"] for layer in definition["layers"]}
    draw, found = np.random.default_rng(0), {}
    for (name, _, _), layer in zip(network.wiring, network.layers.values(), strict=True):
        arrays = []
        for weights in layer.parameters():
            shape = tuple(weights.shape)
            into = shape[0] * prod(shape[2:]) / prod(layer.window.stride) if types[name] == "Deconvolution" else prod(shape[1:])
            scale = sqrt(2 / max(into, 1)) if len(shape) > 1 else 0.1
            arrays.append(draw.standard_normal(shape, np.float32) * np.float32(scale))
        if arrays:
            found[name] = (types[name], arrays)
    return found


def write_network(folder: Path, name: str, text: str, **form: Any) -> tuple[str, str]:
    """(definition, weights) of a network with random weights, as files."""
    definition = write_prototxt(folder / f"{name}.prototxt", text)
    weights = write_caffemodel(folder / f"{name}.caffemodel", random_weights(read_definition(definition)), **form)
    return str(definition), str(weights)


def write_pair(folder: Path, width: int = 16) -> tuple[tuple[str, str], tuple[str, str]]:
    """The fc6 generator and CaffeNet, `width` times narrower than published; 1 is full size, with 1000 classes."""
    classes = 1000 if width == 1 else CLASSES
    generator = write_network(folder, "generator", topologies.fc_generator(width))
    return generator, write_network(folder, "caffenet", topologies.caffenet(width, classes=classes))
