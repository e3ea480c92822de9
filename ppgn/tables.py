"""Pictures with several labels each: a file of lines of JSON beside them, split into training and held-out by file name."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Merges: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Group -> class -> further values of the group's column that belong to this class."""
Labelled: TypeAlias = tuple[str, tuple[int, ...]]
"""A picture's path and its label, the index of one class of each group."""


@dataclass(frozen=True, eq=False)
class Table:
    """Pictures of training, pictures held out, and the names of all classes, "group:value"."""

    training: tuple[Labelled, ...]
    held_out: tuple[Labelled, ...]
    class_names: tuple[str, ...]


def read_table(
    root: Path,
    file: str,
    columns: Mapping[str, str],
    least: int,
    split_seed: int,
    validation_share: float,
    merge: Merges | None = None,
) -> Table:
    """A .jsonl table at `root/file`, a line {"file": path, column: value, ...} a picture.

    columns: group -> column, such as {"type": "articleType", "colour": "baseColour"}; the classes are then called
    "type:Handbags", "colour:Red". merge: values that count as another, such as {"colour": {"Red": ["Maroon", "Rust"]}}. Values of
    then fewer than `least` pictures are left out with their pictures. The split is by hash of the file name (`place`). Raises
    ValueError for a table that is not there, lacks a column, or has too few pictures to split.
    """
    path = root / file
    if not path.is_file():
        raise ValueError(f"no table of pictures at {path}: expected lines of JSON, one a picture (--data.root, --data.table)")
    if not columns:
        raise ValueError(f"which columns of {path} are labels? give --data.labels '{{type: articleType, colour: baseColour}}'")
    rows, values = _common([_merged(row, columns, merge or {}) for row in _rows(path, columns)], tuple(columns.values()), least)
    names = [f"{group}:{value}" for group, column in columns.items() for value in values[column]]
    places = {name: index for index, name in enumerate(names)}
    labels = [tuple(places[f"{group}:{row[column]}"] for group, column in columns.items()) for row in rows]
    samples = [(str(root / row["file"]), label) for row, label in zip(rows, labels, strict=True)]
    out = [place(sample, split_seed) < validation_share for sample, _ in samples]
    training, held_out = (
        tuple(sample for sample, held in zip(samples, out, strict=True) if held is wanted) for wanted in (False, True)
    )
    if not (training and held_out):
        raise ValueError(f"{path} has {len(samples)} pictures with common labels, too few to split: lower --data.least")
    return Table(training, held_out, tuple(names))


def table_of(info: Mapping[str, Any], root: Path) -> Table | None:
    """The table at `root` as the encoder of a bundle (`bundle.info`) was trained on it: same columns, classes and split.

    None where the bundle was trained on something else, or its table is not at `root`. Raises ValueError where the table has
    other classes than the bundle.
    """
    data = info.get("training", {}).get("encoder", {}).get("data", {})
    if data.get("name") != "table" or not (root / data["table"]).is_file():
        return None
    split = (data["split_seed"], data["validation_share"])
    found = read_table(root, data["table"], data["labels"], data["least"], *split, data.get("merge"))
    if list(found.class_names) != list(info["class_names"]):
        odd = sorted(set(found.class_names) ^ set(info["class_names"]))
        raise ValueError(f"the table in {root} and bundle {info['name']} differ in the classes {odd}: give the bundle's table")
    return found


def place(path: str, seed: int) -> float:
    """A number in [0, 1), the same for the same class and file name on every machine, wherever the folder lies."""
    name = f"{seed}/{Path(path).parent.name}/{Path(path).name}"
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _rows(path: Path, columns: Mapping[str, str]) -> list[dict]:
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    lacking = [column for column in ("file", *columns.values()) if any(column not in row for row in rows)]
    if lacking or not rows:
        there = ", ".join(rows[0]) if rows else "no line"
        raise ValueError(
            f"{path} lacks the column {lacking[0] if lacking else 'file'!r} in some line, it has {there}: name another"
        )
    return rows


def _merged(row: dict, columns: Mapping[str, str], merge: Merges) -> dict:
    """The row with values replaced by the class that they belong to; ValueError for a group that is none."""
    if odd := set(merge) - set(columns):
        raise ValueError(
            f"got classes to merge in {', '.join(sorted(odd))}, expected groups among {', '.join(columns)}: correct it"
        )
    whole = {(columns[group], value): name for group, classes in merge.items() for name, own in classes.items() for value in own}
    return {**row, **{column: whole.get((column, row[column]), row[column]) for column in columns.values()}}


def _common(rows: list[dict], columns: Sequence[str], least: int) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows whose values all occur `least` times or more among them, and those values of each column, sorted."""
    while True:
        counts = {column: Counter(row[column] for row in rows) for column in columns}
        kept = [row for row in rows if all(counts[column][row[column]] >= least for column in columns)]
        if len(kept) == len(rows):
            return kept, {column: sorted(counts[column]) for column in columns}
        rows = kept
