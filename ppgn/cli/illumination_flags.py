"""Flags that `ppgn fool` and `ppgn innovate` share: the network, its classes, and how pictures are bred."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ppgn import evaluation, illumination, loaders, requests
from ppgn.cli import request_flags, signals, terminal
from ppgn.images import height_and_width
from ppgn.probe import Preprocessed


class Asked(NamedTuple):
    """A loaded network, the names of all its classes, the size and channels of its pictures, and where it runs."""

    network: Preprocessed
    names: tuple[str, ...]
    size: tuple[int, int]
    channels: int
    device: torch.device


def add_network(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Adds --network, what belongs to it, and --names. purpose: the end of the group's title."""
    group = request_flags.add_network(parser, purpose)
    group.add_argument("--names", metavar="FILE", help="names of its classes, one a line, or index, ..., name with tabs")
    terminal.add_device(parser)


def add_search(parser: Any, population: int) -> None:
    """Adds the flags of a search."""
    parser.add_argument("--encoding", choices=("cppn", "direct"), default="cppn",
                        help="networks that compose patterns, or pixels (default: %(default)s)")  # fmt: skip
    parser.add_argument("--population", type=int, default=population, metavar="N",
                        help="pictures of a generation (default: %(default)s)")  # fmt: skip
    parser.add_argument("--coordinates", choices=("centred", "pixels"), default="centred",
                        help="inputs x and y of cppn: in [-1, 1], or pixels as in the released code (default: "
                        "%(default)s)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="pictures a pass (default: %(default)s)")


def asked(given: argparse.Namespace) -> Asked:
    """The network that the command names. Raises ValueError without one, and as `loaders.network`."""
    if given.network is None:
        raise ValueError("which network shall be fooled? add --network NAME, such as torchvision:squeezenet1_0")
    if given.network == loaders.BUNDLE_CLASSIFIER:
        raise ValueError(
            f"got --network {given.network}, expected a network of its own: give torchvision:NAME or my_module:function"
        )
    if given.batch < 1:
        raise ValueError(f"got --batch {given.batch}, expected at least 1: leave it out, or give 1 or more")
    fields = {name: getattr(given, name) for name in request_flags.INPUT}
    network = loaders.network(given.network, **fields, layers=())
    device = terminal.device(given.device)
    network.network.to(device)
    size, channels = height_and_width(network.size or 0, given.network), loaders.input_channels(network.network)
    count = illumination.scored(network, torch.zeros(1, channels, *size, device=device)).shape[1]
    if given.names is not None:
        if not Path(given.names).is_file():
            raise ValueError(f"there is no file {given.names}, expected names of classes, one a line: correct --names")
        names = tuple(evaluation.read_class_names(Path(given.names)))
        if len(names) != count:
            raise ValueError(
                f"{given.names} names {len(names)} classes, expected the {count} of {given.network}: correct --names"
            )
    else:
        names = loaders.class_names(given.network)
        names = names if len(names) == count else tuple(str(one) for one in range(count))
    return Asked(network, names, size, channels, device)


def chosen(found: Asked, wanted: Sequence[str], whose: str) -> list[int]:
    """The numbers of the classes that the command names, each once; "all" is every class."""
    if list(wanted) == ["all"]:
        return list(range(len(found.names)))
    return list(dict.fromkeys(requests.class_index(found.names, one, whose) for one in wanted))


def encoding(given: argparse.Namespace, found: Asked) -> illumination.Encoding[Any]:
    """The encoding of the command, for pictures as the network takes them."""
    if given.encoding == "direct":
        if given.coordinates != "centred":
            raise ValueError("got --coordinates with --encoding direct, expected it with cppn: leave it out")
        return illumination.Direct(found.size, found.channels)
    return illumination.Cppn(found.size, found.channels, given.coordinates, found.device)


def illuminated(
    given: argparse.Namespace, found: Asked, classes: Sequence[int], generations: int, folder: str | None
) -> illumination.Illuminated | None:
    """The search of a command, with a bar; None where it was interrupted and goes on later, which is said. Raises ValueError as
    `illuminate`."""
    try:
        return _illuminated(given, found, classes, generations, folder)
    except KeyboardInterrupt as end:
        if folder is None:
            raise
        print(f"\nppgn: {signals.how(end)}: the same command goes on from the last state in {folder}, about a minute old at most",
              file=sys.stderr)  # fmt: skip
        return None


def _illuminated(
    given: argparse.Namespace, found: Asked, classes: Sequence[int], generations: int, folder: str | None
) -> illumination.Illuminated:
    with _progress(generations) as watch:
        return illumination.illuminate(
            found.network, encoding(given, found), classes=classes, names=[found.names[one] for one in classes],
            generations=generations, population=given.population, seed=given.seed, folder=folder, watch=watch,
            batch=given.batch, device=found.device,
        )  # fmt: skip


def summary(found: illumination.Illuminated) -> str:
    """What a search reached, in a line."""
    share = int(np.rint(found.share(0.9) * len(found.names)))
    return f"median confidence {100 * found.median:.2f} %, above 90 %: {share} of {len(found.names)} classes"


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, illumination.CurveRow], None]]:
    """A bar over generations, with the median confidence; it appears with the first one."""
    with terminal.late_bar("evolving", total=total, unit="generation") as bar_of:

        def watch(generation: int, row: illumination.CurveRow) -> None:
            shown = bar_of(initial=generation - 1)
            text = f"median {100 * row.median:.2f} %, above 90 %: {100 * row.above_ninety:.0f} % of classes"
            shown.set_postfix_str(text, refresh=False)
            shown.update(generation - shown.n)

        yield watch
