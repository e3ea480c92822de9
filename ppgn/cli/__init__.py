"""The terminal: `ppgn sample`, `ppgn tune`, `ppgn layers`, ... A user's mistake ends in one sentence and exit status 2."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

from ppgn.cli import signals, streams
from ppgn.cli.messages import in_flags as in_flags
from ppgn.cli.messages import named_modules
from ppgn.cli.outputs import written_since
from ppgn.cli.parser import COMMANDS as COMMANDS
from ppgn.cli.parser import module_of
from ppgn.cli.parser import parse as parse
from ppgn.errors import is_disk_full, is_out_of_memory, one_line

INTERRUPTED = 130
"""Exit status after Ctrl+C, as shells have it."""
DISK_FULL = 74
"""Exit status where the disk takes no more: EX_IOERR of sysexits.h."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, the `run` of the file of its name; returns the exit status."""
    with streams.lenient() as (out, err), signals.ending() as ended:
        try:
            done = ended.status(_run(sys.argv[1:] if arguments is None else arguments))
            return streams.status(done, out, err)
        except SystemExit as end:  # argparse, for --help and for what it cannot read
            raise SystemExit(streams.status(int(end.code or 0), out, err)) from None


def _run(arguments: Sequence[str]) -> int:
    given = argparse.Namespace()
    begun = time.time()
    try:
        given = parse(arguments)
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("ppgn").setLevel(logging.INFO if getattr(given, "verbose", False) else logging.WARNING)
        return _command(given)
    except ValueError as fault:
        full = is_disk_full(fault)
        again = _again(given, begun) if full else ""
        print(f"ppgn: error: {in_flags(str(fault), vars(given))}{again}", file=sys.stderr)
        return DISK_FULL if full else 2
    except Exception as fault:
        if is_out_of_memory(fault):
            remedy = "lower --batch" if hasattr(given, "batch") else "ask for less at once"
            print(f"ppgn: error: memory does not suffice ({one_line(fault)}): {remedy}", file=sys.stderr)
            return 2
        if not (plugged := named_modules(vars(given))):
            raise  # a fault of ppgn
        logging.getLogger("ppgn").info("the traceback", exc_info=True)
        remedy = "correct its code" + (" (-v shows the place)" if hasattr(given, "verbose") else "")
        print(f"ppgn: error: a run with {' and '.join(plugged)} failed ({one_line(fault)}): {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as end:
        found = written_since(given, begun)
        written = f"after writing {found}" if found else "nothing was written"
        print(f"\nppgn: {signals.how(end)}, {written}{_again(given, begun)}", file=sys.stderr)
        return INTERRUPTED


def _again(given: argparse.Namespace, begun: float) -> str:
    """How to go on with a run that has written a part of its pictures; "" where none has."""
    resumes = getattr(given, "save_images", None) and hasattr(given, "resume") and written_since(given, begun)
    return "; the same command with --resume goes on" if resumes else ""


def _command(given: argparse.Namespace) -> int:
    try:
        return module_of(given.command).run(given)
    except SystemExit as end:
        raise RuntimeError(f"it called exit({'' if end.code is None else end.code!r})") from end
