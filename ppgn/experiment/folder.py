"""The folder of an evolution: whatever was answered is on disk, and a killed run goes on as if it had not been."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ppgn import images
from ppgn.errors import one_line
from ppgn.experiment.elite import Elite
from ppgn.experiment.evolution import Evolution, Generation
from ppgn.types import ChainState

ABOUT, STATE, RESPONSES, ANSWERS, CODES = "evolve.json", "state.safetensors", "responses.csv", "answers.csv", "codes.safetensors"
CARRIED = "carry."
TABLE = "responses.csv"
"""The table in the folder of a generation that is to be filled in: a line for each showing."""


class RunFolder:
    """evolve.json (what is evolved, and how), state.safetensors (after the last whole generation), responses.csv (all responses),
    generations/0000/ (codes.safetensors, pictures, answers.csv), best/0000.png (the best so far after each), evolve.png.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def begun(self) -> bool:
        """Whether an evolution was begun here."""
        return (self.folder / ABOUT).is_file()

    def begin(self, about: Mapping[str, Any]) -> None:
        """Writes evolve.json, or compares it with that of the run that is gone on with.

        Raises ValueError where the folder holds another evolution, or something else.
        """
        about = json.loads(json.dumps(about))
        if self.begun:
            before = self.about()
            odd = [name for name in about if before.get(name) != about[name]]
            if odd:
                raise ValueError(
                    f"{self.folder} holds an evolution with another {', '.join(odd)}, expected that of this run: give another "
                    f"folder, or the same arguments to go on"
                )
            return
        if any(one for one in self.folder.iterdir() if not one.name.startswith(".")):
            raise ValueError(f"{self.folder} holds other files, expected a new folder or an evolution: give another folder")
        text = json.dumps(about, indent=1) + "\n"
        images.write_atomically(self.folder / ABOUT, lambda path: path.write_text(text, encoding="utf-8"))

    def about(self) -> dict[str, Any]:
        """evolve.json. Raises ValueError where it cannot be read."""
        try:
            found = json.loads((self.folder / ABOUT).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as fault:
            raise ValueError(
                f"cannot read {self.folder / ABOUT} ({one_line(fault)}), expected an evolution: give its folder"
            ) from fault
        if not isinstance(found, dict):
            raise ValueError(f"{self.folder / ABOUT} holds no object, expected that of an evolution: give its folder")
        return found

    def restore(self, evolution: Evolution) -> None:
        """Brings an evolution to where the run in this folder was. Raises ValueError where the state cannot be read."""
        file = self.folder / STATE
        if not file.is_file():
            return
        try:
            tensors = load_file(file)
            with safe_open(file, framework="pt") as opened:
                facts = json.loads(opened.metadata()["facts"])
            carry = {name.removeprefix(CARRIED): value for name, value in tensors.items() if name.startswith(CARRIED)}
            evolution.state = ChainState(tensors["code"], tuple(facts["seeds"]), facts["step"], carry)
            evolution.elite = Elite(tensors["elite.codes"], tensors["elite.sums"], tensors["elite.counts"])
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as fault:
            raise ValueError(f"cannot go on from {file} ({one_line(fault)}): restore it from a copy, or begin anew") from fault

    def save(self, evolution: Evolution) -> None:
        """Writes the state of an evolution in one step."""
        state, elite = evolution.state, evolution.elite
        tensors = {"code": state.code, **{f"{CARRIED}{name}": value for name, value in state.carry.items()}}
        tensors |= {"elite.codes": elite.codes, "elite.sums": elite.sums, "elite.counts": elite.counts}
        whole = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        facts = json.dumps({"seeds": list(state.seeds), "step": state.step})
        images.write_atomically(self.folder / STATE, lambda path: save_file(whole, path, {"facts": facts}))

    def place(self, number: int) -> Path:
        """The folder of a generation."""
        return self.folder / "generations" / f"{number:04d}"

    def prepare(self, evolution: Evolution, with_pictures: bool) -> tuple[Generation, list[Path]]:
        """The next generation with its folder, made in one step; and the paths of its pictures, in the order of its codes."""
        generation = evolution.ask()
        place = self.place(generation.number)
        files = [place / f"{number:04d}.png" for number in range(len(generation.codes))]
        if not place.is_dir():
            place.parent.mkdir(exist_ok=True)
            room = images.temporary_beside(place)
            room.mkdir()
            try:
                save_file({"codes": generation.codes.detach().cpu().contiguous()}, room / CODES)
                if with_pictures:
                    for file, image in zip(files, evolution.images(generation.codes), strict=True):
                        images.save_image(image, room / file.name)
                    _write_table(room / TABLE, generation, files, evolution)
                os.replace(room, place)
            except OSError as fault:
                raise ValueError(f"cannot write {place} ({one_line(fault)}): free some space, and run again") from fault
            finally:
                shutil.rmtree(room, ignore_errors=True)
        return generation, files

    def answers(self, number: int, units: int) -> list[list[float]]:
        """The responses `[showing, unit]` of a generation that are on disk; a line that a kill cut off does not count."""
        file = self.place(number) / ANSWERS
        if not file.is_file():
            return []
        rows = [line.split(",") for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
        return [[float(value) for value in row] for row in rows if len(row) == units]

    def answer(self, number: int, rows: Sequence[Sequence[float]], before: int) -> None:
        """Adds responses to those `before` of a generation; they are on the disk when this returns."""
        text = "".join(",".join(repr(float(value)) for value in row) + "\n" for row in rows)
        try:
            with (self.place(number) / ANSWERS).open("r+b" if before else "wb") as file:
                kept = file.readlines()[:before] if before else []
                file.seek(sum(map(len, kept)))
                file.truncate()
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as fault:
            raise ValueError(
                f"cannot write {self.place(number) / ANSWERS} ({one_line(fault)}): free some space, and run again"
            ) from fault

    def record(self, evolution: Evolution, generation: Generation, answers: Tensor) -> None:
        """Adds a generation to responses.csv, which is written anew in one step."""
        file, repeats = self.folder / RESPONSES, evolution.plan.repeats
        head = ["generation", "picture", "showing", "seed", "unit", *_columns(evolution.units)]
        before = [head]
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as opened:
                before = [row for row in csv.reader(opened) if row == head or int(row[0]) < generation.number]
        numbers = range(len(generation.codes))
        seeds = evolution.state.seeds
        new = [
            [generation.number, picture, again, seeds[generation.owners[picture]], evolution.units[generation.owners[picture]],
             *map(repr, answers[again * len(numbers) + picture].tolist())]
            for again in range(repeats) for picture in numbers
        ]  # fmt: skip
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*before, *new])
        images.write_atomically(file, lambda path: path.write_text(text.getvalue(), encoding="utf-8"))


def _columns(units: Sequence[str]) -> list[str]:
    """The headings of the responses: a single unit's is "response"."""
    return ["response"] if len(units) == 1 else list(units)


def _write_table(file: Path, generation: Generation, files: Sequence[Path], evolution: Evolution) -> None:
    columns = _columns(evolution.units)
    rows = [[generation.number, number, one.name, *[""] * len(columns)] for number, one in enumerate(files)]
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([["generation", "picture", "file", *columns], *rows * evolution.plan.repeats])


def read_responses(file: str | Path, pictures: int, repeats: int, units: Sequence[str], generation: int) -> Tensor:
    """Responses `[showing, unit]` of the pictures of a generation, from a CSV with a heading: a column "picture" (from 0), and
    "response", or one for each unit by its name. Rows of a picture that is shown again follow in the order of the showings.
    An empty field is no response. generation: its number, with which a column of that name is compared. Raises ValueError for
    other columns, numbers, pictures and generations."""
    wanted, rows = _columns(units), _rows_of(file)
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
        raise ValueError(
            f"{file} has {counts[wrong]} rows of picture {wrong}, expected {repeats}, one each time it is shown: correct it"
        )
    return found.flatten(0, 1)


def _rows_of(file: str | Path) -> list[dict[str, str]]:
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as opened:
            return list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise ValueError(f"cannot read {file} ({one_line(fault)}), expected a CSV of responses: correct it") from fault
