"""`ppgn sample --devices N`, torchrun and SLURM: the processes of one run, started, watched and joined."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from ppgn import sampling
from ppgn.bundle import Bundle
from ppgn.cli import terminal
from ppgn.errors import printable
from ppgn.progress import bar
from ppgn.requests import Request
from ppgn.sampling import Rank

STARTED = "PPGN_STARTED"
"""Variable of processes that a command has started: it speaks for them."""
LOG = "process_{}.log"
POLL = 0.2
"""Seconds between two looks at the processes."""


def add_devices(parser: argparse.ArgumentParser) -> None:
    """Adds --devices."""
    parser.add_argument(
        "--devices", type=int, default=1, metavar="N", help="processes that share the chains, one for each accelerator or for a "
        "share of the cores; needs --save-images. Under torchrun and SLURM their numbers hold instead",
    )  # fmt: skip


def several(given: argparse.Namespace) -> bool:
    """Whether this run has several processes. Raises ValueError where they do not fit the other flags, or the folder."""
    if given.devices < 1:
        raise ValueError(f"got --devices {given.devices}, expected at least 1: leave it out for one process")
    if given.devices == 1 and Rank.here().of == 1:
        return False
    if not given.save_images:
        raise ValueError("got several processes without --save-images, expected the folder that they share: name one")
    if given.report is not None:
        raise ValueError("got --report with several processes, expected one of them: leave --devices out for the report")
    if (Path(given.save_images) / sampling.PLAN).is_file() and not given.resume and STARTED not in os.environ:
        raise ValueError(
            f"{given.save_images} holds a run of several processes: add --resume to go on with it, or give another folder"
        )
    return True


def place(given: argparse.Namespace) -> None:
    """Chooses this process's accelerator, one after the other on a machine, where --device is auto."""
    rank = Rank.here()
    if rank.of > 1 and given.device == "auto" and torch.cuda.is_available():
        given.device = f"cuda:{rank.local % torch.cuda.device_count()}"


def share(given: argparse.Namespace, bundle: Bundle, wanted: Request, options: Mapping[str, Any]) -> bool:
    """Samples into --save-images, by processes that are started here or as one of those of a launcher; whether all is whole."""
    if Rank.here().of == 1:
        return _started(given, len(wanted), options["batch"] or sampling.BLOCK)
    rank = Rank.here()
    for part in sampling.sample_share(given.save_images, bundle, wanted, rank, **options):
        terminal.report_stops(part.stopped)
    missing = sampling.join(given.save_images)
    if missing and STARTED not in os.environ:
        print(f"process {rank.number} of {rank.of} is done; blocks that others still make: {len(missing)}")
    return not missing and STARTED not in os.environ


def _started(given: argparse.Namespace, count: int, batch: int) -> bool:
    """Starts the processes, shows how many chains are done, and joins what they leave. Raises ValueError where one failed."""
    folder, number = Path(given.save_images), given.devices
    logs = [folder / sampling.BLOCKS / LOG.format(rank) for rank in range(number)]
    logs[0].parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ppgn", *given.words]
    with ExitStack() as stack:
        files = [stack.enter_context(log.open("w")) for log in logs]
        begun = [
            subprocess.Popen(command, env=_environment(rank, number), stdout=file, stderr=file) for rank, file in enumerate(files)
        ]
        try:
            with bar("sampling", total=count, unit="chain") as shown:
                while any(process.poll() is None for process in begun):
                    time.sleep(POLL)
                    shown.update(min(count, _done(folder) * batch) - shown.n)
                shown.update(min(count, _done(folder) * batch) - shown.n)
        except KeyboardInterrupt:
            for process in begun:
                process.terminate()
            for process in begun:
                process.wait()
            raise
    _check([process.returncode for process in begun], logs, folder)
    for log in logs:
        log.unlink()
    return True


def _environment(rank: int, of: int) -> dict[str, str]:
    """That of a process: its numbers, and its share of the cores where nobody has set the threads."""
    threads = os.environ.get("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // of)))
    own = {"RANK": str(rank), "WORLD_SIZE": str(of), "LOCAL_RANK": str(rank), STARTED: "1", "OMP_NUM_THREADS": threads}
    return {**os.environ, **own}


def _done(folder: Path) -> int:
    return len(list((folder / sampling.BLOCKS).glob(f"*/{sampling.FILE}")))


def _check(ends: Sequence[int], logs: Sequence[Path], folder: Path) -> None:
    """Raises ValueError with what a process said last, where one failed or blocks are missing."""
    failed = [rank for rank, end in enumerate(ends) if end != 0]
    planned = (folder / sampling.PLAN).is_file()
    missing = len(sampling.join(folder)) if planned else None
    if not failed and not missing:
        return
    rank = failed[0] if failed else 0
    end = ends[rank]
    lines = [line for line in logs[rank].read_text(errors="replace").splitlines() if line.strip()] or ["it said nothing"]
    why = f"ended by {signal.Signals(-end).name}" if end < 0 else printable(lines[-1].removeprefix("ppgn: error: "))
    left = "" if missing is None else f"; blocks that are missing: {missing}, the same command with --resume goes on"
    raise ValueError(f"{len(failed)} of {len(ends)} processes failed, process {rank}: {why}{left}")
