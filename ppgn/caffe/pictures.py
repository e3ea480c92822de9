"""Networks of Caffe as parts of a bundle, code -> image and image -> code, with pixels in [0, 1] and in RGB."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ppgn import images
from ppgn.caffe.network import CaffeNetwork, CaffeNetworkConfig

MEAN = (104.006, 116.669, 122.679)
"""Mean blue, green and red of ImageNet's pictures, in 0..255, which CaffeNet and the published generators subtract."""


@dataclass(frozen=True)
class CaffeGeneratorConfig:
    """The definition of a generator.

    definition: see CaffeNetworkConfig; its only input is the code. output: the blob of the picture, "" for the last one. mean:
    blue, green and red that were subtracted from the pictures in training, in 0..255.
    """

    definition: dict[str, Any] = field(default_factory=dict)
    output: str = ""
    mean: tuple[float, ...] = MEAN


class CaffeGenerator(nn.Module):
    """Code -> image, (BGR output + mean) / 255 as RGB: the generators of Dosovitskiy & Brox 2016, DGN-AM and PPGN as released.

    The output is linear: pixels may leave [0, 1], as those of the published generators do, and are not clipped. The image has the
    type of the code, whatever that of the weights. Raises ValueError for a definition with several inputs, and for an output that
    is no square picture with as many channels as `mean`.
    """

    architecture = "caffe_generator"
    takes_any_type = True

    def __init__(self, config: CaffeGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.network = CaffeNetwork(CaffeNetworkConfig(config.definition, config.output))
        shape = self.network.shapes[self.network.output]
        if len(shape) != 4 or shape[2] != shape[3] or shape[1] != len(config.mean):
            raise ValueError(
                f"the generator's output {self.network.output!r} is {list(shape)}, expected a square picture of "
                f"{len(config.mean)} channels, [1, {len(config.mean)}, size, size]: give the definition of a generator"
            )
        self.image_size = shape[2]
        self.code_shape = tuple(self.network.inputs[only_input(self.network)][1:])

    def forward(self, code: Tensor) -> Tensor:
        """The image `[chain, channel, size, size]` of codes `[chain, *code]` with as many numbers as the input."""
        bgr = _run(self.network, code.reshape(len(code), *self.code_shape))
        return images.normalise(bgr, [-value for value in self.config.mean], 255.0).flip(1)

    def load_blobs(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Fills the network as `CaffeNetwork.load_blobs` does."""
        self.network.load_blobs(weights)


@dataclass(frozen=True)
class CaffeEncoderConfig:
    """The definition of a classifier as an encoder.

    definition: see CaffeNetworkConfig. code: the blob that is the code. scores: the blob of the scores of classes before their
    softmax. mean: see CaffeGeneratorConfig. image_size: side of the pictures, in pixels, of which the network sees the centre.
    """

    definition: dict[str, Any] = field(default_factory=dict)
    code: str = "fc6"
    scores: str = "fc8"
    mean: tuple[float, ...] = MEAN
    image_size: int = 256


class CaffeEncoder(nn.Module):
    """Image -> code, a blob of a Caffe classifier as its last layer leaves it (fc6 after its ReLU); and code -> class scores.

    `trunk` holds the layers up to the code, `head` those from there to the scores. Outputs have the type of the input, whatever
    that of the weights: the mean is subtracted before pixels are rounded to the type of the weights. Raises ValueError for
    unknown blobs, and for scores that need more of the picture than the code.
    """

    architecture = "caffe_encoder"
    takes_any_type = True

    def __init__(self, config: CaffeEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = CaffeNetwork(CaffeNetworkConfig(config.definition, config.code))
        self.code_shape = self.trunk.shapes[config.code][1:]
        self.head = None if config.scores == config.code else _head(config, self.trunk)
        shape = self.trunk.inputs[only_input(self.trunk)]
        if len(shape) != 4 or shape[1] != len(config.mean) or max(shape[2:]) > config.image_size:
            raise ValueError(
                f"the encoder's input is {list(shape)}, expected [1, {len(config.mean)}, height, width] of at most "
                f"{config.image_size} pixels, the size of the pictures: give the definition of a classifier"
            )
        self.input_size = (shape[2], shape[3])

    @property
    def classes(self) -> int:
        """The number of scores."""
        last = self.trunk if self.head is None else self.head
        return math.prod(last.shapes[self.config.scores][1:])

    def forward(self, image: Tensor) -> Tensor:
        """The code `[picture, *code]` of pictures `[picture, channel, height, width]`."""
        return _run(self.trunk, self.prepare(image))

    def prepare(self, image: Tensor) -> Tensor:
        """The input, BGR in 0..255 minus the mean: the centre of the pictures, which are first resized to image_size."""
        return caffe_input(images.resize(image, self.config.image_size), self.input_size, self.config.mean)

    def logits_from_code(self, code: Tensor) -> Tensor:
        """The scores `[picture, class]` before the softmax, from codes `[picture, *code]`."""
        return (code if self.head is None else _run(self.head, code)).flatten(1)

    def load_blobs(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Fills trunk and head as `CaffeNetwork.load_blobs` does."""
        for network in (self.trunk, *(() if self.head is None else (self.head,))):
            network.load_blobs(weights)


def _run(network: CaffeNetwork, given: Tensor) -> Tensor:
    """Runs the network in the type of its weights; the output has the type of the input."""
    return network(given.to(next(network.parameters(), given).dtype)).to(given.dtype)


def caffe_input(image: Tensor, size: tuple[int, int], mean: Sequence[float]) -> Tensor:
    """RGB in [0, 1], `[picture, channel, height, width]` -> the centre of that size, BGR in 0..255 minus the mean.

    The crop begins at half of the remaining pixels, rounded down: at 14 for 227 of 256 pixels, as in the released sampler.
    """
    top, left = ((whole - part) // 2 for whole, part in zip(image.shape[2:], size, strict=True))
    centre = image[:, :, top : top + size[0], left : left + size[1]]
    return images.normalise(255 * centre, mean, 1.0, bgr=True)


def _head(config: CaffeEncoderConfig, trunk: CaffeNetwork) -> CaffeNetwork:
    """The network of those layers behind the code that the scores need."""
    layers = config.definition["layers"]
    last = max(place for place, layer in enumerate(layers) if config.code in layer.get("top", ()))
    code = {"name": config.code, "shape": list(trunk.shapes[config.code])}
    if not any(config.scores in layer.get("top", ()) for layer in layers):
        CaffeNetwork(CaffeNetworkConfig(config.definition, config.scores))  # raises the error that lists all blobs
    try:
        return CaffeNetwork(CaffeNetworkConfig({"input": [code], "layers": layers[last + 1 :]}, config.scores))
    except ValueError as fault:
        raise ValueError(
            f"the scores {config.scores!r} cannot be computed from the code {config.code!r} alone ({fault}): name a code through "
            f"which all of the picture passes"
        ) from fault


def only_input(network: CaffeNetwork) -> str:
    """The name of a network's only input. Raises ValueError where it needs several or none."""
    if len(network.wanted) != 1:
        raise ValueError(
            f"the blob {network.output!r} needs the inputs {', '.join(network.wanted) or 'none'}, expected one: give the deploy "
            f"definition of a network"
        )
    return network.wanted[0]
