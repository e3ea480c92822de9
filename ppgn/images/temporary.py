"""Folders that several processes may write to: temporary names, an end for those that a kill left, and one writer at a time."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None

PREFIX = ".ppgn-unfinished-"
ABANDONED = 3600.0
"""Seconds without a write after which nobody works on a temporary file any more, on this machine or another one."""

_log = logging.getLogger("ppgn")
_looked_at: set[Path] = set()


def temporary_beside(path: Path) -> Path:
    """A new name in the folder of `path`, with its extension, that no other process takes.

    The first call for a folder takes away what was left there: temporary files and folders that are older than ABANDONED.
    """
    folder = path.parent
    if folder not in _looked_at:
        _looked_at.add(folder)
        _remove_abandoned(folder)
    return folder / f"{PREFIX}{secrets.token_hex(8)}{path.suffix}"


def _remove_abandoned(folder: Path) -> None:
    for left in folder.glob(f"{PREFIX}*"):
        try:
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        except OSError:  # another process was faster, or may not: the next start looks again
            continue


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keeps a folder for this process; a kill frees it. Raises ValueError where another process has it.

    Without effect on Windows, and on disks that know no such locks.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise ValueError(f"{folder} is written by another process already, expected none: wait for it, or end it") from fault
        except OSError:  # NFS, for one, locks no folder
            _log.info(f"{folder} cannot be kept for this process: let no other one write there")
        yield
    finally:
        os.close(handle)
