"""`ppgn sample`: chains of any request, their pictures as a grid and as files."""

from __future__ import annotations

import argparse
from typing import Any

from ppgn import images, recipes, sampling
from ppgn.cli import outputs, recipe_flags, request_flags, terminal
from ppgn.cli.values import BUNDLE
from ppgn.seeds import check_seeds

EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --class "golf ball" parachute --count 8 --steps 200 --seed 0 --out two.png
  ppgn sample imagenette64 --class all --count 4 --save-images samples/ --device cuda
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments beside those of recipes."""
    parser.usage = "ppgn sample BUNDLE --class CLASS [more flags]"
    parser.description = "Pictures of a class, of a unit of any network, of a sentence, or of your own condition."
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    parser.add_argument("--count", type=int, default=16, help="pictures of each class or unit (default: 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    parser.add_argument("--out", default="samples.png", help="grid to write (default: samples.png)")
    parser.add_argument("--save-images", metavar="DIR", help="also write each picture, and samples.json, into DIR")
    parser.add_argument("--batch", type=int, help="chains that run at once (default: 16, or 64 on an accelerator, or what fits)")
    outputs.add_overwrite(parser)
    request_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, writes the grid and, with --save-images, each picture."""
    images.check_writable(given.out)
    outputs.check_inputs_kept(given, given.save_images, ("samples.json",))
    terminal.check_counts(given, "count", "batch")
    check_seeds([given.seed])
    changes = recipe_flags.changes(given)
    bundle = terminal.load(given)
    asked = request_flags.request(given, bundle)
    wanted = asked.each(given.count)
    recipe = recipes.recipe_for(bundle, wanted.kind, changes.pop("recipe", None), **changes)
    columns = given.count if len(asked) > 1 and 1 < given.count <= COLUMNS else None
    widest = [asked.label(target, terminal.WIDE, recipe.measure) for target in range(len(asked))]
    images.check_writable(given.out, size=images.grid_size(len(wanted), bundle.image.size, widest, columns))
    seeds = [given.seed + chain for _ in range(len(asked)) for chain in range(given.count)]
    folder = images.make_folder(given.save_images) if given.save_images else None
    with (
        terminal.stops_without_warning(),
        terminal.progress(recipe.steps * len(wanted), wanted.quantity(recipe.measure)) as watch,
    ):
        options: dict[str, Any] = {"count": len(wanted), "seed": seeds, "batch": given.batch, "recipe": recipe}
        samples = sampling.sample(bundle, wanted, watch=watch, **options)
    terminal.report_stops(samples.stopped)
    labels = [wanted.label(chain, value, recipe.measure) for chain, value in enumerate(samples.log_prob.tolist())]
    images.save_image(samples.grid(labels, columns), given.out)
    print(f"wrote {given.out}: {len(samples)} pictures, mean {samples.quantity} {float(samples.log_prob.mean()):.3f}")
    if folder is not None:
        samples.save(folder)
        print(f"wrote {len(samples)} pictures and samples.json into {folder}")
    return 0
