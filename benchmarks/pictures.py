"""The pictures of README and docs, none selected: a grid of sixteen samples for each class, and a grid with four of each.

    python benchmarks/pictures.py
    python benchmarks/pictures.py --bundle natural128

A bundle of more than MANY classes gets a sheet for each group of classes instead, with seeds 0 and 1 of each class, and a grid of
every tenth class with seeds 0 to 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

import ppgn
from ppgn import images
from ppgn.conditions import split_group

MANY = 30
COLUMNS = 18
"""Of a sheet: nine classes a row."""


def sheets(bundle: ppgn.Bundle, docs: Path) -> None:
    """A sheet for each group of classes, `docs/<bundle>_<group>.jpg`, and every tenth class, `docs/<bundle>.jpg`."""
    sheet(bundle, range(5, len(bundle.classes), 10), 4, 12, docs / f"{bundle.name}.jpg")
    for group, numbers in bundle.class_groups.items():
        sheet(bundle, range(*numbers), 2, COLUMNS, docs / f"{bundle.name}_{group}.jpg")


def sheet(bundle: ppgn.Bundle, classes: range, count: int, columns: int, file: Path) -> None:
    """`count` samples of each class, seeds from 0, with its name below each."""
    tiles, labels = [], []
    for index in tqdm(classes, file.stem):
        tiles.append(ppgn.sample(bundle, index, count=count, seed=0).images)
        labels += [split_group(bundle.classes[index], bundle.groups)[1]] * count
    images.save_image(images.grid(torch.cat(tiles), labels, columns=columns, scale=1), file)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--docs", type=Path, default=Path("docs"), help="folder for the grids (default: docs)")
    given = options.parse_args()
    bundle = ppgn.load(given.bundle)
    if len(bundle.classes) > MANY:
        sheets(bundle, given.docs)
        return
    folder = images.make_folder(given.docs / bundle.name)
    firsts = []
    for index, name in enumerate(tqdm(bundle.classes, "classes")):
        samples = ppgn.sample(bundle, index, count=16, seed=0)
        tiles = images.grid(samples.images, columns=8, scale=2)
        images.save_image(tiles, folder / f"{name.replace(' ', '_')}.jpg")
        firsts.append(samples.images[:4])
    by_row = torch.stack(firsts, 1).flatten(0, 1)  # a column for each class
    tiles = images.grid(by_row, list(bundle.classes) * 4, columns=len(firsts), scale=2)
    images.save_image(tiles, given.docs / f"{bundle.name}.jpg")


if __name__ == "__main__":
    main()
