"""`ppgn web`: the page to play with."""

from __future__ import annotations

import argparse
import dataclasses

from ppgn import requests, web
from ppgn.cli import request_flags, terminal
from ppgn.web import WebOptions

HELP = {
    "chains": "chains of a run, at most",
    "steps": "steps of a run, at most",
    "at_once": "runs of all visitors that go on together; the others wait in a queue",
    "upload": "megabytes of an uploaded file, at most",
}
EXAMPLES = """examples:
  ppgn web                                                     all bundles, on this machine alone: http://127.0.0.1:7860
  ppgn web imagenette64 natural128 --network lite:0 --images photos
  ppgn web --network torchvision:resnet18 --weights resnet18.pth
  ppgn web --condition my_module:my_function --open
  ppgn web --host 0.0.0.0 --port 8000                          for everyone who reaches this machine
Nothing is asked of any other machine, and visitors open no file of this one."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "A page in the browser: choose a bundle, say what is wanted, and watch the chains move. Stop them, turn them to\n"
        "something else, paint a hole, see what a neuron wants, evolve pictures by your own taste."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundles", nargs="*", metavar="BUNDLE", help="that can be chosen (default: all of `ppgn bundles`)")
    parser.add_argument("--condition", nargs="+", action="extend", default=[], metavar="MODULE:FUNCTION",
                        help="functions of yours that can be wanted")  # fmt: skip
    parser.add_argument("--images", metavar="FOLDER", help="real pictures for Neurons and Map (default: drawn from the prior)")
    parser.add_argument("--similarity", metavar="NAME", help="model that reads texts, as `ppgn sample` has it")
    request_flags.add_network(parser, "units and classes can be wanted of")
    where = parser.add_argument_group("where and how much")
    where.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    where.add_argument("--port", type=int, default=7860, help="(default: %(default)s)")
    where.add_argument("--open", action="store_true", help="open the page in the browser")
    for field in dataclasses.fields(WebOptions):
        if field.name in HELP:
            flag = f"--{field.name.replace('_', '-')}"
            where.add_argument(
                flag, type=int, default=field.default, metavar="N", help=f"{HELP[field.name]} (default: %(default)s)"
            )
    terminal.add_device(parser)


def run(given: argparse.Namespace) -> int:
    """Serves the page until it is interrupted."""
    networks = {} if given.network is None else {given.network: request_flags.plugged(given)}
    request_flags.check_described(given)
    for name in given.condition:
        requests.parse(given.bundles[0] if given.bundles else WebOptions().names[0], condition=name)
    limits = {name: getattr(given, name) for name in HELP}
    options = WebOptions(
        tuple(given.bundles),
        networks,
        tuple(given.condition),
        given.images,
        given.similarity or "",
        device=str(terminal.device(given.device)),
        **limits,
    )
    web.serve(options, given.host, given.port, given.open, ready=_tell)
    return 0


def _tell(address: str) -> None:
    print(f"ppgn: the page is at {address} (end it with Ctrl+C)", flush=True)
