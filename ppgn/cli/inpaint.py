"""`ppgn inpaint`: the hole in a picture, filled in several ways."""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from ppgn import images, sampling
from ppgn.bundle import Bundle
from ppgn.cli import outputs, recipe_flags, request_flags, terminal
from ppgn.cli.values import BUNDLE
from ppgn.recipes import Recipe
from ppgn.requests import Request
from ppgn.sampling import Inpainted
from ppgn.seeds import check_seeds

EXAMPLES = """examples:
  ppgn inpaint imagenette64 photo.jpg --box 20,20,28,28 --out filled.png
  ppgn inpaint imagenette64 photo.jpg --mask mask.png --class church --count 8 --seed 1
  ppgn inpaint imagenette64 photo.jpg --hole 24 --unit trunk.12:7 --save-images fillings/
  ppgn inpaint imagenette64 photo.jpg --class church --recipe noiseless_joint_ppgn_h_released --steps 21
"""
HOLE = 28 / 64
"""The side of the hole by default, as a share of the picture's smaller side: the released example has 100 of 256 pixels."""
GREY = 0.5
COLUMNS = 6
"""Most pictures in a row."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments beside those of recipes."""
    parser.usage = "ppgn inpaint BUNDLE PICTURE [more flags]"
    parser.description = (
        "Fill a hole in a picture, which is resized and cropped to the bundle's size. Chains that begin at one code without\n"
        "noise are all alike, so each begins at the code of the masked picture plus noise of its own seed (--start-noise)."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    parser.add_argument("picture", help="picture to fill")
    hole = parser.add_argument_group("the hole, one of these", "By default a square of 28/64 of the side, where --seed draws it.")
    hole.add_argument("--box", metavar="L,T,W,H", help="left, top, width and height in pixels of the bundle's size")
    hole.add_argument("--mask", metavar="FILE", help="picture of the bundle's size, white (or transparent) where to fill")
    hole.add_argument("--hole", type=int, metavar="SIDE", help="side of a square at a place that --seed draws")
    parser.add_argument("--count", type=int, default=4, help="fillings (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first filling; the next ones follow (default: 0)")
    parser.add_argument("--start-noise", type=float, metavar="STD", default=sampling.INPAINTING_START_NOISE,
                        help="of each seed, in standard deviations of codes; 0: all alike (default: %(default)s)")  # fmt: skip
    parser.add_argument("--context-scale", type=float, metavar="SCALE", help="epsilon 4: weight of the known pixels")
    parser.add_argument("--texture", type=float, metavar="SHARE", default=sampling.INPAINTING_TEXTURE,
                        help="of the sample's texture in the hole: 1 all, 0 colours only (default: %(default)s)")  # fmt: skip
    parser.add_argument("--no-blend", action="store_true", help="leave the seam: the generator's own colours in the hole")
    parser.add_argument("--out", default="filled.png", help="picture, hole and fillings side by side (default: filled.png)")
    parser.add_argument("--save-images", metavar="DIR", help="also write each filling, the picture, the mask and inpaint.json")
    parser.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")
    outputs.add_overwrite(parser)
    request_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, writes the row of pictures and, with --save-images, each of them."""
    _check(given)
    changes = recipe_flags.changes(given)
    bundle = terminal.load(given)
    picture = images.load_image(given.picture, bundle.image.size, bundle.image.channels)
    known = _known(given, bundle.image.size)
    request = _request(given, bundle)
    recipe = changes.pop("recipe", None)
    kind = "class" if request is None else request.kind
    chosen = sampling.inpainting_recipe(bundle, recipe, kind=kind, **changes)
    widest = [
        f"seed {given.seed + given.count}" + ("" if request is None else f": {request.label(0, terminal.WIDE, chosen.measure)}")
    ]
    columns = min(given.count + 2, COLUMNS)
    images.check_writable(given.out, size=images.grid_size(given.count + 2, bundle.image.size, widest, columns))
    folder = images.make_folder(given.save_images) if given.save_images else None
    options = {name: getattr(given, name) for name in ("count", "seed", "batch", "context_scale", "start_noise")}
    quantity = "log-probability" if request is None else request.quantity(chosen.measure)
    with terminal.stops_without_warning(), terminal.progress(chosen.steps * given.count, quantity) as watch:
        filled = sampling.in_paint(bundle, picture, known, request, watch=watch, recipe=recipe, **options, **changes)
    terminal.report_stops(filled.samples.stopped)
    fillings = filled.images if given.no_blend else filled.blended(given.texture)
    labels = ["picture", "hole", *_labels(filled, request, chosen)]
    tiles = [picture, torch.where(known > 0, picture, GREY), *fillings.cpu()]
    images.save_image(images.grid(tiles, labels, columns), given.out)
    print(f"wrote {given.out}: {given.count} fillings of a hole of {int((known == 0).sum())} pixels in {given.picture}")
    if folder is not None:
        about = {name: getattr(given, name) for name in ("picture", "texture", "start_noise")}
        sampling.write_fillings(filled, folder, fillings, {**about, "blended": not given.no_blend})
        print(f"wrote {given.count} fillings, picture.png, mask.png and inpaint.json into {folder}")
    return 0


def _check(given: argparse.Namespace) -> None:
    """Raises ValueError for flags that no bundle and no picture allow."""
    images.check_writable(given.out)
    outputs.check_inputs_kept(given, given.save_images, ("picture.png", "mask.png", "filled_*.png", "inpaint.json"))
    terminal.check_counts(given, "count", "batch")
    asked = [f"--{name}" for name in ("box", "mask", "hole") if getattr(given, name) is not None]
    if len(asked) > 1:
        raise ValueError(f"got {' and '.join(asked)}, expected one of them: leave the others out")
    if not 0 <= given.texture <= 1:
        raise ValueError(f"got --texture {given.texture}, expected it in [0, 1]: 1 is all of the sample's, 0 smooth colours")
    sampling.check_scales(given.start_noise, given.context_scale)
    check_seeds([given.seed])


def _known(given: argparse.Namespace, size: tuple[int, int]) -> Tensor:
    """The mask `[1, height, width]` of the flags; ValueError where it does not fit, or leaves nothing of the picture."""
    if given.box is not None:
        known = images.box_mask(given.box, size)
    elif given.mask is not None:
        known = images.file_mask(given.mask, size)
    else:
        known = images.random_mask(round(HOLE * min(size)) if given.hole is None else given.hole, size, given.seed)
    if not bool(known.any()):
        raise ValueError(f"the hole is all of the {size[0]}x{size[1]} pixels, expected some that are known: make it smaller")
    return known


def _request(given: argparse.Namespace, bundle: Bundle) -> Request | None:
    """The request for the whole picture, with one target; None without a flag of requests."""
    if not request_flags.asks(given):
        return None
    asked = request_flags.request(given, bundle)
    if len(asked) > 1:
        raise ValueError(f"got {len(asked)} targets ({', '.join(asked.names[:5])}), expected one: fill once for each")
    return asked


def _labels(filled: Inpainted, request: Request | None, recipe: Recipe) -> list[str]:
    """The seed of each filling, and the value of its condition where there is one."""
    seeds = [f"seed {seed}" for seed in filled.samples.seeds]
    if request is None:
        return seeds
    values = filled.samples.log_prob.tolist()
    return [f"{seed}: {request.label(0, value, recipe.measure)}" for seed, value in zip(seeds, values, strict=True)]
