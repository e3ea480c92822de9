"""Does a filling fit? Pictures that no network was trained on, with a random hole each, filled by ppgn and by smooth colours.

    python benchmarks/inpainting.py --real imagenette64/val --json inpainting.json

`--seed` draws `--per-class` pictures of every class, and the place of a square hole in each. Error: mean absolute difference in
the hole, pixels in [0, 1]. Distances of the whole picture to the original, in the bundle's encoder: cosine distance of the pooled
last map of its trunk (frozen ImageNet features), and L2 distance of its code.

Needs opencv-python-headless, part of the extra "dev".
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image as Pillow
from runs import exit_on_mistake
from torch import Tensor, nn
from tqdm import tqdm

import ppgn
from ppgn import images, sampling
from ppgn.bundle import Bundle
from ppgn.types import Evaluation

MEASURES = ("error in the hole", "feature distance", "code distance")
OURS, WITH_CLASS, OTHER_SEEDS = "ours", "ours, true class", "ours, other seeds"
OPENCV = {"OpenCV, Telea": cv2.INPAINT_TELEA, "OpenCV, Navier-Stokes": cv2.INPAINT_NS}
RADIUS = 3
"""OpenCV's neighbourhood of a pixel to fill, in pixels."""
BATCH = 25
RELEASED: dict[str, Any] = {
    "recipe": "noiseless_joint_ppgn_h_released",
    "steps": 21,
    "step_size": (1.0, 1e-32),
    "noise_scale": 0.0,
}
"""The constants of the released example."""
SHOWN = ("mean colour", "OpenCV, Navier-Stokes", OURS, f"{OURS}, texture 1", WITH_CLASS)
"""Methods in the picture."""


def drawn_pictures(root: Path, bundle: Bundle, per_class: int, seed: int) -> tuple[Tensor, list[int]]:
    """(`per_class` pictures of each folder `root/<class>/`, drawn by the seed, `[picture, 3, height, width]`; their classes)."""
    drawn, pictures, classes = random.Random(seed), [], []
    for index, name in enumerate(bundle.classes):
        folder = root / name.replace(" ", "_")
        if not folder.is_dir():
            raise SystemExit(f"no folder {folder}: --real takes a folder with a folder of pictures for each class")
        for path in drawn.sample(sorted(folder.iterdir()), per_class):
            pictures.append(images.load_image(path, bundle.image.size, bundle.image.channels))
            classes.append(index)
    return torch.stack(pictures), classes


def mean_colour(pictures: Tensor, known: Tensor) -> Tensor:
    """The pictures with the mean of the known pixels in the hole."""
    colour = (pictures * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
    return images.composite(colour.expand_as(pictures), pictures, known)


def opencv(pictures: Tensor, known: Tensor, method: int) -> Tensor:
    """cv2.inpaint of 8-bit pictures; the known pixels stay as they are."""
    filled = []
    for picture, mask in zip(pictures, known, strict=True):
        pixels = (picture.permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)
        pixels = cv2.inpaint(np.ascontiguousarray(pixels), ((1 - mask[0]).numpy() * 255).astype(np.uint8), RADIUS, method)
        filled.append(torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1).float() / 255)
    return images.composite(torch.stack(filled), pictures, known)


@torch.no_grad()
def measured(bundle: Bundle, filled: Tensor, pictures: Tensor, known: Tensor) -> Tensor:
    """MEASURES of each filled picture, `[picture, measure]`. known: 1 where pixels are known, `[picture, 1, height, width]`."""
    hole = (1 - known).expand_as(pictures)
    error = ((filled - pictures).abs() * hole).sum((1, 2, 3)) / hole.sum((1, 2, 3))
    maps = [bundle.encoder.maps(batch)[-1].mean((2, 3)) for batch in (filled, pictures)]
    codes = [bundle.encoder(batch) for batch in (filled, pictures)]
    return torch.stack([error, 1 - nn.functional.cosine_similarity(*maps), (codes[0] - codes[1]).norm(dim=1)], 1)


def chains(
    bundle: Bundle, pictures: Tensor, known: Tensor, classes: list[int] | None = None, **changes: Any
) -> sampling.Inpainted:
    """`ppgn.in_paint` of each picture, under a progress bar. classes: of the pictures, or None to leave them out."""
    steps = changes.get("steps", sampling.inpainting_recipe(bundle).steps)
    with tqdm(total=steps * math.ceil(len(pictures) / BATCH), desc="filling", mininterval=1.0) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        return ppgn.in_paint(bundle, pictures, known, classes, batch=BATCH, watch=watch, **changes)


def fillings(bundle: Bundle, pictures: Tensor, known: Tensor, classes: list[int], noise: float) -> dict[str, Tensor]:
    """Method -> the filled pictures `[picture, 3, height, width]`."""
    fills = {"mean colour": mean_colour(pictures, known)}
    fills |= {name: opencv(pictures, known, method) for name, method in OPENCV.items()}
    fills["smooth colours alone"] = images.seamless(torch.zeros_like(pictures), pictures, known)
    fills["released constants, true class"] = chains(bundle, pictures, known, classes, **RELEASED).images
    plain = chains(bundle, pictures, known, start_noise=noise)
    fills |= {f"{OURS}, not blended": plain.images, f"{OURS}, texture 1": plain.blended(1.0), OURS: plain.blended()}
    fills[WITH_CLASS] = chains(bundle, pictures, known, classes, start_noise=noise).blended()
    fills[OTHER_SEEDS] = chains(bundle, pictures, known, start_noise=noise, seed=10_000).blended()
    return fills


def table(scores: dict[str, Tensor]) -> str:
    """A row for each method: the mean of each measure, and in brackets ours minus it with the paired standard error."""
    lines = [f"| method | {' | '.join(MEASURES)} |", f"| --- |{' --- |' * len(MEASURES)}"]
    for name, values in scores.items():
        cells = []
        for column in range(len(MEASURES)):
            less = scores[OURS][:, column] - values[:, column]
            error = float(less.std()) / len(less) ** 0.5
            digits = 2 if column == 2 else 4
            difference = "" if name == OURS else f" ({float(less.mean()):+.{digits}f} ± {error:.{digits}f})"
            cells.append(f"{float(values[:, column].mean()):.{digits}f}{difference}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def sheet(fills: dict[str, Tensor], pictures: Tensor, known: Tensor, per_class: int) -> Pillow.Image:
    """The first picture of each class in a column: original, hole, and the methods SHOWN."""
    first = slice(None, None, per_class)
    rows = {"original": pictures, "hole": images.composite(torch.full_like(pictures, 0.5), pictures, known)}
    rows |= {name: fills[name] for name in SHOWN}
    columns = len(pictures[first])
    labels = [name if column == 0 else "" for name in rows for column in range(columns)]
    return images.grid(torch.cat([row[first] for row in rows.values()]), labels, columns, scale=2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--per-class", type=int, default=5, help="pictures of each class (default: 5)")
    options.add_argument("--hole", type=int, default=28, help="side of the hole in pixels (default: 28)")
    options.add_argument("--seed", type=int, default=0, help="seed of the pictures and of the first hole; the next ones count up")
    options.add_argument("--start-noise", type=float, default=sampling.INPAINTING_START_NOISE, metavar="STD",
                         help="noise of starts, in standard deviations of real codes (default: as `ppgn inpaint`)")  # fmt: skip
    options.add_argument("--picture", type=Path, default=Path("docs/inpainting.jpg"), help="file for the comparison")
    options.add_argument("--json", type=Path, help="file for the numbers")
    given = options.parse_args()
    with exit_on_mistake():
        images.check_writable(given.picture)
        bundle = ppgn.load(given.bundle)
    pictures, classes = drawn_pictures(given.real, bundle, given.per_class, given.seed)
    places = range(given.seed, given.seed + len(pictures))
    known = torch.stack([images.random_mask(given.hole, bundle.image.size, place) for place in places])
    begun = time.perf_counter()
    fills = fillings(bundle, pictures, known, classes, given.start_noise)
    seconds = time.perf_counter() - begun
    scores = {name: measured(bundle, filled, pictures, known) for name, filled in fills.items()}
    print(table(scores))
    hole = (1 - known).expand_as(pictures)
    apart = float(((fills[OURS] - fills[OTHER_SEEDS]).abs() * hole).sum() / hole.sum())
    print(f"\n{len(pictures)} pictures, {seconds:.0f} s; two seeds differ by {apart:.4f} in the hole")
    images.save_image(sheet(fills, pictures, known, given.per_class), given.picture)
    if given.json:
        about = {"bundle": bundle.name, "recipe": sampling.inpainting_recipe(bundle).to_json()}
        about |= {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        about |= {"pictures": len(pictures), "seconds": seconds, "opencv": cv2.__version__, "seeds_apart": apart}
        means = {name: dict(zip(MEASURES, values.mean(0).tolist(), strict=True)) for name, values in scores.items()}
        each = {name: values.tolist() for name, values in scores.items()}
        given.json.write_text(json.dumps({**about, "mean": means, "each": each}, indent=1) + "\n")


if __name__ == "__main__":
    main()
