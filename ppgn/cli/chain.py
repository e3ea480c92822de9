"""`ppgn chain`: pictures of chains on their way through one class, unit or condition after the other."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from ppgn import chain, images, recipes, sampling
from ppgn.bundle import Bundle
from ppgn.cli import outputs, recipe_flags, request_flags, terminal
from ppgn.cli.values import BUNDLE
from ppgn.recipes import Recipe
from ppgn.requests import Request
from ppgn.sampling import OnStep
from ppgn.seeds import check_seeds
from ppgn.types import Code

EXAMPLES = """examples:
  ppgn chain imagenette64 --class church --out church.gif
  ppgn chain imagenette64 --class church parachute "golf ball" --steps 40 --count 3 --every 2 --out walk.mp4
  ppgn chain imagenette64 --from dog.jpg --class "golf ball" --recipe noiseless_joint_ppgn_h_released --out ball.gif
  ppgn chain imagenette64 --unit trunk.12:0-5 --steps 30 --out units.gif
  ppgn chain imagenette64 --class all --steps 40 --every 40 --out strip.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments beside those of recipes."""
    parser.usage = "ppgn chain BUNDLE --class CLASS [CLASS ...] [more flags]"
    parser.description = (
        "Chains on their way, a frame for each step, asked for one class, unit, ... after the other. --steps is for each of them."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("bundle", help=BUNDLE)
    parser.add_argument("--count", type=int, default=1, help="chains side by side (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chain; the next ones follow")
    parser.add_argument("--from", dest="picture", metavar="PICTURE", help="begin at the code of this picture")
    parser.add_argument("--every", type=int, default=1, help="a frame for every so many steps (default: 1)")
    parser.add_argument(
        "--fps", type=float, default=10.0, help="frames a second, 0.0016 to 50 in a .gif, 0.001 to 240 in an .mp4 (default: 10)"
    )
    parser.add_argument("--no-labels", action="store_true", help="pictures only")
    parser.add_argument("--out", default="chain.gif", help=".gif, .mp4, or .png or .jpg for a sheet (default: chain.gif)")
    outputs.add_overwrite(parser)
    request_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, runs the chains, and writes the frames as they come."""
    sheet = Path(given.out).suffix.lower() not in images.FASTEST
    if sheet:
        images.check_writable(given.out, (*images.picture_extensions(), *images.FASTEST))
    else:
        images.check_video(given.out, given.fps)
    outputs.check_inputs_kept(given)
    terminal.check_counts(given, "count", "every")
    check_seeds([given.seed])
    changes = recipe_flags.changes(given)
    bundle = terminal.load(given)
    asked = request_flags.request(given, bundle)
    recipe = recipes.recipe_for(bundle, asked.kind, changes.pop("recipe", None), **changes)
    options: dict[str, Any] = {"count": given.count, "seed": given.seed, "recipe": recipe}
    stages = [asked.select([target]) for target in range(len(asked))]
    pairs = sampling.walk(bundle, stages, recipe.steps, code=_start(given, bundle, recipe), **options)
    stopped: dict[int, str] = {}
    steps = recipe.steps * len(stages) + 1
    room = [] if given.no_labels else [stage.label(0, terminal.WIDE, recipe.measure) for stage in stages]
    frame = images.grid_size(given.count, bundle.image.size, room)
    if sheet:
        images.check_writable(given.out, size=images.grid_size(math.ceil(steps / given.every), frame))
    else:
        images.check_video(given.out, given.fps, frame)
    with terminal.stops_without_warning(), terminal.progress(steps * given.count, asked.quantity(recipe.measure)) as watch:
        watched = chain.thin(_watched(pairs, watch, stopped), given.every)
        frames = _frames(watched, stages, recipe, room)
        if sheet:
            images.save_image(images.sheet(list(frames)), given.out)
        else:
            images.save_video(frames, given.out, frames_per_second=given.fps)
    terminal.report_stops(stopped)
    print(f"wrote {given.out}: {given.count} chains through {', '.join(asked.names)}, {recipe.steps} steps each")
    return 0


def _start(given: argparse.Namespace, bundle: Bundle, recipe: Recipe) -> Code | None:
    """The code of the picture for each chain; None without one."""
    if given.picture is None:
        return None
    picture = images.load_image(given.picture, bundle.image.size, bundle.image.channels)
    return sampling.repeated(sampling.picture_code(bundle, picture, recipe), range(given.count))


def _watched(pairs: Iterator[chain.Step], watch: OnStep, stopped: dict[int, str]) -> Iterator[chain.Step]:
    for state, evaluation in pairs:
        watch(state.step, evaluation)
        stopped.update(evaluation.stopped)
        yield state, evaluation


def _frames(
    pairs: Iterator[chain.Step], stages: Sequence[Request], recipe: Recipe, room: Sequence[str]
) -> Iterator[Pillow.Image]:
    """A picture of all chains for each step, each labelled with its target and the value of its condition where there is room."""
    for state, evaluation in pairs:
        stage = stages[chain.turn(state.step - 1, recipe.steps)]
        values = evaluation.log_probs["condition"].tolist()
        labels = None if not room else [stage.label(0, value, recipe.measure) for value in values]
        yield images.grid(evaluation.image, labels, room_for=room)
