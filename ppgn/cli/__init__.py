"""The terminal: `ppgn sample`, `ppgn tune`, `ppgn layers`, ... A user's mistake ends in one sentence and exit status 2."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

from ppgn.cli.arguments import parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, the `run` of the file of its name; returns the exit status."""
    given = parser().parse_args(arguments)
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("ppgn").setLevel(logging.INFO if getattr(given, "verbose", False) else logging.WARNING)
    try:
        return importlib.import_module(f"ppgn.cli.{given.command.replace('-', '_')}").run(given)
    except ValueError as fault:
        print(f"ppgn: error: {fault}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ppgn: interrupted, nothing was written", file=sys.stderr)
        return 130
