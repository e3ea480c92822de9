"""The package's own exceptions, and errors of other people's code in a sentence."""

from __future__ import annotations

import errno
import importlib
import os
import unicodedata
from typing import Any

MOST_VALUES, LARGER = 2**26, "PPGN_MOST_VALUES"
"""The most numbers that a picture or a description may ask memory for (256 MiB of float32), and the environment variable that
sets another limit."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk that takes no more."""

VALUES_PER_CHAIN = 64
"""What a chain takes at least, its seed, name and row in samples.json, in numbers; it limits how many there may be at all."""


class BundleError(ValueError):
    """A bundle that is missing, broken, altered, or of another version; the message says what to do.

    A message may quote the bundle: control characters are escaped, so that none reaches a terminal.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class ProbeError(ValueError):
    """A layer that a pass does not give, or a network in train mode."""


class ChainStopped(UserWarning):
    """A chain met infinity or NaN and is held where it last was finite."""


class AllStoppedError(ValueError):
    """No chain of a batch is left."""


def required(module: str, needs: str, install: str, instead: str = "", kind: type[ValueError] = ValueError) -> Any:
    """Imports a module of a package that need not be installed.

    needs: the beginning of what is said without it, "facets need scikit-learn". install: what pip installs then, an extra such as
    "ppgn[train]" or a package. instead: what helps otherwise, "write a .gif". Raises `kind` where the module cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as fault:
        quoted = f'"{install}"' if "[" in install else install  # a shell reads brackets as a pattern
        also = f", or {instead}" if instead else ""
        raise kind(f"{needs}, which is not installed: `pip install {quoted}`{also}") from fault


def one_line(fault: BaseException) -> str:
    """The type and message of somebody else's error as part of a sentence, at most 200 characters."""
    return printable(" ".join(f"{type(fault).__name__}: {fault}".split())[:200])


def printable(text: str) -> str:
    """The text with control characters and lone surrogates as their escapes: none of them reaches a terminal."""
    return "".join(ascii(one)[1:-1] if unicodedata.category(one) in ("Cc", "Cs") else one for one in text)


def check_amount(what: str, count: int, values_each: int = 1) -> None:
    """Raises ValueError where `count` things of `values_each` numbers are more than MOST_VALUES, before memory is taken for them.

    what: the things, as the error begins: "its codes have 1000 units".
    """
    given = os.environ.get(LARGER, "")
    if given and not given.isdecimal():
        raise ValueError(f"the environment variable {LARGER} is {given!r}, expected a whole number: correct it")
    most = int(given) if given else MOST_VALUES
    if count * values_each > most:
        raise ValueError(
            f"{what}, expected at most {most // values_each}: correct it, or set the environment variable "
            f"{LARGER}={count * values_each} where memory suffices"
        )


def check_chains(count: int, targets: int = 1) -> None:
    """Raises ValueError for more chains than `check_amount` allows, about a million: `count` for each target."""
    check_amount(f"got count {count}" + (f" for {targets} targets" if targets > 1 else ""), count, VALUES_PER_CHAIN * targets)


def is_out_of_memory(fault: BaseException) -> bool:
    """Whether memory did not suffice: Python's, a processor's as torch reports it, or an accelerator's."""
    name = type(fault).__name__  # torch's OutOfMemoryError, without importing torch here
    return isinstance(fault, MemoryError) or name == "OutOfMemoryError" or "can't allocate memory" in str(fault)


def is_disk_full(fault: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that of a disk, or a quota, that takes no more (FULL)."""
    while fault is not None:
        if isinstance(fault, OSError) and fault.errno in FULL:
            return True
        fault = fault.__cause__
    return False


def check_downloaded(file: Any, beginning: bytes, expected: str) -> None:
    """Raises ValueError, by the first bytes of a file, for what is often downloaded in the place of what was `expected`."""
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not beginning:
        raise ValueError(f"{file} is empty, expected {expected}: download or save it again")
    if text.startswith(b"version https://git-lfs"):
        raise ValueError(f"{file} is a Git LFS pointer, expected the file that it stands for: run `git lfs pull`, or download it")
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise ValueError(f"{file} is a web page, expected {expected}: download the file itself, not the page that shows it")
