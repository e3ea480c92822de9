"""What do layers keep of a picture? Inversion of five layers by optimisation and by the generator: errors and a figure.

    python benchmarks/inversion.py --real imagenette128/val --out runs/inversion

Of `--pictures` pictures, one of each class in their order: the relative error of features and the error of pixels, medians, and a
figure of the first ones. A picture that is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import torch
from runs import exit_on_mistake
from timing import machine, table
from tqdm import tqdm

import ppgn
from ppgn import images, methods

SHOWN = 3
"""Pictures in the figure."""


def inverted(bundle: ppgn.Bundle, file: Path, place: Path, seed: int) -> list:
    """The row of a picture, from `place` where it is there."""
    if not place.with_suffix(".json").is_file():
        picture = images.load_image(file, bundle.image.size)
        found = methods.invert(bundle, picture, seed=seed)
        tiles = [tile for method in methods.INVERSIONS for tile in (picture, *_of(found, method))]
        names = [name for method in methods.INVERSIONS for name in (method, *dict.fromkeys(layer for layer, _ in found.rows))]
        images.save_image(images.grid(tiles, names, len(found.rows) // 2 + 1, scale=1), place.with_suffix(".png"))
        rows = [list(row) for row in zip(found.rows, found.feature_error, found.pixel_error, strict=True)]
        images.write_atomically(place.with_suffix(".json"), lambda path: Path(path).write_text(json.dumps(rows)))
    return json.loads(place.with_suffix(".json").read_text())


def _of(found: methods.Inverted, method: str) -> list[torch.Tensor]:
    return [image for image, (_, by) in zip(found.images, found.rows, strict=True) if by == method]


def report(rows: list[list]) -> str:
    """Medians over pictures, a row for each layer."""
    layers = list(dict.fromkeys(layer for (layer, _), _, _ in rows[0]))
    columns = ["layer", *(f"{what}, {method}" for what in ("features", "pixels") for method in methods.INVERSIONS)]
    cells = []
    for layer in layers:
        cells.append([layer])
        for column in (1, 2):
            for method in methods.INVERSIONS:
                values = [row[column] for picture in rows for row in picture if row[0] == [layer, method]]
                cells[-1].append(statistics.median(values))
    return table(columns, cells)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default=methods.BUNDLE)
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--pictures", type=int, default=10)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/inversion"), help="(default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(1)
    with exit_on_mistake():
        bundle, folder = ppgn.load(given.bundle), images.make_folder(given.out)
        by_class = [images.picture_files(place, images.picture_extensions()) for place in images.class_folders(given.real)]
        chosen = [files[number // len(by_class)] for number, files in zip(range(given.pictures), by_class * given.pictures)]  # noqa: B905
        rows = [inverted(bundle, file, folder / file.stem, given.seed) for file in tqdm(chosen, "inverting")]
    print(machine(), f"{len(rows)} pictures, seed {given.seed}", report(rows), sep="\n\n")
    sheets = [images.load_image(folder / f"{file.stem}.png") for file in chosen[:SHOWN]]
    images.save_image(images.to_pil(torch.cat(sheets, 1)), folder / "inversion.jpg")


if __name__ == "__main__":
    main()
