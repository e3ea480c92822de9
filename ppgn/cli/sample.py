"""`ppgn sample`: chains of any request, their pictures as a grid and as files."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from ppgn import evaluation, images, recipes, sampling
from ppgn.bundle import Bundle
from ppgn.cli import outputs, processes, recipe_flags, request_flags, terminal
from ppgn.cli.values import BUNDLE
from ppgn.requests import Request
from ppgn.seeds import check_seeds
from ppgn.types import Evaluation

EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --class "golf ball" parachute --count 8 --steps 200 --seed 0 --out two.png
  ppgn sample imagenette64 --class all --count 4 --save-images samples/ --device cuda
  ppgn sample imagenette64 --class church --report church.html
  ppgn sample imagenette64 --class church --count 10000 --save-images many/ --resume
  ppgn sample imagenette64 --class all --count 5000 --save-images many/ --devices 8
  torchrun --nnodes 2 --nproc-per-node 8 -m ppgn sample imagenette64 --class all --count 5000 --save-images many/
  ppgn sample imagenette64 --unit trunk.12:7 --sampler released --step-size 0.3:0.02 --prior-scale 0.001
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --unit layer4.1.conv2:17
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --class "tabby"
  ppgn sample imagenette64 --class church "golf ball" --weight 1 0.5 --out between.png
  ppgn sample imagenette64 --condition my_module:my_function --sampler released --step-size 0.3
  ppgn sample imagenette64 --class church --sampler my_module:MyRule
  ppgn sample imagenette64 --class church --recipe dgn_am --out dgn_am.png
  ppgn sample my_module:my_bundle --condition my_module:my_function --prior none
  ppgn sample --sampler langevin --help        the flags of that rule alone
"""
COLUMNS = 16
"""Most pictures of a target that fill a row of the grid alone."""
PICTURES = ("[0-9][0-9][0-9][0-9]*_*_*.png",)
"""What the names of the files in --save-images are like, beside samples.json."""
MOST_SHOWN = 400
"""Pictures in the grid, evenly spread where there are more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments beside those of recipes."""
    parser.usage = "ppgn sample BUNDLE --class CLASS [more flags]"
    parser.description = "Pictures of a class, of a unit of any network, of a sentence, or of your own condition."
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    parser.add_argument("--count", type=int, default=16, help="pictures of each class or unit (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    parser.add_argument("--out", default="samples.png", help="grid to write (default: samples.png)")
    parser.add_argument(
        "--save-images", metavar="DIR", help="also write each picture into DIR, batch by batch, with samples.json"
    )
    parser.add_argument(
        "--report", metavar="PAGE", help="also write a page, one HTML file: pictures, the film of the first batch, curves, all "
        "settings and this command",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="keep what the same command has written into DIR, and go on")
    parser.add_argument("--batch", type=int, help="chains that run at once (default: 16, or 64 on an accelerator, or what fits)")
    processes.add_devices(parser)
    outputs.add_overwrite(parser)
    request_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, writes each picture with --save-images, and the grid."""
    _check(given)
    changes = recipe_flags.changes(given)
    several = processes.several(given)
    processes.place(given)
    bundle = terminal.load(given)
    asked = request_flags.request(given, bundle)
    wanted = asked.each(given.count)
    recipe = recipes.recipe_for(bundle, wanted.kind, changes.pop("recipe", None), **changes)
    shown = images.spread(len(wanted), MOST_SHOWN)
    columns = given.count if len(asked) > 1 and 1 < given.count <= COLUMNS and len(shown) == len(wanted) else None
    widest = [asked.label(target, terminal.WIDE, recipe.measure) for target in range(len(asked))]
    images.check_writable(given.out, size=images.grid_size(len(shown), bundle.image.size, widest, columns))
    seeds = [given.seed + chain for _ in range(len(asked)) for chain in range(given.count)]
    options: dict[str, Any] = {"count": len(wanted), "seed": seeds, "batch": recipe_flags.batch(given), "recipe": recipe}
    if several and not processes.share(given, bundle, wanted, options):
        return 0
    course = None if given.report is None else evaluation.Course(recipe.steps)
    with (
        terminal.stops_without_warning(),
        terminal.progress(recipe.steps * len(wanted), wanted.quantity(recipe.measure)) as bar,
    ):
        watch = bar if course is None else _both(bar, course)
        if several:
            pictures, values, about = *_read(given, bundle, wanted, shown, recipe), {}
        elif given.save_images:
            pictures, values, about = _into_folder(given, bundle, wanted, shown, watch=watch, **options)
        else:
            samples = sampling.sample(bundle, wanted, watch=watch, **options)
            terminal.report_stops(samples.stopped)
            pictures, values, about = samples.images[shown], samples.log_prob.tolist(), _about(samples)
    labels = [wanted.label(chain, values[chain], recipe.measure) for chain in shown]
    grid = images.grid(pictures, labels, columns)
    images.save_image(grid, given.out)
    of = f"{len(shown)} of {len(wanted)}" if len(shown) < len(wanted) else f"{len(wanted)}"
    quantity = wanted.quantity(recipe.measure)
    print(f"wrote {given.out}: {of} pictures, mean {quantity} {sum(values) / len(values):.3f}")
    if course is not None and given.report is not None:
        rows = [{"name": wanted.names[chain], "seed": seeds[chain], quantity: values[chain]} for chain in shown]
        title = f"{', '.join(dict.fromkeys(wanted.names))} by {bundle.name}"
        command = shlex.join(["ppgn", *given.words])
        page = evaluation.sample_page(
            grid, rows, course, title=shorten(title, 100), quantity=quantity, settings=about, command=command
        )
        images.write_atomically(given.report, lambda file: file.write_text(page, encoding="utf-8"))
        print(f"wrote {given.report}")
    return 0


def _both(first: sampling.OnStep, second: sampling.OnStep) -> sampling.OnStep:
    """Two watchers as one."""

    def watch(step: int, seen: Evaluation) -> None:
        first(step, seen)
        second(step, seen)

    return watch


def _about(samples: sampling.Samples) -> dict[str, Any]:
    """What made the samples, for the page."""
    return {"recipe": samples.recipe.to_json(), "request": dict(samples.about), "environment": dict(samples.run)}


def _check(given: argparse.Namespace) -> None:
    """Raises ValueError for flags that no bundle allows, and for outputs that cannot be written."""
    images.check_writable(given.out)
    if given.report is not None:
        images.check_writable(given.report, (".html", ".htm"))
    outputs.check_inputs_kept(given, given.save_images, (*PICTURES, *(() if given.resume else (sampling.FILE,))))
    _check_earlier(given)
    terminal.check_counts(given, "count", "batch")
    check_seeds([given.seed])
    if given.resume and not given.save_images:
        raise ValueError("got --resume without --save-images, expected both: name the folder that the pictures are in")


def _check_earlier(given: argparse.Namespace) -> None:
    """Raises ValueError where pictures of an earlier run would go, without --resume or --overwrite."""
    file = Path(given.save_images or "") / sampling.FILE
    if given.save_images and not (given.resume or given.overwrite) and file.is_file():
        raise ValueError(
            f"{given.save_images} holds the pictures of an earlier run, which would be replaced: add --resume to go on with it, "
            f"--overwrite to begin anew, or give another folder"
        )


def _into_folder(
    given: argparse.Namespace, bundle: Bundle, wanted: Request, shown: Sequence[int], **options: Any
) -> tuple[Tensor, list[float], dict[str, Any]]:
    """Writes each picture into --save-images; returns the `shown` ones as they stand there, the values of all, and what made
    them."""
    about: dict[str, Any] = {}
    for part in sampling.sample_into(given.save_images, bundle, wanted, resume=given.resume, **options):
        terminal.report_stops(part.stopped)
        about = about or _about(part)
    return *_read(given, bundle, wanted, shown, options["recipe"]), about


def _read(
    given: argparse.Namespace, bundle: Bundle, wanted: Request, shown: Sequence[int], recipe: recipes.Recipe
) -> tuple[Tensor, list[float]]:
    """The `shown` pictures as they stand in --save-images, and the values of all."""
    rows = sampling.read_rows(given.save_images)
    print(f"wrote {len(wanted)} pictures and {sampling.FILE} into {given.save_images}")
    channels = bundle.image.channels
    pictures = [images.load_image(Path(given.save_images) / rows[chain]["file"], channels=channels) for chain in shown]
    value = sampling.quantity_key(wanted.quantity(recipe.measure))
    return torch.stack(pictures), [row[value] for row in rows]
