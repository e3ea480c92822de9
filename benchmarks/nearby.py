"""Does a small change of a real picture double, or halve, a unit's response? The table and the figure of docs/explain.md.

    python benchmarks/nearby.py --real imagenette128/val --unit trunk.block10:17 --network torchvision:squeezenet1_0 \\
        --weights squeezenet1_0_deepcompression_fp16.pth --size 227 --mean 0.40784,0.45882,0.48235 --std 0.0039216 --bgr \\
        --out docs/nearby.jpg

Twenty real pictures with responses from the median to the 95th percentile, changed as `ppgn explain` changes them. The unit is
one of the bundle's encoder; the network is the second one, which measures distances and takes no part in the changes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plugged import add_input, plugged
from runs import exit_on_mistake
from timing import machine, table
from tqdm import tqdm

import ppgn
from ppgn import images, recipes, requests
from ppgn.explanation import PARTS, ExplainOptions, Part, Study, load_pictures, second_network, target_of
from ppgn.probe import Preprocessed

DIRECTIONS = ("up", "down")
AT_ONCE = 16
DRAWS = 1000
"""Resamplings of the pictures for an interval of 95 %."""
SHOWN = 8
"""Pictures of the figure, evenly spread over those that were changed."""


def study_of(given: argparse.Namespace) -> Study:
    """The responses, codes and second network that changes need."""
    bundle = ppgn.load(given.bundle)
    request = requests.network_units(bundle, requests.Plugged(), given.unit)
    options = ExplainOptions(nearby=given.count, nearby_steps=given.steps, pictures=given.pictures, seed=given.seed)
    pictures = load_pictures(given.real, bundle.image, options.pictures)
    recipe = recipes.recipe_for(bundle, "plugged", precision="float32")
    setup = recipes.prepare(bundle, recipe)
    network = request.network if isinstance(request.network, Preprocessed) else None
    target = target_of(request, network, pictures.images([0]), setup.passes)
    with torch.no_grad():
        some = tqdm(pictures.images().split(AT_ONCE), "responses and codes")
        found = [(target.measured(image), bundle.encoder(image)) for image in some]
    responses, codes = (torch.cat(values) for values in zip(*found, strict=True))
    second = second_network(given.network, plugged(given), bundle.image)
    return Study(bundle, target, pictures, responses, codes, second, {}, options)


def interval(values: Sequence[float], seed: int) -> str:
    """The mean and its 95 % interval by bootstrap."""
    random = np.random.default_rng(seed)
    draws = np.asarray(values)[random.integers(0, len(values), (DRAWS, len(values)))].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{np.mean(values):.3g} ({low:.3g} to {high:.3g})"


def report(data: dict[str, Any], std: float, seed: int) -> str:
    """A row for up and for down, with means over all pictures, and one for pairs of pictures of one class and of any."""
    columns = ["", "reached", "feature distance", "code distance", "change of the response in std", "steps"]
    cells: list[list[Any]] = []
    for direction, name in zip(DIRECTIONS, ("doubled", "halved"), strict=True):
        rows = [row[direction] for row in data["pictures"]]
        changes = [abs(row[direction]["response"] - row["start"]) / std for row in data["pictures"]]
        above = [row[direction]["reached"] for row in data["pictures"] if row["start"] > 0]
        share = f"{sum(row['reached'] for row in rows)} of {len(rows)} ({sum(above)} of the {len(above)} that start above 0)"
        distances = [interval([row[key] for row in rows], seed) for key in ("feature_distance", "code_distance")]
        cells.append([name, share, *distances, float(np.mean(changes)), float(np.mean([row["steps"] for row in rows]))])
    for key, name in (("same_class", "pairs of one class"), ("any_class", "any pairs")):
        cells.append(
            [f"{data[key]['pairs']} {name}", None, data[key]["feature_distance"], data[key]["code_distance"], None, None]
        )
    return table(columns, cells)


def figure(part: Part, file: Path) -> None:
    """Rows: picture, reconstruction, down, up, and the difference maps of both."""
    rows = part.data["pictures"]
    rows = [rows[number] for number in images.spread(len(rows), SHOWN)]
    tiles, labels = [], []
    for what, key in (("picture", "response"), ("reconstruction", "start")):
        tiles += [part.pictures[row[what]] for row in rows]
        labels += [f"{what} {row[key]:.2f}" for row in rows]
    for what in ("picture", "difference"):
        for direction in reversed(DIRECTIONS):
            tiles += [part.pictures[row[direction][what]] for row in rows]
            shown = [f"{direction} {row[direction]['response']:.2f}" for row in rows]
            labels += shown if what == "picture" else [f"{direction}, difference"] * len(rows)
    colour = [images.as_picture(tile.convert("RGB"), 3) for tile in tiles]
    images.save_image(images.grid(colour, labels, len(rows), scale=1), file)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="natural128")
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--unit", default="trunk.block10:17", help="of the bundle's encoder (default: %(default)s)")
    options.add_argument("--network", default="torchvision:squeezenet1_0", help="the second network (default: %(default)s)")
    add_input(options)
    options.add_argument("--pictures", type=int, default=1000, help="real pictures that are looked at (default: %(default)s)")
    options.add_argument("--count", type=int, default=20, help="pictures that are changed (default: %(default)s)")
    options.add_argument("--steps", type=int, default=24, help="steps of a chain (default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the pairs and of the intervals (default: %(default)s)")
    options.add_argument("--out", type=Path, default=Path("docs/nearby.jpg"), help="(default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(1)
    with exit_on_mistake():
        study = study_of(given)
        begun = time.process_time()
        with tqdm(total=PARTS["nearby"].passes(study), desc="changes") as bar:
            part: Part = PARTS["nearby"].nearby(study, lambda done: bar.update(done) and None)
    print(machine(), f"{given.unit}, seed {given.seed}, {time.process_time() - begun:.0f} s of one core", sep="\n")
    print(report(part.data, study.std, given.seed), part.data["rule"], f"gain {part.data['gain']:.2f}", sep="\n\n")
    figure(part, given.out)


if __name__ == "__main__":
    main()
