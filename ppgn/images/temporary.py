"""Temporary names beside files that are being written, and an end for those that a killed process left."""

from __future__ import annotations

import secrets
import shutil
import time
from pathlib import Path

PREFIX = ".ppgn-unfinished-"
ABANDONED = 3600.0
"""Seconds without a write after which nobody works on a temporary file any more, on this machine or another one."""

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
