"""`caffe:NET.prototxt,NET.caffemodel` -> a network of Caffe up to its scores, and the size of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.caffe import MEAN, MEASURES, CaffeNetwork, CaffeNetworkConfig, read_definition, read_weights
from ppgn.loaders.weights import of_file

FRAME = 256
"""Side of pictures in pixels. Networks of Caffe's model zoo see the centre of 224 or 227 of it."""
LEAST_CENTRE = 224
"""Smallest input in pixels that is a centre; a network with a smaller input sees the whole picture."""
AFTER_SCORES = ("Softmax", "Log")
"""Types of the layers that turn scores into log-probabilities."""


class Scores(nn.Module):
    """A network of Caffe, its input (BGR minus the mean where it has three channels) -> scores `[picture, score]`, before its
    softmax where it ends in one.

    It sees the centre of pictures that are larger than its input. Layers have their names in the prototxt.
    """

    def __init__(self, network: CaffeNetwork) -> None:
        super().__init__()
        for name, layer in network.layers.items():
            self.add_module(name, layer)
        self._network = (network,)  # in a tuple, so that its layers are registered only once

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of the input, in pixels."""
        network = self._network[0]
        shape = network.inputs[network.wanted[0]]
        return shape[2], shape[3]

    @property
    def input_channels(self) -> int:
        """Channels of the input."""
        network = self._network[0]
        return network.inputs[network.wanted[0]][1]

    def forward(self, pixels: Tensor) -> Tensor:
        top, left = (max(0, (whole - part) // 2) for whole, part in zip(pixels.shape[2:], self.input_size, strict=True))
        centre = pixels[:, :, top : top + self.input_size[0], left : left + self.input_size[1]]
        return self._network[0](centre).flatten(1)


def caffe_network(files: str) -> tuple[Scores, tuple[int, int]]:
    """The network of "NET.prototxt,NET.caffemodel", and the (height, width) of its pictures.

    Without a caffemodel its weights are on the meta device, which is enough to list layers. Raises ValueError for a definition
    whose input is not a single picture of three channels or one, and for files that do not belong together.
    """
    definition, comma, weights = files.partition(",")
    if comma and not weights:
        raise ValueError(f"got no weights after {definition}, expected NET.prototxt,NET.caffemodel: name the weights")
    described = read_definition(definition)
    with of_file(definition):
        with torch.device("meta"):
            network = CaffeNetwork(CaffeNetworkConfig(described, _scores(described["layers"])))
        shape = network.inputs[network.wanted[0]] if len(network.wanted) == 1 else ()
        if len(shape) != 4 or shape[1] not in (1, len(MEAN)):
            inputs = ", ".join(f"{name} {list(network.inputs[name])}" for name in network.wanted)
            raise ValueError(
                f"its inputs are {inputs}, expected one picture of three channels or one: give the definition of a classifier"
            )
    if weights:
        with of_file(weights):
            network.load_blobs(read_weights(weights))
    centre = min(shape[2:]) >= LEAST_CENTRE and max(shape[2:]) <= FRAME
    return Scores(network), (FRAME, FRAME) if centre else (shape[2], shape[3])


def _scores(layers: Sequence[Mapping[str, Any]]) -> str:
    """The last blob of a definition, or the blob before its softmax (and logarithm, as in the released CaffeNet)."""
    computing = [layer for layer in layers if layer["type"] not in MEASURES and layer.get("top")]
    makers = {top: layer for layer in computing for top in layer["top"]}
    blob = computing[-1]["top"][0] if computing else ""
    for _ in AFTER_SCORES:
        maker = makers.get(blob, {"type": ""})
        if maker["type"] in AFTER_SCORES and maker.get("bottom"):
            blob = maker["bottom"][0]
    return blob
