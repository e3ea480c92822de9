"""The front of a script: its settings from words and YAML files, and one sentence with status 2 for a user's mistake."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import auto_cli

from ppgn.errors import FULL, printable

REFUSED = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}
"""Errors of a file or folder that the system lets nobody read or write so."""
MOST_NODES = 100_000
"""Values of a YAML file with its aliases written out. A few lines of aliases of aliases can stand for more than memory holds."""


def run_script(function: Callable[..., Any], words: Sequence[str] | None = None, **settings: Any) -> Any:
    """function with the settings of the command line; returns what it returns.

    words: the command line, by default that of the process. settings: of jsonargparse's `auto_cli`.
    """
    given = sys.argv[1:] if words is None else list(words)
    with one_sentence():
        check_configs(given)
        return auto_cli(function, args=given, as_positional=False, **settings)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Ends the process with one sentence and status 2 for a ValueError, and where the system refuses a file (FULL, REFUSED)."""
    before, threading.excepthook = threading.excepthook, _tell_of_thread
    try:
        yield
    except ValueError as fault:
        print(f"error: {printable(str(fault))}", file=sys.stderr)
        raise SystemExit(2) from fault
    except OSError as fault:
        if fault.errno not in FULL | REFUSED:
            raise
        print(f"error: {_of_file(fault)}", file=sys.stderr)
        raise SystemExit(2) from fault
    finally:
        threading.excepthook = before


def _of_file(fault: OSError) -> str:
    file = "a file" if fault.filename is None else printable(str(fault.filename))
    if fault.errno in FULL:
        return f"cannot write {file} ({fault.strerror}): free some space, then go on from the last checkpoint"
    return f"cannot read or write {file} ({fault.strerror}): correct its permissions, move it away, or give another path"


def _tell_of_thread(failed: threading.ExceptHookArgs) -> None:
    """Prints what ended a thread, but for what TensorBoard's writer raises again in the main thread."""
    if not (isinstance(failed.exc_value, OSError) and failed.exc_value.errno in FULL | REFUSED):
        threading.__excepthook__(failed)


def check_configs(words: Sequence[str]) -> None:
    """Raises ValueError for a --config of the words that is no YAML, or whose aliases stand for more than MOST_NODES values."""
    for place, word in enumerate(words):
        name, sign, value = word.partition("=")
        if name in ("--config", "-c"):
            file = Path(value if sign else next(iter(words[place + 1 : place + 2]), ""))
            if file.is_file():  # another one is refused by its parser
                _check(file)


def _check(file: Path) -> None:
    try:
        found = yaml.compose(file.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        nodes = 0 if found is None else _nodes(found, {}, set())
    except (yaml.YAMLError, OSError, UnicodeDecodeError, RecursionError) as fault:
        raise ValueError(f"cannot read {file} ({' '.join(str(fault).split())}), expected YAML: correct it") from fault
    if nodes > MOST_NODES:
        raise ValueError(
            f"{file} stands for {nodes:.0e} values, expected at most {MOST_NODES}: write out what its aliases repeat"
        )


def _nodes(node: yaml.Node, known: dict[int, int], above: set[int]) -> int:
    """How many nodes a node is, with those under it, each as often as it is named."""
    if id(node) in above:
        raise yaml.YAMLError("an alias stands inside of what it names")
    if id(node) not in known:
        values = node.value if isinstance(node, yaml.CollectionNode) else []
        inside = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
        known[id(node)] = 1 + sum(_nodes(one, known, above | {id(node)}) for one in inside)
    return known[id(node)]
