"""`ppgn import-deepsim`: a bundle from a PyTorch port of a released generator, and the classifier it was trained with."""

from __future__ import annotations

import argparse

from ppgn import importers
from ppgn.caffe import MEAN
from ppgn.cli import import_flags
from ppgn.cli.import_caffe import finish, say
from ppgn.loaders import of_file, read_weights

EXAMPLES = """examples:
  ppgn import-deepsim upconvGAN_fc6.pt --encoder caffenet.prototxt caffenet.caffemodel --out checkpoints/deepsim-fc6
  ppgn import-deepsim upconvGAN_pool5.pt --code-blob pool5 --encoder caffenet.prototxt caffenet.caffemodel --out checkpoints/pool5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "A bundle from a PyTorch port of a DeePSiM, DGN-AM or PPGN generator (upconvGAN)."
    parser.epilog = EXAMPLES
    parser.add_argument("state", metavar="FILE", help="its state dict (.pt, .pth or .safetensors)")
    import_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Reads everything, checks that it fits together, writes the bundle."""
    importers.check_place(given.out)
    say("reading the generator")
    state = read_weights(given.state)
    with of_file(given.state):
        generator = importers.read_state(state, given.generator_mean or given.mean or MEAN)
    return finish(given, generator, [given.state])
