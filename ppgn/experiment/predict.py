"""Real pictures shown at the end of a run, and what the evolved pictures predicted of them."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ppgn import images
from ppgn.experiment.evolution import Evolution
from ppgn.experiment.folder import RunFolder
from ppgn.experiment.prediction import Prediction, predicted, prediction_figure
from ppgn.experiment.run import result_of
from ppgn.experiment.scores import Score
from ppgn.experiment.tables import columns_of
from ppgn.starts import from_image
from ppgn.types import Image

REAL = "real"
"""The folder in a run for real pictures, as they are shown, and their responses."""


def predict(
    place: RunFolder,
    evolution: Evolution,
    score: Score,
    folder: str | Path,
    count: int = 500,
    features: Mapping[str, Callable[[Image], Tensor]] | None = None,
) -> dict[str, dict[str, Prediction]]:
    """Shows up to `count` real pictures of a folder, spread evenly over their names, and ranks them by their distance to the best
    picture of each unit: unit -> space -> prediction.

    Spaces are "code" (of the bundle's encoder), else "pixels", and those of `features`, name -> function of images `[picture,
    channel, height, width]` to `[picture, ...]`. Writes real/DIGEST/ (the pictures, by a digest of their files, responses.csv),
    prediction.json, and for each unit prediction_NUMBER.png. Responses that are there are not asked for again. Raises ValueError
    as `evolve` does.
    """
    bundle = evolution.bundle
    shown, files = _pictures(place.folder / REAL, Path(folder), count, bundle.image.size, bundle.image.channels)
    responses = _responses(score, shown, files, evolution)
    spaces = dict(features or {})
    if bundle.encoder is None:
        spaces = {"pixels": lambda image: image, **spaces}
    else:
        spaces = {"code": lambda image: from_image(bundle.encoder, image), **spaces}
    found, best = {}, result_of(place, evolution)
    with torch.no_grad():
        placed = {name: torch.cat([space(some) for some in shown.split(50)]) for name, space in spaces.items()}
        for unit, name in enumerate(best.units):
            own = best.images[unit : unit + 1]
            found[name] = {
                space: predicted(function(own)[0], placed[space], responses[:, unit]) for space, function in spaces.items()
            }
            figure = prediction_figure(own[0], shown, responses[:, unit], found[name])
            images.save_image(figure, place.folder / f"prediction_{unit}.png")
    stated = {
        name: {
            space: {part: _plain(getattr(one, part)) for part in ("correlation", "low", "high")} for space, one in of_unit.items()
        }
        for name, of_unit in found.items()
    }
    about = {"pictures": len(files), "folder": str(folder), "shown": str(files[0].parent), "units": stated}
    text = json.dumps(about, indent=1, allow_nan=False) + "\n"
    images.write_atomically(place.folder / "prediction.json", lambda path: path.write_text(text, encoding="utf-8"))
    return found


def _plain(value: float) -> float | None:
    """The number for JSON, which has no NaN."""
    return None if math.isnan(value) else value


def _pictures(real: Path, folder: Path, count: int, size: tuple[int, int], channels: int) -> tuple[Image, list[Path]]:
    """The pictures at the size of the bundle's, and the files in which they are shown."""
    files = images.pictures_in(folder, "to show")
    chosen = [files[index] for index in images.spread(len(files), count)]
    digest = hashlib.sha256(repr((size, channels)).encode())
    for file in chosen:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    own = images.make_folder(images.make_folder(real) / digest.hexdigest()[:12])
    places = [own / f"{number:05d}.png" for number in range(len(chosen))]
    for file, place in zip(chosen, places, strict=True):
        if not place.is_file():
            images.save_image(images.load_image(file, size, channels), place)
    return torch.stack([images.load_image(place, size, channels) for place in places]), places


def _responses(score: Score, shown: Image, files: list[Path], evolution: Evolution) -> Tensor:
    """Responses `[picture, unit]`, kept in responses.csv beside the pictures as they come."""
    own, columns = files[0].parent, ["file", *columns_of(evolution.units)]
    table, rows = own / "responses.csv", []
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as opened:
            rows = [[float(value) for value in row[1:]] for row in list(csv.reader(opened))[1:]]
    first = evolution.generations * evolution.shown_each  # the showings after the evolution's
    if len(rows) < len(files):
        for new in score.respond(lambda part: shown[part.start : part.stop], files, len(rows), first, own):
            rows += new
            named = zip((file.name for file in files), rows, strict=False)
            lines = [",".join(columns), *(f"{name},{','.join(map(repr, row))}" for name, row in named)]
            images.write_atomically(table, lambda path, lines=lines: path.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    responses = torch.tensor(rows, dtype=torch.float64)
    return responses.where(responses.isfinite(), torch.nan)
