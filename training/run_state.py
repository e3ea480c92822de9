"""What a run of `train_bundle` remembers between two starts: its options, and what its finished stages found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ppgn.errors import one_line
from ppgn.images import alone_in, write_atomically
from training.picture_pack import PACK

FILE = "run.json"
REOPENED = ("generator", "settings")
"""Stages that go on when a finished run is given more time."""


class RunState:
    """`run.json` of a run folder: "options", "stages" by name as they finish, "trials" of settings, "hours", and the "bundle"
    once it is written.

    Every change is written at once, in one move.
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self.folder, self.differing = folder, list[str]()
        self.content: dict[str, Any] = {"options": dict(options), "stages": {}, "trials": [], "hours": 0.0, "bundle": ""}

    @classmethod
    def open(cls, folder: Path, options: Mapping[str, Any]) -> RunState:
        """The state of a run, new or as it was left. Raises ValueError where the kept stages were made with other options."""
        state = cls(folder, json.loads(json.dumps(options, default=str)))
        state._read()
        return state

    def _read(self) -> None:
        """Takes what the folder holds. Raises ValueError as `open` does."""
        file = self.folder / FILE
        if not file.is_file():
            if self.folder.is_dir() and any(self.folder.iterdir()):
                raise ValueError(f"{self.folder} is there and is no run of train_bundle, expected a new folder: name another run")
            return
        try:
            kept = json.loads(file.read_text(encoding="utf-8-sig"))
            before = dict(kept["options"])
            content = {name: type(value)(kept[name]) for name, value in self.content.items() if name != "options"}
            for stage in content["stages"].values():
                float(stage["seconds"])
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as fault:
            raise ValueError(f"{file} cannot be read ({one_line(fault)}): delete {self.folder} to begin again") from fault
        self.content |= content
        self.differing = _differences(before, self.content["options"])
        if self.differing and self.content["stages"]:
            raise ValueError(
                f"{self.folder} was begun with other options ({'; '.join(self.differing)}), expected the same: give them again, "
                f"or another name for a new run"
            )

    def found(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage left, None before it is finished."""
        return self.content["stages"].get(stage)

    def finish(self, stage: str, found: Mapping[str, Any]) -> None:
        self.content["stages"][stage] = dict(found)
        self.write()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps the run for this process; a kill frees it. Raises ValueError where another one trains it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with alone_in(self.folder):
            self._read()  # another process may have gone on since `open`
            if self.differing:
                (self.folder / PACK).unlink(missing_ok=True)  # nothing else is kept of what the other options asked for
            self.write()
            yield

    def give(self, hours: float) -> None:
        """The time of the run. Where a finished generator is given more than it had, it goes on, and settings are sought anew."""
        if hours > self.content["hours"] and self.found("generator"):
            self.content["stages"] = {name: one for name, one in self.content["stages"].items() if name not in REOPENED}
            self.content["trials"] = []
        self.content["hours"] = hours

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Settings that were tried, with what was measured."""
        return self.content["trials"]

    @property
    def spent(self) -> float:
        """Seconds of the finished stages."""
        return sum(found["seconds"] for found in self.content["stages"].values())

    def write(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.content, indent=1) + "\n"
        write_atomically(self.folder / FILE, lambda place: place.write_text(text, encoding="utf-8"))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Each option that differs, as "name was X and is Y"."""
    found = []
    for name in sorted({*before, *now}):
        one, other = before.get(name), now.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differences(one, other, f"{prefix}{name}.")
        elif one != other:
            found.append(f"{prefix}{name} was {one} and is {other}")
    return found
