"""Flags of commands whose network looks at pictures of any size: `ppgn dream`, `ppgn style`."""

from __future__ import annotations

import argparse

from ppgn import loaders, methods, requests
from ppgn.cli import request_flags, terminal
from ppgn.probe import Preprocessed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --bundle, the flags of a network, and those of this machine."""
    parser.add_argument("--bundle", default=methods.BUNDLE, help="its encoder looks at the pictures (default: %(default)s)")
    request_flags.add_network(parser, "looks at the pictures, in the place of the bundle's encoder")


def loaded(given: argparse.Namespace, layers: list[str]) -> tuple[Preprocessed, methods.Layers | None]:
    """The network of the flags, and its usual layers, None where another network than a bundle's is named."""
    device = terminal.device(given.device)
    if given.network is None:
        bundle = loaders.bundle(given.bundle, device)
        return loaders.trunk(bundle), None if layers else methods.layers_of(bundle)
    if not layers:
        raise ValueError(f"which layers of {given.network}? name them (see `ppgn layers {given.network}`)")
    found = plugged(given).loaded(loaders.bundle("pixels:64"), tuple(layers))
    found.network.to(device)
    return found, None


def plugged(given: argparse.Namespace) -> requests.Plugged:
    """The network of --network with the flags of its input, else the encoder and head of the bundle."""
    if given.network is None:
        return requests.Plugged()
    return requests.Plugged(given.network, **{one: getattr(given, one) for one in ("weights", "size", "mean", "std", "bgr")})
