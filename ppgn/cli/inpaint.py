"""`ppgn inpaint`: the hole in a picture, filled in several ways."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from pathlib import Path

import torch
from torch import Tensor

from ppgn import __version__, bundle, images, masks, recipes
from ppgn.cli.sample import device, progress, report_stops, stops_without_warning
from ppgn.recipes.pictures import INPAINTING_START_NOISE, check_scales, inpainting_settings
from ppgn.seeds import check_seeds

HOLE = 28 / 64
"""The side of the hole by default, as a share of the picture's: the released example has 100 of 256 pixels."""
GREY = 0.5


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, writes the row of pictures and what else was asked for."""
    images.check_writable(given.out)
    for name in ("count", "batch"):
        if getattr(given, name) < 1:
            raise ValueError(f"got --{name} {getattr(given, name)}, expected at least 1: ask for one filling or more")
    _check_holes(given)
    if not 0 <= given.texture <= 1:
        raise ValueError(f"got --texture {given.texture}, expected it in [0, 1]: 1 is all of the sample's, 0 smooth colours")
    given.start_noise = INPAINTING_START_NOISE if given.start_noise is None else given.start_noise
    loaded = bundle.load_bundle(given.bundle, device(given.device))
    picture = images.load_image(given.picture, loaded.image_size, loaded.channels)
    known = _known(given, loaded.image_size)
    wanted = None if given.wanted is None else recipes.class_index(loaded.class_names, given.wanted)
    steps = inpainting_settings(loaded, steps=given.steps).steps
    check_scales(given.start_noise, given.context_scale)
    check_seeds([given.seed])
    folder = images.make_folder(given.save_images) if given.save_images else None
    filled = _filled(given, loaded, picture, known, wanted, steps)
    report_stops(filled.samples.stopped)
    fillings = filled.images if given.no_blend else filled.blended(given.texture)
    labels = [_label(filled, chain, loaded, wanted) for chain in range(given.count)]
    before = [picture, torch.where(known > 0, picture, GREY)]
    tiles = [*before, *fillings.cpu()]
    images.save_image(images.grid(tiles, ["picture", "hole", *labels], min(len(tiles), 6)), given.out)
    print(f"wrote {given.out}: {given.count} fillings of a hole of {int((known == 0).sum())} pixels in {given.picture}")
    if folder is not None:
        _save(folder, given, loaded, filled, fillings, known, wanted)
    return 0


def _filled(
    given: argparse.Namespace, loaded: bundle.Bundle, picture: Tensor, known: Tensor, wanted: int | None, steps: int
) -> recipes.Filled:
    options = {name: getattr(given, name) for name in ("count", "seed", "batch", "context_scale", "start_noise")}
    with stops_without_warning(), progress(steps * math.ceil(given.count / given.batch)) as watch:
        return recipes.in_paint(loaded, picture, known, wanted, watch=watch, steps=steps, **options)


def _check_holes(given: argparse.Namespace) -> None:
    asked = [f"--{name}" for name in ("box", "mask", "hole") if getattr(given, name) is not None]
    if len(asked) > 1:
        raise ValueError(f"got {' and '.join(asked)}, expected one of them: leave the others out")


def _known(given: argparse.Namespace, size: int) -> Tensor:
    """The mask `[1, size, size]` of the options; ValueError where it does not fit, or leaves nothing of the picture."""
    if given.box is not None:
        known = masks.box_mask(given.box, size)
    elif given.mask is not None:
        known = masks.file_mask(given.mask, size)
    else:
        known = masks.random_mask(round(HOLE * size) if given.hole is None else given.hole, size, given.seed)
    if not bool(known.any()):
        raise ValueError(f"the hole is all of the {size}x{size} pixels, expected some that are known: make it smaller")
    return known


def _label(filled: recipes.Filled, chain: int, loaded: bundle.Bundle, wanted: int | None) -> str:
    """The seed, and the probability of the class if one was asked for."""
    seed = f"seed {filled.samples.seeds[chain]}"
    if wanted is None:
        return seed
    return f"{seed}: {loaded.class_names[wanted]} {math.exp(float(filled.samples.log_prob[chain])):.2f}"


def _save(
    folder: Path,
    given: argparse.Namespace,
    loaded: bundle.Bundle,
    filled: recipes.Filled,
    fillings: Tensor,
    known: Tensor,
    wanted: int | None,
) -> None:
    """Picture, mask (white is the hole) and each filling as PNG of the bundle's size, then inpaint.json that describes them."""
    images.save_image(filled.picture, folder / "picture.png")
    images.save_image(1 - known, folder / "mask.png")
    rows = []
    for chain, seed in enumerate(filled.samples.seeds):
        file = f"filled_{seed}.png"
        images.save_image(fillings[chain], folder / file)
        rows.append({"file": file, "seed": seed})
        if wanted is not None:
            rows[-1]["log_probability"] = float(filled.samples.log_prob[chain])
    about = {
        "ppgn": __version__,
        "bundle": loaded.name,
        "picture": str(given.picture),
        "class": None if wanted is None else loaded.class_names[wanted],
        "blended": not given.no_blend,
        "texture": given.texture,
        "start_noise": given.start_noise,
        "settings": dataclasses.asdict(filled.samples.settings),
    }
    text = json.dumps({**about, "fillings": rows}, indent=2) + "\n"
    images.write_atomically(folder / "inpaint.json", lambda path: path.write_text(text))
    print(f"wrote {len(rows)} fillings, picture.png, mask.png and inpaint.json into {folder}")
