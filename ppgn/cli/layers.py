"""`ppgn layers NETWORK|BUNDLE`: the layers that `--unit` can name."""

from __future__ import annotations

import argparse

from ppgn import loaders
from ppgn.cli.values import NETWORKS, size

EXAMPLES = """examples:
  ppgn layers imagenette64
  ppgn layers lite:0
  ppgn layers torchvision:resnet18
  ppgn layers hf:dinov2-base
  ppgn layers my_module:my_network --size 64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "The layers of a network, or of a bundle's encoder, that --unit LAYER:UNIT can name."
    parser.epilog = EXAMPLES
    parser.add_argument("network", help=f"{NETWORKS[: NETWORKS.index(' or ')]}, or the name or folder of a bundle")
    parser.add_argument("--size", type=size, metavar="H[,W]", help="size of the input (default: the library's)")


def run(given: argparse.Namespace) -> int:
    """A line for each layer: its name, the shape of its output for one image, how many units `layer:unit` can name, and of those
    that are worth asking for an example."""
    found = loaders.layers(given.network, given.size)
    width = max(len(layer.name) for layer in found)
    for layer in found:
        shape = " x ".join(str(side) for side in layer.shape)
        units = f"{layer.addressable} {'heads' if layer.heads else 'units'}"
        worth = f"  {layer.depth}: --unit {layer.example}" if layer.depth else ""
        print(f"{layer.name:{width}}  {layer.kind:20}  {shape:16}  {units}{worth}")
    return 0
