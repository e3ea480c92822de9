"""Tables of responses that a person fills in."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ppgn.errors import one_line
from ppgn.experiment.evolution import Evolution, Generation


def columns_of(units: Sequence[str]) -> list[str]:
    """The headings of the responses: a single unit's is "response"."""
    return ["response"] if len(units) == 1 else list(units)


def write_form(file: Path, generation: Generation, files: Sequence[Path], evolution: Evolution) -> None:
    """Writes a table with a line for each showing, its responses empty."""
    columns = columns_of(evolution.units)
    rows = [[generation.number, number, one.name, *[""] * len(columns)] for number, one in enumerate(files)]
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([["generation", "picture", "file", *columns], *rows * evolution.plan.repeats])


def read_responses(file: str | Path, pictures: int, repeats: int, units: Sequence[str], generation: int) -> Tensor:
    """Responses `[showing, unit]` of the pictures of a generation, from a CSV with a heading: a column "picture" (from 0), and
    "response", or one for each unit by its name. Rows of a picture that is shown again follow in the order of the showings.
    An empty field is no response. generation: its number, with which a column of that name is compared. Raises ValueError for
    other columns, numbers, pictures and generations."""
    wanted, rows = columns_of(units), _rows_of(file)
    lacking = [name for name in ("picture", *wanted) if not rows or name not in rows[0]]
    if lacking:
        raise ValueError(f"{file} has no column {lacking[0]!r}, expected picture, {', '.join(wanted)}: add the heading")
    odd = next((row["generation"] for row in rows if row.get("generation") not in (None, "", str(generation))), None)
    if odd is not None:
        raise ValueError(f"{file} is of generation {odd}, expected {generation}, which was asked for last: give its responses")
    found = torch.full((repeats, pictures, len(wanted)), torch.nan, dtype=torch.float64)
    counts = [0] * pictures
    for line, row in enumerate(rows, 2):
        try:
            picture = int(row["picture"])
            if not 0 <= picture < pictures:
                raise ValueError(f"picture {picture}")
            values = [float(row[name]) if (row[name] or "").strip() else torch.nan for name in wanted]
        except (ValueError, TypeError) as fault:
            held = f"{file}, line {line}, holds {one_line(fault)}"
            raise ValueError(f"{held}, expected a picture from 0 to {pictures - 1} and numbers: correct it") from fault
        if counts[picture] < repeats:
            found[counts[picture], picture] = torch.tensor(values, dtype=torch.float64)
        counts[picture] += 1
    wrong = next((picture for picture, count in enumerate(counts) if count != repeats), None)
    if wrong is not None:
        held = f"{file} has {counts[wrong]} rows of picture {wrong}"
        raise ValueError(f"{held}, expected {repeats}, one each time it is shown: correct it")
    return found.flatten(0, 1)


def _rows_of(file: str | Path) -> list[dict[str, str]]:
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as opened:
            return list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise ValueError(f"cannot read {file} ({one_line(fault)}), expected a CSV of responses: correct it") from fault
