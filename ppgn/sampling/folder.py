"""A folder of samples that is right at any moment: the pictures of a batch first, then samples.json, which describes them."""

from __future__ import annotations

import itertools
import json
import os
import re
import reprlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppgn import __version__, images
from ppgn.errors import one_line

if TYPE_CHECKING:
    from ppgn.sampling.samples import Samples

FILE = "samples.json"
COMPARED = {
    "bundle": "another bundle", "weights": "other weights of the bundle", "condition": "another condition",
    "recipe": "another recipe", "source": "other code or weights of the condition, its network or the recipe",
}  # fmt: skip
"""Key of samples.json -> what is said where a run that is to go on has another value."""
LONGEST_NAME = 120
"""Bytes of a name in a file name; file systems take 255 in all, encrypted ones 143."""


class SampleFolder:
    """Where samples are written, batch by batch, by one process at a time (`opened`).

    samples.json has "ppgn" (the version), "bundle", "condition" (the request), "recipe", "run" (batch, device, threads, ...), and
    under "samples" for each picture its "file", "seed", the name of its target under the kind of the request ("class", "unit",
    ...), and its "log_probability" in nats, or its "activation", "logit" or "value" where it is no log-probability. "weights" and
    "source" are fingerprints of the bundle and of the request (`Samples.origin`). It is written anew after each batch, so a
    killed run leaves what is described; that of a former run stays until the first batch is whole. Until the run is finished,
    "former" lists pictures of former runs that are still to go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before, broken = _read(folder / FILE)
        if broken:
            raise ValueError(
                f"{folder / FILE} was not written by ppgn ({broken}), expected no such file or that of former samples: give "
                f"another folder, or move it away"
            )
        self.rows: list[dict[str, Any]] = []
        self.about = {name: one for name, one in (self.before or {}).items() if name not in ("samples", "former")}

    @classmethod
    @contextmanager
    def opened(cls, folder: str | Path) -> Iterator[SampleFolder]:
        """The folder, made where it is missing. Raises ValueError where it cannot be written, where another run writes it, and
        for a samples.json that is not ppgn's."""
        place = images.make_folder(folder)
        with images.alone_in(place):
            yield cls(place)

    @property
    def batch(self) -> int | None:
        """How many chains of the former run ran at once; None where samples.json does not say."""
        run = (self.before or {}).get("run")
        found = run.get("batch") if isinstance(run, dict) else None
        return found if isinstance(found, int) and found >= 1 else None

    def resume(self, samples: Mapping[str, Any], names: Sequence[str], seeds: Sequence[int]) -> int:
        """How many pictures of the same run are there already, all before the first that is missing or broken; they stay.

        samples: what `described` says of the run. Raises ValueError where samples.json is of another bundle, request, recipe, of
        other weights or code (`Samples.origin`), or of other targets and seeds.
        """
        if self.before is None:
            return 0
        self._compare(samples, ("bundle", "weights", "condition", "recipe"))
        kind = _kind(samples)
        rows = self.before["samples"]
        there = [(row.get(kind), row.get("seed")) for row in rows]
        if there != list(zip(names, seeds, strict=True))[: len(there)]:
            fewer = f", {len(there)} of them" if len(there) > len(names) else ""
            raise ValueError(
                f"{self.folder / FILE} is of other targets or seeds{fewer}, expected those of this run: give another folder"
            )
        self._compare(samples, ("source",))  # after the targets, of which the first counts in it
        whole = (images.is_whole_picture(self.folder / row["file"]) for row in rows)
        self.rows = [row for row, _ in zip(rows, itertools.takewhile(bool, whole), strict=False)]
        return len(self.rows)

    def _differing(self, name: str, now: Any) -> str:
        """The settings that differ, as "steps 60 there, 50 here"; nothing for values that are no objects."""
        before = (self.before or {}).get(name)
        if not (isinstance(before, dict) and isinstance(now, dict)):
            return ""
        pairs = [(key, before.get(key), now.get(key)) for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
        said = [f"{key} {reprlib.repr(one)} there, {reprlib.repr(other)} here" for key, one, other in pairs]
        return f" ({'; '.join(said)})"

    def _compare(self, samples: Mapping[str, Any], names: Sequence[str]) -> None:
        for name in names:
            now = json.loads(json.dumps(samples.get(name)))
            if (self.before or {}).get(name) != now:
                raise ValueError(
                    f"{self.folder / FILE} is of {COMPARED[name]}{self._differing(name, now)}, expected that of this run: give "
                    f"the same settings, or another folder"
                )

    def add(self, samples: Samples) -> None:
        """Writes the pictures of a batch and samples.json with all that were added; none of them where one cannot be written."""
        self.about = described(samples)
        kind, first = _kind(self.about), len(self.rows)
        names = samples.names or ("",) * len(samples)
        rows = list(self.rows)
        writers: dict[Path, Callable[[Path], object]] = {}
        for place, (name, seed) in enumerate(zip(names, samples.seeds, strict=True)):
            file = f"{first + place:04d}_{_in_file_name(name)}_{seed}.png"
            writers[self.folder / file] = images.to_pil(samples.images[place]).save
            value = float(samples.log_prob[place])
            rows.append({"file": file, "seed": seed, kind: name, quantity_key(samples.quantity): value})
        text = self._text(rows, self._former(rows))

        def forget() -> None:  # what a former samples.json describes may be replaced from now on
            former = sorted({*self._former(()), *(path.name for path in writers)} - {FILE})
            images.write_atomically(self.folder / FILE, lambda path: path.write_text(self._text((), former), encoding="utf-8"))

        writers[self.folder / FILE] = lambda path: path.write_text(text, encoding="utf-8")
        images.write_together(writers, None if self.rows or self.before is None else forget)
        self.rows = rows

    def _text(self, rows: Sequence[Mapping[str, Any]], former: Sequence[str]) -> str:
        return json.dumps({**self.about, "samples": rows, **({"former": former} if former else {})}, indent=2) + "\n"

    def _former(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """The pictures of former runs that the rows do not describe."""
        before = self.before or {"samples": []}
        files = {*before.get("former", []), *(row["file"] for row in before["samples"])} - {row["file"] for row in rows}
        return sorted(file for file in files if Path(file).name == file)

    def finish(self) -> Path:
        """Takes away pictures of former runs that samples.json no longer describes; returns samples.json."""
        if former := self._former(self.rows):
            for file in former:
                if (self.folder / file).is_file():
                    (self.folder / file).unlink()
            text = self._text(self.rows, ())
            images.write_atomically(self.folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))
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
    about = {"ppgn": __version__, "bundle": samples.bundle, "condition": condition, "recipe": recipe, "run": run}
    return about | dict(samples.origin)


def quantity_key(quantity: str) -> str:
    """The key of a picture's value in JSON: "log_probability", "activation", ..."""
    return quantity.replace("-", "_")


def _kind(about: Mapping[str, Any]) -> str:
    return str((about["condition"] or {}).get("kind", "condition"))


def _in_file_name(name: str) -> str:
    """A name of any script without what file systems refuse, and short enough for all of them; where the system's encoding of
    file names lacks a letter, the letters of ASCII alone."""
    plain = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", name))
    try:
        os.fsencode(plain)
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore")


def _read(file: Path) -> tuple[dict[str, Any] | None, str]:
    """(samples.json of a former run, or None; why it is none, or nothing)."""
    if not file.exists():
        return None, ""
    try:
        images.check_regular(file)
        found = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as fault:
        return None, one_line(fault)
    rows = found.get("samples") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("file"), str) for row in rows):
        return None, "it describes no samples"
    if "recipe" not in found and "settings" not in found:  # what an older ppgn wrote
        return None, "it has no recipe"
    former = found.get("former", [])
    if not isinstance(former, list) or not all(isinstance(file, str) for file in former):
        return None, "former is no list of files"
    return found, ""
