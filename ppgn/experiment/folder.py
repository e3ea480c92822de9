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
from ppgn.experiment.course import Course
from ppgn.experiment.elite import Elite
from ppgn.experiment.evolution import Evolution, Generation
from ppgn.experiment.tables import columns_of, write_form
from ppgn.types import ChainState

ABOUT, STATE, RESPONSES, ANSWERS, CODES = "evolve.json", "state.safetensors", "responses.csv", "answers.csv", "codes.safetensors"
CARRIED, ELITE = "carry.", "elite."
CLOSE = 1e-4
"""Difference of codes below which another machine has rounded, and nobody asked for something else."""
UNWRITABLE = (OSError, SafetensorError)
"""What is raised where a disk is full: safetensors raises its own error."""


class RunFolder:
    """evolve.json (what is evolved, and how), state.safetensors (after the last whole generation), responses.csv (all responses),
    generations/0000/ (codes.safetensors, pictures, answers.csv), best/0000.png (the best so far after each), evolve.png.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._written: int | None = None
        self._course: Course | None = None

    @property
    def is_begun(self) -> bool:
        """Whether an evolution was begun here."""
        return (self.folder / ABOUT).is_file()

    def check_new(self) -> None:
        """Raises ValueError where the folder holds something else than an evolution that was killed as it began."""
        if any(one.name != STATE and not one.name.startswith(".") for one in self.folder.iterdir()):
            raise ValueError(f"{self.folder} holds other files, expected a new folder or an evolution: give another folder")

    def write_about(self, about: Mapping[str, Any]) -> None:
        """Writes evolve.json; with it the evolution is begun."""
        text = json.dumps(about, indent=1) + "\n"
        images.write_atomically(self.folder / ABOUT, lambda path: path.write_text(text, encoding="utf-8"))

    def about(self) -> dict[str, Any]:
        """evolve.json. Raises ValueError where it cannot be read."""
        try:
            found = json.loads((self.folder / ABOUT).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError) as fault:
            held = f"cannot read {self.folder / ABOUT} ({one_line(fault)})"
            raise ValueError(f"{held}, expected an evolution: give its folder") from fault
        if not isinstance(found, dict):
            raise ValueError(f"{self.folder / ABOUT} holds no object, expected that of an evolution: give its folder")
        return found

    def state(self, device: torch.device) -> tuple[ChainState, Elite]:
        """Where the evolution is. Raises ValueError where that cannot be read."""
        file = self.folder / STATE
        try:
            tensors = {name: value.to(device) for name, value in load_file(file).items()}
            with safe_open(file, framework="pt") as opened:
                facts = json.loads(opened.metadata()["facts"])
            carry = {name.removeprefix(CARRIED): value for name, value in tensors.items() if name.startswith(CARRIED)}
            state = ChainState(tensors["code"], tuple(facts["seeds"]), facts["step"], carry)
            elite = {name.removeprefix(ELITE): value for name, value in tensors.items() if name.startswith(ELITE)}
            return state, Elite.of({name: value if name == "codes" else value.cpu() for name, value in elite.items()})
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as fault:
            raise ValueError(f"cannot go on from {file} ({one_line(fault)}): restore it from a copy, or begin anew") from fault

    def save_state(self, evolution: Evolution) -> None:
        """Writes the state of an evolution in one step."""
        state, elite = evolution.state, evolution.elite
        tensors = {"code": state.code, **{f"{CARRIED}{name}": value for name, value in state.carry.items()}}
        tensors |= {f"{ELITE}{name}": value for name, value in elite.tensors().items()}
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
        if place.is_dir():
            _check_codes(place / CODES, generation)
        else:
            room = images.temporary_beside(place)
            try:
                place.parent.mkdir(exist_ok=True)
                room.mkdir()
                save_file({"codes": generation.codes.detach().cpu().contiguous()}, room / CODES)
                if with_pictures:
                    for file, image in zip(files, evolution.images(generation.codes), strict=True):
                        images.save_image(image, room / file.name)
                    write_form(room / RESPONSES, generation, files, evolution)
                os.replace(room, place)
            except UNWRITABLE as fault:
                raise ValueError(f"cannot write {place} ({one_line(fault)}): free some space, and run again") from fault
            finally:
                shutil.rmtree(room, ignore_errors=True)
        return generation, files

    def is_shown(self, number: int) -> bool:
        """Whether the pictures of a generation lie there."""
        return self.place(number).is_dir()

    def answers(self, number: int, units: int) -> list[list[float]]:
        """The responses `[showing, unit]` of a generation that are on disk; a line that a kill cut off does not count."""
        file = self.place(number) / ANSWERS
        if not file.is_file():
            return []
        rows = [line.split(",") for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
        return [[float(value) for value in row] for row in rows if len(row) == units]

    def answer(self, number: int, rows: Sequence[Sequence[float]], before: int) -> None:
        """Adds responses to those `before` of a generation; they are on the disk when this returns."""
        text, file = "".join(",".join(repr(float(value)) for value in row) + "\n" for row in rows), self.place(number) / ANSWERS
        try:
            with file.open("r+b" if before else "wb") as opened:
                kept = opened.readlines()[:before] if before else []
                opened.seek(sum(map(len, kept)))
                opened.truncate()
                opened.write(text.encode())
                opened.flush()
                os.fsync(opened.fileno())
        except OSError as fault:
            raise ValueError(f"cannot write {file} ({one_line(fault)}): free some space, and run again") from fault

    def set_aside(self, number: int) -> None:
        """Gives the answers of a generation, which cannot be used, other names: its pictures are shown again."""
        for file in (self.place(number) / ANSWERS, self.place(number) / "program.out"):
            if file.is_file():
                count = len(list(file.parent.glob(f"{file.stem}.refused-*")))
                os.replace(file, file.with_name(f"{file.stem}.refused-{count + 1}{file.suffix}"))

    def table(self) -> list[dict[str, str]]:
        """The rows of responses.csv. Raises ValueError where it cannot be read."""
        file = self.folder / RESPONSES
        if not file.is_file():
            return []
        try:
            with file.open(newline="", encoding="utf-8-sig") as opened:
                return list(csv.DictReader(opened))
        except (OSError, UnicodeDecodeError, csv.Error) as fault:
            raise ValueError(f"cannot read {file} ({one_line(fault)}): restore it from a copy") from fault

    def record(self, evolution: Evolution, generation: Generation, answers: Tensor) -> None:
        """Adds a generation to responses.csv, of which a run that goes on keeps the generations before it."""
        columns, seeds = columns_of(evolution.units), evolution.state.seeds
        rows = []
        for showing, values in enumerate(answers.tolist()):
            again, picture = divmod(showing, len(generation.codes))
            owner = generation.owners[picture]
            about = {"generation": generation.number, "picture": picture, "showing": again, "kind": generation.kind(picture)}
            row = {
                **about,
                "seed": seeds[owner],
                "unit": evolution.units[owner],
                **dict(zip(columns, map(repr, values), strict=True)),
            }
            rows.append({name: str(value) for name, value in row.items()})
        names, file = ["generation", "picture", "showing", "kind", "seed", "unit", *columns], self.folder / RESPONSES
        if self._written == generation.number - 1:
            with images.refused_writes(file), file.open("a", newline="", encoding="utf-8") as opened:
                csv.DictWriter(opened, names, lineterminator="\n").writerows(rows)
        else:
            before = [row for row in self.table() if int(row["generation"]) < generation.number]
            text = io.StringIO()
            writer = csv.DictWriter(text, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows([*before, *rows])
            images.write_atomically(file, lambda path: path.write_text(text.getvalue(), encoding="utf-8"))
        self._written = generation.number
        if self._course is not None:
            self._course.add(rows)

    def course(self, evolution: Evolution) -> tuple[Tensor, Tensor]:
        """(mean, highest) response of each generation to its new pictures `[generation, unit]`; the table is read once."""
        if self._course is None:
            self._course = Course(evolution.units, len(evolution.units) * evolution.plan.size)
            self._course.add(self.table())
        return self._course.tensors()


def _check_codes(file: Path, generation: Generation) -> None:
    """Raises ValueError where a generation on disk, which may have been shown, holds other codes than the search asks for."""
    try:
        there = load_file(file)["codes"]
    except (OSError, SafetensorError, KeyError) as fault:
        raise ValueError(f"cannot read {file} ({one_line(fault)}): restore it from a copy, or begin anew") from fault
    asked = generation.codes.detach().cpu()
    if there.shape != asked.shape or not torch.allclose(there, asked, rtol=CLOSE, atol=CLOSE):
        raise ValueError(
            f"{file} holds other codes than the search asks for now, expected the same: go on with the versions of packages and "
            f"the code with which the run began, or begin anew"
        )
