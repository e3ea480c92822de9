"""`ppgn import-deepsim`: a bundle from a PyTorch port of a released generator, and the classifier it was trained with."""

from __future__ import annotations

import argparse

from ppgn.caffe import deepsim, parts
from ppgn.cli.import_caffe import finish, say
from ppgn.named import read_weights
from ppgn.networks.caffe.pictures import MEAN


def run(given: argparse.Namespace) -> int:
    """Reads everything, checks that it fits together, writes the bundle."""
    parts.check_place(given.out)
    say("reading the generator")
    state = read_weights(given.state)
    with parts.of_file(given.state):
        generator = deepsim.read_state(state, given.generator_mean or given.mean or MEAN)
    return finish(given, generator, [given.state])
