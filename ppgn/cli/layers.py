"""`ppgn layers NETWORK|BUNDLE`: what `--unit` can name."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppgn import named
from ppgn.bundle import load_bundle
from ppgn.probe import Seen, list_layers


def run(given: argparse.Namespace) -> int:
    """A line for each layer: its name, the shape of its output for one image, and how many units `layer:unit` can name."""
    found = list_layers(*_network(given))
    if not found:
        raise ValueError(f"{given.network} has no layers that a name reaches: return a network made of modules")
    width = max(len(layer.name) for layer in found)
    for layer in found:
        shape = " x ".join(str(side) for side in layer.shape)
        print(f"{layer.name:{width}}  {layer.kind:20}  {shape:16}  {layer.channels} units")
    return 0


def _network(given: argparse.Namespace) -> tuple[Seen, tuple[int, int], int]:
    """The network, and size and channels of the images to show it."""
    name = given.network
    if ":" not in name or name.startswith("hf://") or Path(name).is_dir():
        bundle = load_bundle(name)
        size = given.size or (bundle.image_size, bundle.image_size)
        return named.network("bundle:classifier", bundle=bundle), size, bundle.channels
    built = named.build(name)
    size = built.size if given.size is None else given.size
    if size is None:
        raise ValueError(f"{name} does not say the size of its input, expected what it was trained on: give --size HEIGHT")
    height, width = (size, size) if isinstance(size, int) else size
    return Seen(built.module, (height, width), 0.0, 1.0), (height, width), named.input_channels(built.module)
