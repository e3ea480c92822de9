"""Pictures with several labels each, listed in a file of JSON lines and split into training and held-out by file name."""

from __future__ import annotations

import hashlib
import json
import reprlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ppgn.errors import one_line, printable

Merges: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Group -> class -> further values of the group's column that belong to this class."""
Labelled: TypeAlias = tuple[str, tuple[int, ...]]
"""A picture's path and its labels: the index of one class per group."""


@dataclass(frozen=True, eq=False)
class Table:
    """Training pictures, held-out pictures, the names of all classes, "group:value", and the groups."""

    training: tuple[Labelled, ...]
    held_out: tuple[Labelled, ...]
    class_names: tuple[str, ...]
    groups: tuple[str, ...]


def read_table(
    root: Path,
    file: str,
    columns: Mapping[str, str],
    least: int,
    split_seed: int,
    validation_share: float,
    merge: Merges | None = None,
) -> Table:
    """The pictures of a .jsonl table at `root/file` with one line {"file": path, column: value, ...} per picture.

    columns: group -> column, such as {"type": "articleType", "colour": "baseColour"}; classes are then called "type:Handbags",
    "colour:Red". merge: values that count as another one, such as {"colour": {"Red": ["Maroon", "Rust"]}}. least: pictures that
    a value must have after merging; rarer values are left out with their pictures. validation_share: share of held-out
    pictures, chosen by `held_out`. Raises ValueError for a missing table, for a missing column, and for too few pictures.
    """
    path = root / file
    if not path.is_file():
        raise ValueError(
            f"there is no table of pictures at {path}, expected JSON lines, one per picture: correct its folder or name"
        )
    if not columns:
        raise ValueError(
            f"the table {path} got no labels, expected group -> column: say which columns are labels, {{'type': 'articleType'}}"
        )
    rows, values = _common([_merged(row, columns, merge or {}) for row in _rows(path, columns)], tuple(columns.values()), least)
    names = [f"{group}:{value}" for group, column in columns.items() for value in values[column]]
    places = {name: index for index, name in enumerate(names)}
    labels = [tuple(places[f"{group}:{row[column]}"] for group, column in columns.items()) for row in rows]
    samples = [(str(root / row["file"]), label) for row, label in zip(rows, labels, strict=True)]
    held = held_out(samples, split_seed, validation_share)
    training = [sample for sample, out in zip(samples, held, strict=True) if not out]
    compared = [sample for sample, out in zip(samples, held, strict=True) if out]
    if not (training and compared):
        raise ValueError(
            f"{path} has {len(samples)} pictures whose labels occur {least} times, too few to split: lower `least` or add some"
        )
    return Table(tuple(training), tuple(compared), tuple(names), tuple(columns))


def table_of(training: Mapping[str, Any], classes: Sequence[str], root: Path) -> Table | None:
    """The table at `root` with the columns, classes and split that a bundle's encoder was trained on.

    training: the bundle's training settings, stage -> settings (`bundle.info["training"]`). classes: the bundle's. Returns None
    where the bundle was trained on something else and where its table is not at `root`. Raises ValueError where the table has
    other classes than the bundle.
    """
    data = training.get("encoder", {}).get("data", {})
    if data.get("name") != "table" or not (root / data["table"]).is_file():
        return None
    split = (data["split_seed"], data["validation_share"])
    found = read_table(root, data["table"], data["labels"], data["least"], *split, data.get("merge"))
    if list(found.class_names) != list(classes):
        odd = sorted(set(found.class_names) ^ set(classes))
        raise ValueError(
            f"the table in {root} and the bundle differ in the classes {odd}, expected equal ones: give the bundle's"
        )
    return found


def held_out(samples: Sequence[Labelled], seed: int, share: float) -> list[bool]:
    """Whether each picture is held out: those whose `split_position` is below `share`, but never all pictures of a class.

    Where a class would have none to train on, its picture with the highest position is trained on.
    """
    positions = [split_position(path, seed) for path, _ in samples]
    held = [position < share for position in positions]
    trained = {label for (_, labels), out in zip(samples, held, strict=True) if not out for label in labels}
    for index in sorted(range(len(samples)), key=positions.__getitem__, reverse=True):
        if held[index] and not trained.issuperset(samples[index][1]):
            held[index] = False
            trained.update(samples[index][1])
    return held


def split_position(path: str, seed: int) -> float:
    """A number in [0, 1) that depends on the seed, the class folder and the file name only, on every machine alike."""
    name = unicodedata.normalize("NFC", f"{seed}/{Path(path).parent.name}/{Path(path).name}")
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32


def _rows(path: Path, columns: Mapping[str, str]) -> list[dict]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, ValueError, RecursionError) as fault:
        raise ValueError(f"cannot read {path} ({one_line(fault)}), expected JSON lines, one per picture: correct it") from fault
    odd = [row for row in rows if not isinstance(row, dict) or not isinstance(row.get("file", ""), str)]
    if odd:
        raise ValueError(f'{path} has the line {reprlib.repr(odd[0])}, expected {{"file": path, column: value, ...}}: correct it')
    lacking = [column for column in ("file", *columns.values()) if any(column not in row for row in rows)]
    if lacking or not rows:
        there = ", ".join(map(printable, rows[0])) if rows else "no line at all"
        raise ValueError(
            f"{path} lacks the column {lacking[0] if lacking else 'file'!r} in some line, expected one of {there}: name another"
        )
    for column in columns.values():
        if odd := [row for row in rows if isinstance(row[column], list | dict)]:
            raise ValueError(f"{path} has {reprlib.repr(odd[0][column])} in the column {column!r}, expected text: correct it")
    return rows


def _merged(row: dict, columns: Mapping[str, str], merge: Merges) -> dict:
    """The row with merged values replaced by their class. Raises ValueError for a group that has no column."""
    if odd := set(merge) - set(columns):
        raise ValueError(
            f"got classes to merge in {', '.join(sorted(odd))}, expected groups among {', '.join(columns)}: correct it"
        )
    whole = {
        (columns[group], _composed(value)): name
        for group, classes in merge.items()
        for name, others in classes.items()
        for value in others
    }
    values = {column: _composed(row[column]) for column in columns.values()}
    return {**row, **{column: whole.get((column, value), value) for column, value in values.items()}}


def _composed(value: Any) -> Any:
    """Text in Unicode's composed form, in which "Café" is one name however it was typed."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _common(rows: list[dict], columns: Sequence[str], least: int) -> tuple[list[dict], dict[str, list[str]]]:
    """The rows whose values all occur at least `least` times among these rows, and the sorted values of each column."""
    while True:
        counts = {column: Counter(row[column] for row in rows) for column in columns}
        kept = [row for row in rows if all(counts[column][row[column]] >= least for column in columns)]
        if len(kept) == len(rows):
            for column, found in counts.items():
                if len({isinstance(value, str) for value in found}) > 1:
                    raise ValueError(f"the column {column!r} has text and other values, expected text alone: correct the table")
            return kept, {column: sorted(counts[column]) for column in columns}
        rows = kept
