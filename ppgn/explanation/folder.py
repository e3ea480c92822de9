"""The folder of a report: pictures and numbers of each part, and the page that is made of them."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ppgn import __version__, images, requests
from ppgn.errors import printable
from ppgn.evaluation import json_safe
from ppgn.explanation.index import index_page
from ppgn.explanation.page import report_page
from ppgn.explanation.study import Part
from ppgn.requests import Request
from ppgn.types import Image

FILE, PAGE, INDEX = "report.json", "report.html", "index.html"
COMPARED = (
    "ppgn", "name", "network", "bundle", "weights", "pictures", "files", "second", "second_weights", "bundles", "bundles_weights",
    "options", "source",
)  # fmt: skip
"""Keys of report.json by which a resumed run knows that the report is its own."""
PICTURES = ("picture", "patch", "reconstruction", "difference")
"""Keys of a part's numbers that name pictures of its folder."""
_log = logging.getLogger("ppgn")


class ReportFolder:
    """report.json, with the numbers of all parts that are done; pictures in a folder for each part; and report.html.

    Raises ValueError where the folder holds a report of something else.
    """

    def __init__(self, folder: Path, request: Request, facts: Mapping[str, Any]) -> None:
        self.folder = images.make_folder(folder)
        source = requests.fingerprint(request, weights=True)
        about = {"name": request.names[0], "network": request.describe(), "seed": facts["options"]["seed"], "source": source}
        self.data: dict[str, Any] = {"ppgn": __version__, **about, **facts, "seconds": {}, "parts": {}}
        self.data = json.loads(json.dumps(json_safe(self.data)))
        self.data["files"] = hashlib.sha256(json.dumps(self.data["files"]).encode()).hexdigest()[:16]
        before = self._before()
        if before is not None:
            self._compare(before)
            kept = {part: made for part, made in before["parts"].items() if self._whole(part, made)}
            self.data |= {"seconds": before["seconds"], "parts": kept}

    def kept(self, part: str) -> dict[str, Any] | None:
        """The numbers of a part that is done, else None."""
        return self.data["parts"].get(part)

    def keep(self, part: str, made: Part, seconds: float) -> None:
        """Writes the pictures of a part, then report.json with its numbers and the seconds that it took."""
        place = images.make_folder(self.folder / part)
        for name, picture in made.pictures.items():
            images.save_image(picture, place / f"{name}.png")
        self.data["parts"][part] = json_safe(made.data)
        self.data["seconds"][part] = round(seconds, 1)
        self._write()

    def finish(self, order: Sequence[str]) -> None:
        """Writes the page, with all parts that are done. order: of the parts."""
        self.data["parts"] = {part: self.data["parts"][part] for part in order if part in self.data["parts"]}
        self._write()
        text = report_page(self.data, self.folder)
        _write_page(text, self.folder / PAGE)

    def synthetic_names(self, kind: str, best_first: bool = False) -> list[str]:
        """The pictures of the first source of that kind in the synthetic part, in their order or the highest response first."""
        sources = self.data["parts"].get("synthetic", {}).get("sources", [])
        rows = next((one["images"] for one in sources if one["kind"] == kind), [])
        if best_first:
            rows = sorted(rows, key=lambda row: -math.inf if row["response"] is None else row["response"], reverse=True)
        return [row["picture"] for row in rows]

    def pictures(self, part: str, names: Sequence[str], channels: int) -> Image | None:
        """Pictures of a part by name, `[picture, channel, height, width]`; None without names or where one is not there."""
        files = [self.folder / part / f"{name}.png" for name in names]
        if not files or not all(file.is_file() for file in files):
            return None
        return torch.stack([images.load_image(file, channels=channels) for file in files])

    def _write(self) -> None:
        text = json.dumps(self.data, indent=1) + "\n"
        images.write_atomically(self.folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))

    def _before(self) -> dict[str, Any] | None:
        """The report that is there, None where there is none. Raises ValueError for a file that is no report."""
        file = self.folder / FILE
        if not file.exists():
            return None
        found = _read(file)
        if found is None:
            raise ValueError(f"{file} is no report of ppgn, expected one or no such file: give another folder, or move it away")
        return found

    def _whole(self, part: str, made: Any) -> bool:
        """Whether a part holds numbers, and all its pictures are there; says where they are not."""
        if not isinstance(made, dict):
            return False
        missing = [name for name in _named(made) if not images.is_whole_picture(self.folder / part / f"{name}.png")]
        if missing:
            _log.warning(f"{self.folder / part}: {missing[0]}.png is missing or damaged: the part {part} is made anew")
        return not missing

    def _compare(self, before: Mapping[str, Any]) -> None:
        others = [key for key in COMPARED if before.get(key) != self.data[key]]
        if others:
            raise ValueError(
                f"{self.folder} holds a report of another {others[0]} ({_short(before.get(others[0]))}, now "
                f"{_short(self.data[others[0]])}), expected the same or none: give another folder, or remove it"
            )


def folders_of(names: Sequence[str]) -> list[str]:
    """The names of targets as those of folders, "blocks.6.0_17", each another one, in any case of letters."""
    found: list[str] = []
    for name in names:
        own = folder = re.sub(r"[^0-9A-Za-z.@-]+", "_", name).strip("._")[:100] or "target"
        number, taken = 2, {one.lower() for one in found}
        while folder.lower() in taken:
            folder, number = f"{own}_{number}", number + 1
        found.append(folder)
    return found


def reports_beside(root: Path, reports: Sequence[ReportFolder]) -> dict[Path, dict[str, Any]]:
    """Folder -> the data of each other report with a page, in root and the folders in it. Says which are of another version."""
    own, found = {report.folder for report in reports}, {}
    for folder in [root, *sorted(one for one in root.iterdir() if one.is_dir())]:
        file = folder / FILE
        if folder in own or not file.is_file() or not (folder / PAGE).is_file():
            continue
        data = _read(file)
        if data is None or data.get("ppgn") != __version__ or not isinstance(data.get("name"), str):
            _log.warning(printable(f"left {file} out of {INDEX}: it is no report of ppgn {__version__}"))
            continue
        found[folder] = data
    return found


def write_index(root: Path, reports: Sequence[ReportFolder], others: Mapping[Path, dict[str, Any]]) -> None:
    """Writes the page that links to all reports that have one: first those of this call, then others, those of earlier calls."""
    listed = {report.folder: report.data for report in reports if (report.folder / PAGE).is_file()}
    listed |= others
    folders = [folder.relative_to(root).as_posix() for folder in listed]
    _write_page(index_page(list(listed.values()), folders, root), root / INDEX)


def _read(file: Path) -> dict[str, Any] | None:
    """The numbers of a report, None for what is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(found, dict) and all(isinstance(found.get(key), dict) for key in ("parts", "seconds"))
    return found if whole else None


def _write_page(text: str, file: Path) -> None:
    """Names of files that are no UTF-8 stand in it as escapes."""
    images.write_atomically(file, lambda path: path.write_text(text, encoding="utf-8", errors="backslashreplace"))


def _named(value: Any) -> Iterator[str]:
    """The names of the pictures in the numbers of a part."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "maps" and isinstance(one, dict):
                yield from one.values()
            elif key in PICTURES and isinstance(one, str):
                yield one
            else:
                yield from _named(one)
    elif isinstance(value, list):
        for one in value:
            yield from _named(one)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else f"{text[:76]} ..."
