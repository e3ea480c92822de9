"""The networks that benchmarks/fooling.py fools, and those that take no part in it and are only asked afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import loaders
from ppgn.evaluation import read_class_names
from ppgn.probe import Preprocessed
from training import LeNet, read_digits

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


@torch.no_grad()
def confidences(network: Callable[[Tensor], Tensor], pictures: Tensor, batch: int = 32) -> Tensor:
    """The softmax `[picture, class]` of a network, some pictures at a time."""
    return torch.cat([network(some).double().softmax(1) for some in pictures.split(batch)])


def imagenet_names(table: Path) -> list[str]:
    """The first name of each of the 1000 classes, from a table of index, wnid and names."""
    return [names.split(",")[0] for names in read_class_names(table)]
