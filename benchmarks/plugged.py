"""Options of a plugged-in network: its weights and how its input is prepared."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ppgn import loaders
from ppgn.probe import Preprocessed


def add_input(options: argparse.ArgumentParser) -> None:
    """Add --weights, --size, --mean, --std and --bgr."""
    options.add_argument("--weights", help="file with the network's weights")
    options.add_argument("--size", type=size, metavar="H[,W]", help="size of the network's input in pixels")
    options.add_argument("--mean", type=numbers, help="mean of its input, pixels in [0, 1], in the order of its channels")
    options.add_argument("--std", type=numbers, help="standard deviation of its input, likewise")
    options.add_argument("--bgr", action="store_true", help="its channels are blue, green, red (Caffe)")


def plugged(given: argparse.Namespace, layers: Sequence[str] | None = None) -> Preprocessed:
    """The network of --network with these options. layers: those to be probed; None leaves BatchNorms unfolded."""
    about = {name: getattr(given, name) for name in ("size", "mean", "std", "bgr")}
    return loaders.network(given.network, given.weights, **about, layers=layers)


def numbers(text: str) -> tuple[float, ...]:
    """ "0.4,0.5" -> (0.4, 0.5)."""
    return tuple(float(part) for part in text.split(","))


def size(text: str) -> tuple[int, int]:
    """ "224" or "224,192" -> (height, width)."""
    height, _, width = text.partition(",")
    return int(height), int(width or height)
