"""`caffe:NET.prototxt,NET.caffemodel` -> a network of Caffe up to its scores, with what Caffe's networks know of their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.caffe import read_definition, read_weights
from ppgn.caffe.parts import of_file
from ppgn.networks.caffe import CaffeNetwork, CaffeNetworkConfig
from ppgn.networks.caffe.layers import MEASURES
from ppgn.networks.caffe.pictures import MEAN

FRAME = 256
"""Side of the pictures whose centre the networks of Caffe's model zoo see, of 224 or 227 pixels."""
AFTER_SCORES = ("Softmax", "Log")
LEAST_CENTRE = 224
"""A smaller network is made for pictures of its own size."""


class Scores(nn.Module):
    """A network of Caffe, BGR less its mean -> `[picture, score]`: before its softmax, where it ends in one.

    It sees the centre of pictures that are larger than its input. Its layers have the names that they have in the prototxt.
    """

    def __init__(self, network: CaffeNetwork) -> None:
        super().__init__()
        for name, layer in network.layers.items():
            self.add_module(name, layer)
        self._network = (network,)  # in a tuple, so that the layers are registered once

    @property
    def input_size(self) -> tuple[int, int]:
        network = self._network[0]
        shape = network.inputs[network.wanted[0]]
        return shape[2], shape[3]

    def forward(self, pixels: Tensor) -> Tensor:
        top, left = (max(0, (whole - part) // 2) for whole, part in zip(pixels.shape[2:], self.input_size, strict=True))
        centre = pixels[:, :, top : top + self.input_size[0], left : left + self.input_size[1]]
        return self._network[0](centre).flatten(1)


def caffe_network(files: str) -> tuple[Scores, tuple[int, int]]:
    """The network of "NET.prototxt,NET.caffemodel", and the size of picture to show it; without a caffemodel its weights are 0.

    Raises ValueError for files that are no network with one picture as input, or that do not belong together.
    """
    definition, _, weights = files.partition(",")
    described = read_definition(definition)
    with of_file(definition):
        with torch.device("meta" if weights else "cpu"):
            network = CaffeNetwork(CaffeNetworkConfig(described, _scores(described["layers"])))
        shape = network.inputs[network.wanted[0]] if len(network.wanted) == 1 else ()
        if len(shape) != 4 or shape[1] != len(MEAN):
            inputs = ", ".join(f"{name} {list(network.inputs[name])}" for name in network.wanted)
            raise ValueError(f"its inputs are {inputs}, expected one picture of three channels: give a classifier's definition")
    if weights:
        with of_file(weights):
            network.load_blobs(read_weights(weights))
    centre = min(shape[2:]) >= LEAST_CENTRE and max(shape[2:]) <= FRAME
    return Scores(network), (FRAME, FRAME) if centre else (shape[2], shape[3])


def _scores(layers: Sequence[Mapping[str, Any]]) -> str:
    """The blob that a definition ends in, or the one before its softmax (and its logarithm, as in the released CaffeNet)."""
    computing = [layer for layer in layers if layer["type"] not in MEASURES and layer.get("top")]
    makers = {top: layer for layer in computing for top in layer["top"]}
    blob = computing[-1]["top"][0] if computing else ""
    for _ in AFTER_SCORES:
        maker = makers.get(blob, {"type": ""})
        if maker["type"] in AFTER_SCORES and maker.get("bottom"):
            blob = maker["bottom"][0]
    return blob
