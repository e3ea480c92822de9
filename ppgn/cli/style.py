"""`ppgn style`: the content of one picture in the style of another."""

from __future__ import annotations

import argparse

from ppgn import images, methods
from ppgn.cli import network_flags, terminal
from ppgn.recipes import PIONEERS

EXAMPLES = """examples:
  ppgn style photo.jpg painting.jpg --out styled.png
  ppgn style photo.jpg painting.jpg --style-weight 200 --side 512
  ppgn style photo.jpg painting.jpg --network torchvision:vgg19 --content-layer features.21 \\
      --style-layers features.0 features.5 features.10 features.19 features.28
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "Style transfer (Gatys et al. 2016): the content of one picture in the style of another."
    parser.epilog = EXAMPLES
    parser.add_argument("content", help="picture to paint")
    parser.add_argument("style", help="picture in whose style")
    parser.add_argument(
        "--style-weight",
        type=float,
        default=methods.STYLE_WEIGHT,
        metavar="W",
        help="of the style beside the content (default: %(default)g)",
    )
    parser.add_argument("--content-layer", metavar="LAYER", help="whose values are kept (default: that of natural128)")
    parser.add_argument("--style-layers", nargs="+", metavar="LAYER", help="whose statistics are matched (default: likewise)")
    parser.add_argument("--side", type=int, default=384, help="longer side of the pictures, in pixels (default: %(default)s)")
    parser.add_argument("--steps", type=int, help=f"(default: {PIONEERS['style_transfer']['steps']})")
    parser.add_argument("--from-noise", action="store_true", help="begin at noise, not at the content")
    network_flags.add_arguments(
        parser,
        "styled.png",
        "picture to write",
        "of the noise",
        "its encoder looks at the pictures",
        "looks at the pictures, in the place of the bundle's encoder",
    )


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, paints, and writes the picture."""
    network_flags.check(given, "steps", "side")
    if (given.content_layer is None) != (given.style_layers is None):
        raise ValueError("got one of --content-layer and --style-layers, expected both or none: add the other")
    content, style = (images.at_most(images.load_image(path), given.side) for path in (given.content, given.style))
    wanted = [] if given.content_layer is None else [given.content_layer, *given.style_layers]
    network, usual = network_flags.loaded(given, wanted)
    layers = {
        "content_layer": given.content_layer if usual is None else usual.content,
        "style_layers": given.style_layers if usual is None else usual.style,
    }
    place = terminal.device(given.device)
    options = {"style_weight": given.style_weight, "from_noise": given.from_noise, "seed": given.seed, "steps": given.steps}
    total = given.steps or PIONEERS["style_transfer"]["steps"]
    with terminal.stops_without_warning(), terminal.progress(total, "value") as watch:
        styled = methods.transfer_style(network, content.to(place), style.to(place), watch=watch, **layers, **options)
    terminal.report_stops(styled.stopped)
    images.save_image(images.to_pil(styled.images[0]), given.out)
    print(f"wrote {given.out}: {given.content} in the style of {given.style}")
    return 0
