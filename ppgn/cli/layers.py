"""`ppgn layers NETWORK|BUNDLE`: the layers that `--unit` can name."""

from __future__ import annotations

import argparse

from ppgn import loaders
from ppgn.cli.values import NETWORKS, size

EXAMPLES = """examples:
  ppgn layers imagenette64
  ppgn layers torchvision:resnet18
  ppgn layers my_module:my_network --size 64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "The layers of a network, or of a bundle's encoder, that --unit LAYER:UNIT can name."
    parser.epilog = EXAMPLES
    parser.add_argument("network", help=f"{NETWORKS[: NETWORKS.index(' or ')]}, or the name or folder of a bundle")
    parser.add_argument("--size", type=size, metavar="H[,W]", help="size of the input (default: the library's)")


def run(given: argparse.Namespace) -> int:
    """A line for each layer: its name, the shape of its output for one image, and how many units `layer:unit` can name."""
    found = loaders.layers(given.network, given.size)
    width = max(len(layer.name) for layer in found)
    for layer in found:
        shape = " x ".join(str(side) for side in layer.shape)
        print(f"{layer.name:{width}}  {layer.kind:20}  {shape:16}  {layer.channels} units")
    return 0
