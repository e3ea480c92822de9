"""A program that is given paths of pictures and prints a number for each: a neuron, a person, a remote service."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ppgn import images
from ppgn.errors import printable
from ppgn.types import Image

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

OUTPUT, ERRORS, LOCK, PROCESS = "program.out", "program.err", "program.lock", "program.pid"
PLACE = "{images}"
MOST_OUTPUT, LONGEST_NUMBER = 2**20, 64
"""Bytes that a program may print in all beside those of its numbers."""
POLL, GRACE = 0.02, 3.0
"""Seconds between two looks at what the program has printed; and after which one that should end is killed."""
_log = logging.getLogger("ppgn")


class ProgramScore:
    """A command in which {images} stands for paths of PNG files, and which prints a line of `units` numbers for each, in their
    order, NaN where there is no response (an infinite number counts as none).

    It prints into a file of the run, not into a pipe: a program outlives the death of ppgn, and what it answers afterwards is
    read when the run goes on. So no picture is shown twice. timeout: seconds without a new line after which the program and what
    it has started are ended. Raises ValueError for a command without {images}; and in a run where the program prints something
    else than numbers, at once; too few, or too many; or is silent for too long. The numbers before that stay; output that cannot
    be used is kept under another name.
    """

    files = True

    def __init__(self, command: str, units: int = 1, timeout: float = 600.0) -> None:
        if fcntl is None:
            raise ValueError("got a program on a system without file locks, expected Linux or macOS: answer with a function")
        try:
            words = shlex.split(command)
        except ValueError as fault:
            raise ValueError(
                f"cannot read the program {command!r} ({fault}), expected the words of a shell: close its quotes"
            ) from fault
        if PLACE not in words:
            raise ValueError(
                f"got the program {command!r}, expected {PLACE} as a word of its own, where the paths of pictures go (no shell "
                f"reads the command): add it, and put pipes and quotes into a script"
            )
        if not timeout > 0:
            raise ValueError(f"got a timeout of {timeout} s, expected more than 0: raise it")
        self.command, self.words, self.units, self.timeout = command, words, units, timeout

    def describe(self) -> dict[str, Any]:
        return {"kind": "program", "command": self.command}

    def respond(
        self, pictures: Callable[[range], Image], files: Sequence[Path], first: int, number: int, place: Path
    ) -> Iterator[list[list[float]]]:
        out, wanted = place / OUTPUT, len(files)
        self._wait_for_former(place)
        _cut_to_lines(out)
        if len(self._rows(out, wanted)) < wanted:
            with self._started(files[len(self._rows(out, wanted)) :], place) as process:
                self._wait(process, out, wanted)
            found = len(self._rows(out, wanted))
            if found < wanted:
                raise ValueError(
                    f"{self._name} ended with status {process.returncode} after {found} of {wanted} numbers"
                    f"{_last_line(place / ERRORS)}, expected one a line for each picture: correct it and run again, which goes "
                    f"on there"
                )
        yield self._rows(out, wanted)[first:]

    @property
    def _name(self) -> str:
        return f"the program {printable(self.command)[:60]!r}"

    @contextmanager
    def _started(self, files: Sequence[Path], place: Path) -> Iterator[subprocess.Popen[bytes]]:
        paths = [str(file.absolute()) for file in files]
        words = [word for part in self.words for word in (paths if part == PLACE else [part])]
        lock = os.open(place / LOCK, os.O_CREAT | os.O_RDWR)
        try:
            _locked(lock)
            os.set_inheritable(lock, True)  # the program keeps the lock for as long as it lives
            with (place / OUTPUT).open("ab") as out, (place / ERRORS).open("ab") as errors:
                process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, pass_fds=[lock], start_new_session=True
                )
        except OSError as fault:
            raise ValueError(f"cannot start {self.words[0]!r} ({fault.strerror}), expected a program: correct it") from fault
        finally:
            os.close(lock)
        try:
            (place / PROCESS).write_text(str(process.pid), encoding="utf-8")
            yield process
        finally:
            if process.poll() is None:
                _end(process)

    def _wait(self, process: subprocess.Popen[bytes], out: Path, wanted: int) -> None:
        """Waits for the program to end; not once it prints what cannot be used, or nothing for too long."""
        heard, size = time.monotonic(), -1
        while process.poll() is None:
            now, grown = time.monotonic(), out.stat().st_size
            if grown != size:
                heard, size = now, grown
                self._check_size(out, wanted)
                self._rows(out, wanted)
            if now - heard > self.timeout:
                raise ValueError(
                    f"{self._name} printed nothing for {self.timeout:g} s, after {len(self._rows(out, wanted))} of {wanted} "
                    f"numbers, expected one for each picture: read {ERRORS}, or raise the timeout, and run again, which goes on "
                    f"there"
                )
            time.sleep(POLL)

    def _check_size(self, out: Path, wanted: int) -> None:
        """Raises ValueError where the program has printed far more than numbers need, before it fills the disk."""
        most = MOST_OUTPUT + wanted * self.units * LONGEST_NUMBER
        if (size := out.stat().st_size) > most:
            aside = _set_aside(out, [], MOST_OUTPUT)
            raise ValueError(
                f"{self._name} printed {size} bytes for {wanted} pictures, expected a number a line: correct it and run "
                f"again (the first of them are in {aside.name})"
            )

    def _rows(self, out: Path, wanted: int) -> list[list[float]]:
        """The complete lines as numbers. Sets output aside that cannot be used, and raises ValueError for it."""
        lines = out.read_bytes().split(b"\n")[:-1]
        rows = [_numbers(line, self.units) for line in lines]
        wrong = next((place for place, row in enumerate(rows) if row is None), None)
        if wrong is not None:
            aside = _set_aside(out, lines[:wrong])
            said = printable(lines[wrong].decode(errors="replace"))[:80]
            numbers = "a number" if self.units == 1 else f"{self.units} numbers"
            raise ValueError(
                f"{self._name} printed {said!r} for picture {wrong}, expected {numbers} a line: correct it and run again, which "
                f"goes on there (all it printed is in {aside.name})"
            )
        if len(rows) > wanted:
            aside = _set_aside(out, [])  # nobody knows which of them belong to which picture
            raise ValueError(
                f"{self._name} printed {len(rows)} lines for {wanted} pictures, expected as many: correct it; the lines are kept "
                f"in {aside.name} and not used"
            )
        return [row for row in rows if row is not None]

    def _wait_for_former(self, place: Path) -> None:
        """Waits until a program that an earlier, killed run has started has ended. Raises ValueError after the timeout."""
        file, begun, told = place / LOCK, time.monotonic(), False
        while file.exists():
            with file.open("rb") as lock:
                if _locked(lock.fileno(), wait=False):
                    return
                noted = place / PROCESS
                pid = printable(noted.read_text(errors="replace")) if noted.is_file() else "of an unknown number"
            if not told:
                _log.warning(f"waiting for {self._name} of the run before, process {pid}, which goes on answering")
                told = True
            if time.monotonic() - begun > self.timeout:
                raise ValueError(
                    f"{self._name} of the run before is still there, process {pid}, expected its end within {self.timeout:g} s: "
                    f"end it, and run again"
                )
            time.sleep(POLL)


def _locked(handle: int, wait: bool = True) -> bool:
    """Takes the lock of an open file; whether it could be had at once, where it is not waited for."""
    assert fcntl is not None, "ProgramScore has looked"
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a program and what it has started, first with a request."""
    for request, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, request)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children that the request did not end
        return


def _numbers(line: bytes, units: int) -> list[float] | None:
    try:
        row = [float(word) for word in line.replace(b",", b" ").split()]
    except ValueError:
        return None
    return row if len(row) == units else None


def _set_aside(out: Path, kept: Sequence[bytes], most: int = -1) -> Path:
    """Gives output, or its first `most` bytes, another name, and leaves the lines that can be used in its place."""
    number = next(one for one in range(1, 10**6) if not out.with_name(f"program.rejected-{one}.out").exists())
    aside = out.with_name(f"program.rejected-{number}.out")
    with out.open("rb") as opened:
        content = opened.read(most)
    images.write_atomically(aside, lambda file: file.write_bytes(content))
    images.write_atomically(out, lambda file: file.write_bytes(b"".join(line + b"\n" for line in kept)))
    return aside


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
