"""Are facets more different than random starts at equal activation? Classes of Imagenette through the four stages of 2016.

    python benchmarks/multifaceted.py --real imagenette128/train --out runs/multifaceted

EfficientNet-Lite0 at 128 px is climbed, from the mean pictures of the facets and from as many random starts (grey with noise, as
in the released script). While they run, pictures are kept EVERY steps: the class's logit, and how different the pictures of a
class are (1 - cosine) by the pooled features of EfficientNet-Lite2, which takes no other part. Prints diversity at the highest
mean logit that both reach; draws a grid for each class and the figure. A class that is done is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lite import lite0
from natural_judges import Lite
from PIL import Image
from runs import exit_on_mistake
from timing import machine, table
from tqdm import tqdm

import ppgn
from ppgn import images, methods
from ppgn.evaluation import feature_diversity
from ppgn.experiment import line_plot
from ppgn.loaders import lite_file
from ppgn.probe import Preprocessed
from ppgn.seeds import Stream, normal
from ppgn.types import Evaluation

CLASSES = {"tench": 0, "English_springer": 217, "church": 497, "garbage_truck": 569, "parachute": 701}
"""Folder -> class of ImageNet."""
SIDE, CLUSTERS, EVERY = 128, 6, 30
GREY, NOISE = 175 / 255, 8 / 255
"""Of random starts, as in the released script."""
SCALE, GAP = 0.75, 12
"""Of the grids on the sheet of all classes, and the pixels between them."""
LEVELS = 12
"""Points of the figure."""


def courses(folder: Path, number: int, place: Path, judge: Lite, seed: int) -> dict[str, list[list[float]]]:
    """(logit, diversity) along the facets and along random starts, from `place` where they are there."""
    file = place.with_suffix(".json")
    if not file.is_file():
        seen, request = _network(), f"classifier:{number}"
        found: dict[str, list[list[float]]] = {"facets": [], "random starts": []}
        many = {"features": "conv_head", "clusters": CLUSTERS, "seed": seed}
        faceted = methods.multifaceted(seen, request, folder, watch=_kept(found["facets"], seen, number, judge), **many)
        drawn = normal(range(seed, seed + CLUSTERS), 0, (3, SIDE, SIDE), stream=Stream.START, dtype=torch.float32)
        watch = _kept(found["random starts"], seen, number, judge)
        units = ppgn.unit(seen, request).each(CLUSTERS)
        others, _ = methods.in_four_stages(GREY + NOISE * drawn, units, SIDE, range(seed, seed + CLUSTERS), watch=watch)
        starts = images.resize(faceted.starts, faceted.images.shape[-1])
        tiles, names = [*starts, *faceted.images, *others], ["mean of 15", "facet", "random start"]
        images.save_image(images.grid(tiles, [names[row // CLUSTERS] for row in range(len(tiles))], CLUSTERS, scale=1),
                          place.with_suffix(".jpg"))  # fmt: skip
        images.write_atomically(file, lambda path: path.write_text(json.dumps(found)))
    return json.loads(file.read_text())


def _network() -> Preprocessed:
    whole = lite0()
    return Preprocessed(whole.network, SIDE, whole.mean, whole.std)


def _kept(rows: list[list[float]], seen: Preprocessed, number: int, judge: Lite) -> Callable[[int, Evaluation], None]:
    """Appends (mean logit, diversity) of all pictures every EVERY steps and at the end of a stage."""

    def watch(step: int, evaluation: Evaluation) -> None:
        if step % EVERY == 0 or step == 1:
            with torch.no_grad():
                logit = seen(evaluation.image)[:, number].mean()
                features = judge(evaluation.image)[1]
            rows.append([float(logit), feature_diversity(features, torch.zeros(len(features)))])

    return watch


def at_level(rows: list[list[float]], level: float) -> float:
    """Diversity where the mean logit first reaches a level, linear between the points; NaN where it never does."""
    for (before, first), (after, second) in zip(rows, rows[1:], strict=False):
        if before < level <= after:
            return first + (second - first) * (level - before) / (after - before)
    return float("nan")


def report(found: dict[str, dict[str, Any]]) -> str:
    """Diversity at the highest level that both reach, a row for each class."""
    cells = []
    for name, course in found.items():
        level = min(max(logit for logit, _ in rows) for rows in course.values())
        cells.append([name.replace("_", " "), level, *(at_level(rows, level - 1e-9) for rows in course.values())])
    cells.append(["mean", *np.mean([row[1:] for row in cells], 0).tolist()])
    return table(["class", "logit", "diversity, facets", "diversity, random starts"], cells)


def figure(found: dict[str, dict[str, Any]]) -> Any:
    """Mean diversity of the classes against the share of the way from the first level that all reach to the last."""
    lines: dict[str, list[float]] = {}
    for kind in ("facets", "random starts"):
        lines[kind] = []
        for share in np.linspace(0, 1, LEVELS):
            values = []
            for course in found.values():
                low = max(rows[0][0] for rows in course.values())
                high = min(max(logit for logit, _ in rows) for rows in course.values())
                values.append(at_level(course[kind], low + 1e-6 + share * (high - low - 2e-6)))
            lines[kind].append(float(np.nanmean(values)))
    return line_plot(lines, "activation, from the start to the highest that both reach", "diversity (EfficientNet-Lite2)")


def sheet(files: Sequence[Path]) -> Image.Image:
    """The grids of all classes, two in a row, at SCALE of their size."""
    grids = [Image.open(file).convert("RGB") for file in files]
    width, height = (round(side * SCALE) for side in grids[0].size)
    canvas = Image.new("RGB", (2 * width + GAP, -(-len(grids) // 2) * (height + GAP) - GAP), "white")
    for place, grid in enumerate(grids):
        corner = (place % 2 * (width + GAP), place // 2 * (height + GAP))
        canvas.paste(grid.resize((width, height), images.RESAMPLERS["lanczos"]), corner)
    return canvas


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--classes", nargs="+", choices=list(CLASSES), default=list(CLASSES), help="(default: all)")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/multifaceted"), help="(default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(1)
    with exit_on_mistake():
        folder, judge = images.make_folder(given.out), Lite(lite_file(2), 2)
        found = {name: courses(given.real / name, CLASSES[name], folder / name, judge, given.seed)
                 for name in tqdm(given.classes, "classes")}  # fmt: skip
    print(machine(), f"seed {given.seed}", report(found), sep="\n\n")
    images.save_image(figure(found), folder / "multifaceted.png")
    images.save_image(sheet([folder / f"{name}.jpg" for name in found]), folder / "facets.jpg")


if __name__ == "__main__":
    main()
