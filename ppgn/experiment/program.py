"""A program that is given paths of pictures and prints a number for each: a neuron, a person, a remote service."""

from __future__ import annotations

import fcntl
import math
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppgn.errors import printable
from ppgn.types import Image

OUTPUT, ERRORS, LOCK = "program.out", "program.err", "program.lock"
PLACE = "{images}"
POLL = 0.02
"""Seconds between two looks at what the program has printed."""


class ProgramScore:
    """A command in which {images} stands for paths of PNG files, and which prints a line of `units` numbers for each, in their
    order, NaN where there is no response.

    It prints into a file of the run, not into a pipe: a program outlives the death of ppgn, and what it answers afterwards is
    read when the run goes on. So no picture is shown twice. timeout: seconds without a new line after which the program is ended.
    Raises ValueError for a command without {images}, and in a run where the program fails, prints something else than numbers,
    too few or too many; the numbers before that stay.
    """

    files = True

    def __init__(self, command: str, units: int = 1, timeout: float = 600.0) -> None:
        words = shlex.split(command)
        if PLACE not in words:
            raise ValueError(f"got the program {command!r}, expected {PLACE} where the paths of pictures go: add it")
        if not timeout > 0:
            raise ValueError(f"got a timeout of {timeout} s, expected more than 0: raise it")
        self.command, self.words, self.units, self.timeout = command, words, units, timeout

    def describe(self) -> dict[str, Any]:
        return {"kind": "program", "command": self.command}

    def respond(
        self, images: Callable[[range], Image], files: Sequence[Path], first: int, number: int, place: Path
    ) -> Iterator[list[list[float]]]:
        out = place / OUTPUT
        _wait_for_former(place)
        _cut_to_lines(out)
        answered = len(self._rows(out, 0))
        if answered > first:
            yield self._rows(out, first)
        if answered < len(files):
            begun = out.stat().st_size
            with self._started(files[answered:], place) as process:
                yield from self._followed(process, out, answered, len(files))
            self._check_end(process, place, answered, len(self._rows(out, 0)), len(files), begun)

    @contextmanager
    def _started(self, files: Sequence[Path], place: Path) -> Iterator[subprocess.Popen[bytes]]:
        paths = [str(file.absolute()) for file in files]
        words = [word for part in self.words for word in (paths if part == PLACE else [part])]
        lock = os.open(place / LOCK, os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            os.set_inheritable(lock, True)  # the program keeps the lock for as long as it lives
            with (place / OUTPUT).open("ab") as out, (place / ERRORS).open("ab") as errors:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, pass_fds=[lock], start_new_session=True
                )
        except OSError as fault:
            raise ValueError(
                f"cannot start {self.words[0]!r} ({fault.strerror}), expected a program: correct the command"
            ) from fault
        finally:
            os.close(lock)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()

    def _followed(self, process: subprocess.Popen[bytes], out: Path, seen: int, wanted: int) -> Iterator[list[list[float]]]:
        """Rows as they come, until the program ends or is silent for too long."""
        heard = time.monotonic()
        while True:
            ended = process.poll() is not None
            rows = self._rows(out, seen)[: wanted - seen]
            if rows:
                seen, heard = seen + len(rows), time.monotonic()
                yield rows
            if ended:
                return
            if time.monotonic() - heard > self.timeout:
                raise ValueError(
                    f"{self.words[0]} printed nothing for {self.timeout:g} s, after {seen} of {wanted} numbers, expected one for "
                    f"each picture: look at {ERRORS}, or raise the timeout, and run again, which goes on there"
                )
            time.sleep(POLL)

    def _check_end(self, process: subprocess.Popen[bytes], place: Path, before: int, found: int, wanted: int, begun: int) -> None:
        if found > wanted:
            with (place / OUTPUT).open("r+b") as file:
                file.truncate(begun)  # nobody knows which of them belong to which picture
            raise ValueError(
                f"{self.words[0]} printed {found - before} lines for {wanted - before} pictures, expected as many: correct the "
                f"program; the lines of this call are not used"
            )
        if found < wanted:
            raise ValueError(
                f"{self.words[0]} ended with status {process.returncode} after {found} of {wanted} numbers"
                f"{_last_line(place / ERRORS)}, expected one a line for each picture: correct it and run again, which goes on "
                f"there"
            )

    def _rows(self, out: Path, first: int) -> list[list[float]]:
        """The complete lines from `first` on, as numbers. Takes away a line that is none, and raises ValueError for it."""
        if not out.is_file():
            return []
        lines = out.read_bytes().split(b"\n")[:-1]
        rows = []
        for place, line in enumerate(lines[first:], first):
            row = _numbers(line, self.units)
            if row is None:
                with out.open("r+b") as file:
                    file.truncate(sum(len(one) + 1 for one in lines[:place]))
                said = printable(line.decode(errors="replace"))[:80]
                raise ValueError(
                    f"{self.words[0]} printed {said!r} for picture {place}, expected {self.units} number"
                    f"{'s' if self.units > 1 else ''} a line: correct it and run again, which goes on there"
                )
            rows.append(row)
        return rows


def _numbers(line: bytes, units: int) -> list[float] | None:
    try:
        row = [float(word) for word in line.replace(b",", b" ").split()]
    except ValueError:
        return None
    return row if len(row) == units and not any(math.isinf(value) for value in row) else None


def _wait_for_former(place: Path) -> None:
    """Waits until a program that an earlier, killed run has started has ended."""
    if (place / LOCK).exists():
        with (place / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)


def _cut_to_lines(out: Path) -> None:
    """Takes away an incomplete last line, which a program has left that was killed while it printed."""
    out.touch()
    content = out.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with out.open("r+b") as file:
            file.truncate(whole)


def _last_line(errors: Path) -> str:
    lines = errors.read_text(errors="replace").strip().splitlines() if errors.is_file() else []
    return f" ({printable(lines[-1])[:200]})" if lines else ""
