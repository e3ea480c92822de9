"""The package's own exceptions, and errors of other people's code in a sentence."""

from __future__ import annotations


class BundleError(ValueError):
    """A bundle that is missing, broken, altered, or of another version; the message says what to do."""


class ProbeError(ValueError):
    """A layer that a pass does not give, or a network in train mode."""


class ChainStopped(UserWarning):
    """A chain met infinity or NaN and is held where it last was finite."""


class AllStoppedError(ValueError):
    """No chain of a batch is left."""


def one_line(fault: BaseException) -> str:
    """The type and message of somebody else's error as part of a sentence, at most 200 characters."""
    return " ".join(f"{type(fault).__name__}: {fault}".split())[:200]
