"""Files that a command writes: none of them over one that it reads, unless asked to; and what an interrupted one has written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

INPUTS = ("picture", "mask", "settings", "weights", "direction", "sae", "judge_weights")
"""Arguments that name files to read."""
OUTPUTS = ("out", "save_images", "migrate")
"""Arguments that name files or folders to write."""


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds --overwrite."""
    parser.add_argument("--overwrite", action="store_true", help="allow an output to take the place of a file that is read")


def check_inputs_kept(given: argparse.Namespace, folder: str | None = None, written: Sequence[str] = ()) -> None:
    """Raises ValueError where an output is one of the files that the command reads, by whatever path, without --overwrite.

    The outputs are --out where it is a file, and those files in `folder` whose names match one of the patterns `written`.
    """
    if given.overwrite:
        return
    for name in INPUTS:
        value = getattr(given, name, None)
        path = None if value is None else Path(value)
        if path is None or not path.is_file():
            continue
        inside = folder is not None and _same(path.parent, Path(folder)) and any(fnmatch(path.name, one) for one in written)
        if inside or _same(path, Path(given.out)):
            output = folder if inside else given.out
            raise ValueError(
                f"the output {output} would take the place of {value}, which is read: choose another name, or add --overwrite"
            )


def written_since(given: argparse.Namespace, begun: float) -> str:
    """The outputs, with commas, that were written after a time in seconds since the epoch; "" for none."""
    found: list[str] = []
    for name in OUTPUTS:
        value = getattr(given, name, None) or []
        for path in map(Path, [value] if isinstance(value, str) else value):
            files = path.rglob("*") if path.is_dir() else [path]
            if any(file.is_file() and file.stat().st_mtime >= begun for file in files):
                found.append(str(path))
    return ", ".join(found)


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)
