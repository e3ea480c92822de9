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
        out, wanted = place / OUTPUT, len(files)
        _wait_for_former(place)
        _cut_to_lines(out)
        if self._answered(out, wanted) < wanted:
            with self._started(files[len(self._rows(out)) :], place) as process:
                self._wait(process, out, wanted)
            found = self._answered(out, wanted)
            if found < wanted:
                raise ValueError(
                    f"{self.words[0]} ended with status {process.returncode} after {found} of {wanted} numbers"
                    f"{_last_line(place / ERRORS)}, expected one a line for each picture: correct it and run again, which goes "
                    f"on there"
                )
        yield self._rows(out)[first:]

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

    def _wait(self, process: subprocess.Popen[bytes], out: Path, wanted: int) -> None:
        """Waits for the program to end, or to be silent for too long."""
        heard, size = time.monotonic(), -1
        while process.poll() is None:
            now, grown = time.monotonic(), out.stat().st_size
            if grown != size:
                heard, size = now, grown
            if now - heard > self.timeout:
                raise ValueError(
                    f"{self.words[0]} printed nothing for {self.timeout:g} s, after {len(self._rows(out))} of {wanted} numbers, "
                    f"expected one for each picture: look at {ERRORS}, or raise the timeout, and run again, which goes on there"
                )
            time.sleep(POLL)

    def _answered(self, out: Path, wanted: int) -> int:
        """How many lines there are. Takes all away where there are more than pictures, and raises ValueError."""
        found = len(self._rows(out))
        if found > wanted:
            out.write_bytes(b"")  # nobody knows which of them belong to which picture
            raise ValueError(
                f"{self.words[0]} printed {found} lines for {wanted} pictures, expected as many: correct the program; the lines "
                f"of this generation are not used"
            )
        return found

    def _rows(self, out: Path) -> list[list[float]]:
        """The complete lines as numbers. Takes away a line that is none, and raises ValueError for it."""
        lines = out.read_bytes().split(b"\n")[:-1]
        rows = []
        for place, line in enumerate(lines):
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
