"""Flags of `ppgn dream`, `ppgn style`, `ppgn invert` and `ppgn facets`: the network that looks, and the picture to write."""

from __future__ import annotations

import argparse

from ppgn import images, loaders, methods
from ppgn.cli import outputs, request_flags, terminal
from ppgn.probe import Preprocessed
from ppgn.seeds import check_seeds


def add_arguments(parser: argparse.ArgumentParser, out: str, written: str, seed: str, bundle: str, purpose: str) -> None:
    """Adds --seed, --out, --overwrite, --bundle, the flags of a network and --device.

    out: the file by default; written, seed, bundle: the help of these flags; purpose: the end of the title of a network's flags.
    """
    parser.add_argument("--seed", type=int, default=0, help=f"{seed} (default: 0)")
    parser.add_argument("--out", default=out, help=f"{written} (default: %(default)s)")
    outputs.add_overwrite(parser)
    parser.add_argument("--bundle", default=methods.BUNDLE, help=f"{bundle} (default: %(default)s)")
    request_flags.add_network(parser, purpose)
    terminal.add_device(parser)


def check(given: argparse.Namespace, *positive: str) -> None:
    """Raises ValueError for what can be refused before anything is read. positive: flags whose numbers are at least 1."""
    images.check_writable(given.out)
    outputs.check_inputs_kept(given)
    check_seeds([given.seed])
    terminal.check_positive(given, *positive)
    request_flags.check_described(given)


def loaded(given: argparse.Namespace, layers: list[str]) -> tuple[Preprocessed, methods.Layers | None]:
    """The network of the flags, and its usual layers, None where another network than a bundle's is named."""
    device = terminal.device(given.device)
    if given.network is None:
        bundle = loaders.bundle(given.bundle, device)
        return loaders.trunk(bundle), None if layers else methods.layers_of(bundle)
    if not layers:
        raise ValueError(f"which layers of {given.network}? name them (see `ppgn layers {given.network}`)")
    found = request_flags.plugged(given).loaded(loaders.bundle("pixels:64"), tuple(layers))
    found.network.to(device)
    return found, None
