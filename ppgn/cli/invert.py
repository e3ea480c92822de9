"""`ppgn invert`: pictures with the features of a given one, layer by layer."""

from __future__ import annotations

import argparse

from ppgn import images, methods
from ppgn.cli import network_flags, request_flags, terminal
from ppgn.recipes import PIONEERS

EXAMPLES = """examples:
  ppgn invert photo.jpg --out inverted.png
  ppgn invert photo.jpg --layers trunk.block2 trunk.block8 fc6
  ppgn invert photo.jpg --network torchvision:resnet18 --layers layer1 layer3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "What a layer keeps of a picture: pictures with the same features, by optimisation of pixels (Mahendran & Vedaldi 2015)\n"
        "and by the bundle's generator (Dosovitskiy & Brox 2016), side by side. The picture is resized to the bundle's size."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("picture", help="picture to invert")
    parser.add_argument(
        "--layers",
        nargs="+",
        metavar="LAYER",
        help="of the bundle's encoder, or of --network (default: three in the middle, pool5 and fc6)",
    )
    parser.add_argument("--steps", type=int, help=f"of the optimisation (default: {PIONEERS['inversion']['steps']})")
    network_flags.add_arguments(
        parser,
        "inverted.png",
        "table of pictures",
        "of the noise at which it begins",
        "its generator and its encoder",
        "has the layers, in the place of the bundle's encoder",
    )


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, inverts, prints a line for each picture and writes them side by side."""
    network_flags.check(given, "steps")
    bundle = terminal.load(given)
    picture = images.load_image(given.picture, bundle.image.size, bundle.image.channels)
    network = None
    if given.network is not None:
        if not given.layers:
            raise ValueError(f"which layers of {given.network}? add --layers (see `ppgn layers {given.network}`)")
        plugged = request_flags.plugged(given)
        network = plugged.loaded(bundle, tuple(given.layers))
    layers = list(dict.fromkeys(given.layers or methods.usual_layers(bundle)))
    steps = given.steps or PIONEERS["inversion"]["steps"]
    total = len(layers) * (steps + methods.BY_GENERATOR["steps"])
    with terminal.stops_without_warning(), terminal.progress(total, "value") as watch:
        found = methods.invert(bundle, picture, layers, network=network, seed=given.seed, watch=watch, steps=given.steps)
    for (layer, method), features, pixels in zip(found.rows, found.feature_error, found.pixel_error, strict=True):
        print(f"{layer:20}  {method:12}  error of features {features:.4f}  of pixels {pixels:.3f}")
    by_method = [[row for row, (_, method) in enumerate(found.rows) if method == wanted] for wanted in methods.INVERSIONS]
    tiles = [tile for rows in by_method for tile in (picture, *found.images[rows].cpu())]
    labels = [
        label
        for rows, method in zip(by_method, methods.INVERSIONS, strict=True)
        for label in (method, *(found.rows[row][0] for row in rows))
    ]
    images.save_image(images.grid(tiles, labels, len(layers) + 1), given.out)
    print(f"wrote {given.out}: {len(layers)} layers by two methods")
    return 0
