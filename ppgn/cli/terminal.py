"""Parts of every command with chains: device, bundle, progress bar, and the lines about stopped chains."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from ppgn import loaders
from ppgn.acceleration import device_of, devices_here
from ppgn.bundle import Bundle
from ppgn.errors import ChainStopped, check_chains
from ppgn.progress import bar
from ppgn.sampling import OnStep
from ppgn.types import Evaluation

WIDE = -88.8
"""A value as long as any on a label, for the room that labels take."""
SHORT = {"log-probability": "log p"}
"""Quantities as a bar has room for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --device and --verbose."""
    machine = parser.add_argument_group("this machine")
    add_device(machine)
    machine.add_argument("-v", "--verbose", action="store_true", help="say what was chosen for this machine")


def add_device(parser: Any) -> None:
    """Adds --device."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")


def load(given: argparse.Namespace) -> Bundle:
    """The bundle that the command names, on its device."""
    return loaders.bundle(given.bundle, device(given.device))


def device(name: str) -> torch.device:
    """The torch device of `auto`, `cpu`, `cuda`, `cuda:N`, ...; ValueError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = device_of(name)
        torch.empty(1, device=chosen)
    except (ValueError, RuntimeError) as fault:
        raise ValueError(f"no device {name!r} here: use auto or one of {', '.join(devices_here())}") from fault
    return chosen


def check_counts(given: argparse.Namespace, *names: str) -> None:
    """Raises ValueError for one of these numbers below 1, and for a count of more chains than there may be."""
    check_positive(given, *names)
    check_chains(given.count)


def check_positive(given: argparse.Namespace, *names: str) -> None:
    """Raises ValueError for one of these numbers below 1."""
    for name in names:
        value = getattr(given, name)
        if value is not None and value < 1:
            raise ValueError(f"got --{name} {value}, expected at least 1: leave it out, or give 1 or more")


@contextmanager
def stops_without_warning() -> Iterator[None]:
    """Silences the warning for chains that stop, as `report_stops` prints a line for each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ChainStopped)
        yield


def report_stops(stopped: Mapping[int, str]) -> None:
    """A line for each chain that stopped because it was not finite any more."""
    for why in stopped.values():
        print(f"ppgn: stopped: {why}", file=sys.stderr)


@contextmanager
def late_bar(what: str, **settings: Any) -> Iterator[Callable[..., Any]]:
    """A function that gives a bar, which appears with the first call. settings: of the bar, beside those of that call."""
    bars: list[Any] = []

    def shown(**later: Any) -> Any:
        if not bars:
            bars.append(bar(what, **settings, **later))
        return bars[0]

    try:
        yield shown
    finally:
        for one in bars:
            one.close()


@contextmanager
def progress(total: int, quantity: str = "log-probability") -> Iterator[OnStep]:
    """A bar over the steps of all chains that shows the mean value of their condition; it appears with the first step.

    total: steps times chains. Chains that begin anew were not counted and add to it. quantity: what the value is.
    """
    with late_bar("sampling", total=total) as bar_of:

        def watch(step: int, evaluation: Evaluation) -> None:
            shown, chains = bar_of(), len(evaluation.image)
            if step % 5 == 0:
                value = evaluation.log_probs.get("condition", evaluation.log_prob)
                shown.set_postfix_str(f"{SHORT.get(quantity, quantity)} {float(value.mean()):.3f}", refresh=False)
            shown.total = max(shown.total, shown.n + chains)
            shown.update(chains)

        yield watch
