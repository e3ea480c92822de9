"""Real pictures shown at the end of a run, and what the evolved pictures predicted of them."""

from __future__ import annotations

import csv
import json
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
    channel, height, width]` to `[picture, ...]`. Writes real/ (the pictures, responses.csv), prediction.json, and for each unit
    prediction_NUMBER.png. Responses that are there are not asked for again. Raises ValueError as `evolve` does.
    """
    bundle, real = evolution.bundle, images.make_folder(place.folder / REAL)
    shown, files = _pictures(real, Path(folder), count, bundle.image.size, bundle.image.channels)
    responses = _responses(real, score, shown, files, evolution)
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
        name: {space: {"correlation": one.correlation, "low": one.low, "high": one.high} for space, one in of_unit.items()}
        for name, of_unit in found.items()
    }
    text = json.dumps({"pictures": len(files), "units": stated}, indent=1) + "\n"
    images.write_atomically(place.folder / "prediction.json", lambda path: path.write_text(text, encoding="utf-8"))
    return found


def _pictures(real: Path, folder: Path, count: int, size: tuple[int, int], channels: int) -> tuple[Image, list[Path]]:
    """The pictures at the size of the bundle's, and the files in which they are shown."""
    files = images.picture_files(folder, images.picture_extensions())
    if not files:
        raise ValueError(f"there are no pictures in {folder}, expected some to show: correct the folder")
    chosen = [files[index] for index in images.spread(len(files), count)]
    places = [real / f"{number:05d}.png" for number in range(len(chosen))]
    for file, place in zip(chosen, places, strict=True):
        if not place.is_file():
            images.save_image(images.load_image(file, size, channels), place)
    return torch.stack([images.load_image(place, size, channels) for place in places]), places


def _responses(real: Path, score: Score, shown: Image, files: list[Path], evolution: Evolution) -> Tensor:
    """Responses `[picture, unit]`, kept in real/responses.csv once all are there."""
    table = real / "responses.csv"
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as opened:
            rows = [[float(value) for value in row[1:]] for row in list(csv.reader(opened))[1:]]
        if len(rows) == len(files):
            return torch.tensor(rows, dtype=torch.float64)
    first = evolution.generations * evolution.shown_each  # the showings after the evolution's
    rows = [row for some in score.respond(lambda part: shown[part.start : part.stop], files, 0, first, real) for row in some]
    lines = [
        ",".join(["file", *columns_of(evolution.units)]),
        *(f"{file.name},{','.join(map(repr, row))}" for file, row in zip(files, rows, strict=True)),
    ]
    images.write_atomically(table, lambda path: path.write_text("\n".join(lines) + "\n", encoding="utf-8"))
    return torch.tensor(rows, dtype=torch.float64)
