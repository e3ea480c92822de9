"""Signals that ask a command to end: what is written stays, and the exit status says which signal it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals of schedulers, of `kill` and of a terminal that is closed. Ctrl+C is SIGINT, which Python raises itself."""


class SignalledEnd(KeyboardInterrupt):
    """A signal of ENDING. It is caught where Ctrl+C is, so all that is safe there is safe here."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Ending:
    """The signal that came, if any."""

    def __init__(self) -> None:
        self.number: int | None = None

    def status(self, done: int) -> int:
        """The exit status of a command that ended with `done`: 128 and the signal's number, as a shell has it, where one came."""
        return done if self.number is None else 128 + self.number


@contextmanager
def ending() -> Iterator[Ending]:
    """Raises SignalledEnd in the main thread for the first signal of ENDING; the next one ends the process at once.

    A signal that is ignored, as SIGHUP under nohup, stays ignored. Outside the main thread nothing changes.
    """
    seen = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = {number: signal.getsignal(number) for number in ENDING}

    def end(number: int, frame: FrameType | None) -> None:
        seen.number = number
        for one in ENDING:
            signal.signal(one, signal.SIG_DFL)
        raise SignalledEnd(number)

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, end)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def how(end: KeyboardInterrupt) -> str:
    """How a command ended early: "interrupted", or "ended by SIGTERM"."""
    return f"ended by {end}" if isinstance(end, SignalledEnd) else "interrupted"
