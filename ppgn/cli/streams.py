"""Standard output and standard error that may be closed, full or of any encoding: the work goes on, and the status says it."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

from ppgn.errors import printable

BROKEN_PIPE = 128 + signal.SIGPIPE if hasattr(signal, "SIGPIPE") else 1
"""What a shell reports for a program whose reader went away."""
WRITE_ERROR = 1
"""What commands of Unix return where their output cannot be written."""


MOVES = re.compile(r"[\r\n]*(\x1b\[A)*")
"""What tqdm writes between bars: next lines, then lines up."""


class Lenient:
    """A text stream that drops what cannot be written and keeps the first fault; letters that its encoding lacks, and control
    characters of the names of files, are escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.fault: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self.fault is None:
            try:
                self._stream.write(self._escaped(_without_control(text)))
            except OSError as fault:
                self._give_up(fault)
        return len(text)

    def flush(self) -> None:
        if self.fault is None:
            try:
                self._stream.flush()
            except OSError as fault:
                self._give_up(fault)

    def _escaped(self, text: str) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            return text.encode(encoding, "backslashreplace").decode(encoding)
        return text

    def _give_up(self, fault: OSError) -> None:
        """Sends what the stream still holds nowhere, so that Python does not fail to write it at its end."""
        self.fault = fault
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def _without_control(text: str) -> str:
    """The text with control characters escaped but for ends of lines, tabs, and what a progress bar writes to move about."""
    if text.isprintable() or MOVES.fullmatch(text):
        return text
    return "".join(one if one in "\n\r\t" else printable(one) for one in text)


@contextmanager
def lenient() -> Iterator[tuple[Lenient, Lenient]]:
    """Standard output and standard error as Lenient streams; closed ones lead nowhere."""
    _fill_closed()
    out, err = (Lenient(stream or open(os.devnull, "w")) for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    changed: Any = out, err
    with redirect_stdout(changed[0]), redirect_stderr(changed[1]):
        try:
            yield out, err
        finally:
            out.flush()
            err.flush()


def status(done: int, out: Lenient, err: Lenient) -> int:
    """The exit status of a command that ended with `done`, told of what standard output could not take."""
    out.flush()
    if out.fault is None or done != 0:
        return done
    if out.fault.errno == errno.EPIPE:
        return BROKEN_PIPE
    err.write(f"ppgn: error: cannot write to standard output ({out.fault.strerror})\n")
    return WRITE_ERROR


def _fill_closed() -> None:
    """Opens the null device in the place of closed standard files; the next file that is opened would take their number, and
    messages would be written into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
