"""`ppgn dream`: what a layer sees in a picture, amplified."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ppgn import images, methods
from ppgn.cli import network_flags, terminal
from ppgn.cli.values import size
from ppgn.recipes import PIONEERS
from ppgn.sampling import OnStep

EXAMPLES = """examples:
  ppgn dream photo.jpg --out dream.png
  ppgn dream photo.jpg --layer trunk.block7 --octaves 6 --steps 20
  ppgn dream photo.jpg --guide flower.jpg
  ppgn dream photo.jpg --network torchvision:googlenet --layer inception4c
  ppgn dream noise --picture-size 600,800 --layer trunk.block8:17
"""
NOISE = "noise"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "DeepDream (Mordvintsev et al. 2015): amplify what a layer sees in a picture, at several scales. A picture of any size;\n"
        "large ones go through the network in tiles."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("picture", help=f"picture to begin at, or {NOISE}")
    parser.add_argument(
        "--layer",
        metavar="LAYER",
        help="layer to amplify, or channels of it, layer:3,8 (default: trunk.block10 of natural128; see `ppgn layers`)",
    )
    parser.add_argument("--guide", metavar="PICTURE", help="picture whose features of the layer are amplified")
    parser.add_argument("--octaves", type=int, default=4, help="sizes, from small to large (default: %(default)s)")
    parser.add_argument("--octave-scale", type=float, default=1.4, help="ratio of neighbouring sizes (default: %(default)s)")
    parser.add_argument("--steps", type=int, help=f"of each octave (default: {PIONEERS['deepdream']['steps'] - 1})")
    parser.add_argument(
        "--step-size",
        type=float,
        help=f"mean change of a pixel in a step, of a range of 1 (default: {PIONEERS['deepdream']['step_size']:.4f})",
    )
    parser.add_argument(
        "--tile",
        type=int,
        default=512,
        metavar="SIDE",
        help="of what the network sees at once, in pixels; less takes less memory (default: %(default)s)",
    )
    parser.add_argument("--picture-size", type=size, metavar="H[,W]", help=f"of the picture (default: its own; 512 for {NOISE})")
    network_flags.add_arguments(
        parser,
        "dream.png",
        "picture to write",
        "of jitter and noise",
        "its encoder looks at the pictures",
        "looks at the pictures, in the place of the bundle's encoder",
    )


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, dreams, and writes the picture."""
    network_flags.check(given, "steps", "octaves", "tile")
    picture = None if given.picture == NOISE else images.load_image(given.picture, given.picture_size)
    guide = None if given.guide is None else images.load_image(given.guide)
    network, usual = network_flags.loaded(given, [] if given.layer is None else [given.layer.partition(":")[0]])
    layer = str(given.layer if usual is None else usual.dream)
    place = terminal.device(given.device)
    picture, guide = (None if one is None else one.to(place) for one in (picture, guide))
    size = images.height_and_width(given.picture_size or 512) if picture is None else (picture.shape[-2], picture.shape[-1])
    sizes = methods.octave_sizes(size, given.octaves, given.octave_scale)
    changes = {"steps": None if given.steps is None else given.steps + 1, "step_size": given.step_size}
    options: dict[str, Any] = {"octaves": given.octaves, "octave_scale": given.octave_scale, "tile": given.tile, "size": size}
    steps = changes["steps"] or PIONEERS["deepdream"]["steps"]
    with terminal.stops_without_warning(), _progress(sum(h * w for h, w in sizes) * steps) as watch:
        dreamt = methods.dream(network, layer, picture, guide=guide, seed=given.seed, watch=watch, **options, **changes)
    terminal.report_stops(dreamt.samples.stopped)
    images.save_image(images.to_pil(dreamt.picture), given.out)
    height, width = dreamt.picture.shape[-2:]
    print(f"wrote {given.out}: {width}x{height} pixels, {len(dreamt.octaves)} octaves, layer {layer}")
    return 0


@contextmanager
def _progress(pixels: int) -> Iterator[OnStep]:
    """A bar over the pixels of all steps, by which time goes."""
    with terminal.late_bar("dreaming", total=pixels, unit="pixel", unit_scale=True) as bar_of:
        yield lambda step, evaluation: bar_of().update(evaluation.image[0, 0].numel())
