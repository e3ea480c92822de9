"""A folder of samples that is right at any moment: the pictures of a batch first, then samples.json, which describes them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppgn import __version__, images
from ppgn.errors import one_line

if TYPE_CHECKING:
    from ppgn.sampling.samples import Samples

FILE = "samples.json"
LONGEST_NAME = 120
"""Bytes of a name in a file name; file systems take 255 in all, encrypted ones 143."""


class SampleFolder:
    """Where samples are written, batch by batch, by one process at a time (`opened`).

    samples.json has "ppgn" (the version), "bundle", "condition" (the request), "recipe", "run" (batch, device, threads, ...), and
    under "samples" for each picture its "file", "seed", the name of its target under the kind of the request ("class", "unit",
    ...), and its "log_probability" in nats, or its "activation", "logit" or "value" where it is no log-probability. It is written
    anew after each batch, so a killed run leaves what is described.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before, self.broken = _read(folder / FILE)
        self.rows: list[dict[str, Any]] = []

    @classmethod
    @contextmanager
    def opened(cls, folder: str | Path) -> Iterator[SampleFolder]:
        """The folder, made where it is missing. Raises ValueError where it cannot be written, or where another run writes it."""
        place = images.make_folder(folder)
        with images.alone_in(place):
            yield cls(place)

    def resume(self, samples: Mapping[str, Any], names: Sequence[str], seeds: Sequence[int]) -> int:
        """How many pictures of the same run are there already; they stay. samples: what `described` says of the run.

        Raises ValueError where samples.json is of another bundle, request, recipe, or of other targets and seeds.
        """
        if self.broken:
            raise ValueError(f"cannot read {self.folder / FILE} ({self.broken}): begin anew, or give another folder")
        if self.before is None:
            return 0
        for name in ("bundle", "condition", "recipe"):
            if self.before.get(name) != json.loads(json.dumps(samples[name])):
                raise ValueError(f"{self.folder / FILE} is of another {name}, expected that of this run: give another folder")
        kind = _kind(samples)
        rows = [row for row in self.before.get("samples", []) if isinstance(row, dict)]
        there = [(row.get(kind), row.get("seed")) for row in rows]
        if there != list(zip(names, seeds, strict=True))[: len(there)]:
            raise ValueError(
                f"{self.folder / FILE} is of other targets or seeds, expected those of this run: give another folder"
            )
        missing = [index for index, row in enumerate(rows) if not (self.folder / str(row.get("file"))).is_file()]
        self.rows = rows[: missing[0] if missing else len(rows)]
        return len(self.rows)

    def add(self, samples: Samples) -> None:
        """Writes the pictures of a batch, then samples.json with all that were added."""
        if not self.rows:
            (self.folder / FILE).unlink(missing_ok=True)  # pictures that it describes may be replaced now
        about = described(samples)
        kind, first = _kind(about), len(self.rows)
        names = samples.names or ("",) * len(samples)
        for place, (name, seed) in enumerate(zip(names, samples.seeds, strict=True)):
            file = f"{first + place:04d}_{_in_file_name(name)}_{seed}.png"
            images.save_image(samples.images[place], self.folder / file)
            row = {"file": file, "seed": seed, kind: name, quantity_key(samples.quantity): float(samples.log_prob[place])}
            self.rows.append(row)
        text = json.dumps({**about, "samples": self.rows}, indent=2) + "\n"
        images.write_atomically(self.folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def finish(self) -> Path:
        """Takes away pictures of a former run that samples.json no longer describes; returns samples.json."""
        kept = {row["file"] for row in self.rows}
        for row in (self.before or {}).get("samples", []):
            file = row.get("file") if isinstance(row, dict) else None
            if isinstance(file, str) and file not in kept and Path(file).name == file:
                (self.folder / file).unlink(missing_ok=True)
        return self.folder / FILE


def read_rows(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of "samples" in the samples.json of a folder. Raises ValueError where it cannot be read."""
    found, broken = _read(Path(folder) / FILE)
    if found is None:
        raise ValueError(f"cannot read {Path(folder) / FILE} ({broken or 'it is not there'}): sample into the folder first")
    return found["samples"]


def described(samples: Samples) -> dict[str, Any]:
    """What is said of samples beside the pictures: version, bundle, request, recipe, and how they ran."""
    condition, recipe, run = dict(samples.about) or None, samples.recipe.to_json(), dict(samples.run)
    return {"ppgn": __version__, "bundle": samples.bundle, "condition": condition, "recipe": recipe, "run": run}


def quantity_key(quantity: str) -> str:
    """The key of a picture's value in JSON: "log_probability", "activation", ..."""
    return quantity.replace("-", "_")


def _kind(about: Mapping[str, Any]) -> str:
    return str((about["condition"] or {}).get("kind", "condition"))


def _in_file_name(name: str) -> str:
    """A name of any script without what file systems refuse, and short enough for all of them."""
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")


def _read(file: Path) -> tuple[dict[str, Any] | None, str]:
    """(samples.json of a former run, or None; why it cannot be read, or nothing)."""
    if not file.is_file():
        return None, ""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        return None, one_line(fault)
    if not isinstance(found, dict) or not isinstance(found.get("samples"), list):
        return None, "it describes no samples"
    return found, ""
