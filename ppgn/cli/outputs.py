"""Files that a command writes: none of them over one that it reads, unless asked to; and what an interrupted one has written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

INPUTS = ("picture", "content", "style", "guide", "mask", "settings", "weights", "direction", "sae", "judge_weights")
"""Arguments that name files to read."""
OUTPUTS = ("out", "save_images", "migrate")
"""Arguments that name files or folders to write."""


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds --overwrite."""
    parser.add_argument("--overwrite", action="store_true", help="allow an output to take the place of a file that is read")


def check_inputs_kept(given: argparse.Namespace, folder: str | None = None, written: Sequence[str] = ()) -> None:
    """Raises ValueError where an output is a file that the command reads, by whatever path or link, without --overwrite.

    The outputs are --out where it is a file, and those files in `folder` whose names match one of the patterns `written`. Raises
    ValueError, too, where --out is one of the latter, as one of them would be lost.
    """
    out = _resolved(given.out)
    if folder is not None and out.parent == _resolved(folder) and _matches(out.name, written):
        raise ValueError(f"--out {given.out} has the name of a file that goes into {folder}, too: choose another name")
    if given.overwrite:
        return
    there = [path for path in _files(folder) if _matches(path.name, written)]
    for name in INPUTS:
        value = getattr(given, name, None)
        path = None if value is None else Path(value)
        if path is None or not path.is_file():
            continue
        inside = any(_same(path, output) for output in there)
        if inside or _same(path, Path(given.out)):
            output = folder if inside else given.out
            raise ValueError(
                f"the output {output} would take the place of {value}, which is read: choose another name, or add --overwrite"
            )


def _resolved(path: str | Path) -> Path:
    """The path without links; as it is where they lead in a circle."""
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError):
        return Path(path).absolute()


def _files(folder: str | None) -> list[Path]:
    """What is in a folder; nothing where there is none."""
    return list(Path(folder).iterdir()) if folder is not None and Path(folder).is_dir() else []


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


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
