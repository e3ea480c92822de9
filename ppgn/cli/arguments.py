"""What can be typed. Nothing here needs torch, so that --help is quick."""

from __future__ import annotations

import argparse

EXAMPLES = """examples:
  ppgn sample imagenette64 --class church --out church.png
  ppgn sample imagenette64 --class "golf ball" parachute --count 8 --steps 200 --seed 0 --out two.png
  ppgn sample imagenette64 --class all --count 4 --save-images samples/ --device cuda
  ppgn sample imagenette64 --unit trunk.12:7 --sampler released --step-size 0.3 --prior-scale 0.001
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --unit layer4.1.conv2:17 --sampler released
  ppgn sample imagenette64 --network torchvision:resnet18 --weights resnet18.pth --class "tabby"
  ppgn sample imagenette64 --condition my_module:my_function --sampler released --step-size 0.3
  ppgn layers torchvision:resnet18
  ppgn bundles
"""
SETTINGS = {
    "sampler": "langevin (Eq. 11) or released (the shipped code)",
    "prior": "reconstruction, denoiser or none",
    "start": "normal (noise) or codes (like those of real pictures)",
    "gradient": "of the class: log_softmax (true) or released (target only)",
    "temperature": "of the class softmax, above 1 asks for more",
    "prior-scale": "epsilon 1",
    "condition-scale": "epsilon 2",
    "noise-scale": "epsilon 3, a standard deviation",
    "step-size": "of the released sampler",
    "step-size-end": "of the released sampler, reached linearly",
}
WORDS = ("sampler", "prior", "start", "gradient")  # settings that are no number
NETWORKS = "torchvision:NAME, timm:NAME, my_module:function or bundle:classifier"


def parser() -> argparse.ArgumentParser:
    """The command line of every command."""
    formatter = argparse.RawDescriptionHelpFormatter
    about = "Images through a learned prior, asked for by any network you plug in."
    top = argparse.ArgumentParser(prog="ppgn", description=about, epilog=EXAMPLES, formatter_class=formatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = "pictures of a class, of a unit of any network, or of your own condition"
    _sample(commands.add_parser("sample", help=about, epilog=EXAMPLES, formatter_class=formatter))
    layers = commands.add_parser("layers", help="what --unit can name: the layers of a network or of a bundle's encoder")
    layers.add_argument("network", help=f"{NETWORKS[: NETWORKS.index(' or ')]}, or the name or folder of a bundle")
    layers.add_argument("--size", type=size, metavar="H[,W]", help="size of the input (default: the library's)")
    commands.add_parser("bundles", help="list the bundles that are there")
    return top


def _sample(one: argparse.ArgumentParser) -> None:
    one.add_argument("bundle", help="name of a bundle (see `ppgn bundles`) or its folder")
    _condition(one)
    one.add_argument("--count", type=int, default=16, help="pictures of each class or unit (default: 16)")
    one.add_argument("--steps", type=int, help="steps of each chain (default: the bundle's)")
    one.add_argument("--seed", type=int, default=0, help="seed of the first chain of each class; the next ones follow")
    one.add_argument("--out", default="samples.png", help="grid to write (default: samples.png)")
    one.add_argument("--save-images", metavar="DIR", help="also write each picture, and samples.json, into DIR")
    one.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    one.add_argument("--batch", type=int, default=32, help="chains that run at once (default: 32)")
    for name, meaning in SETTINGS.items():
        one.add_argument(f"--{name}", type=str if name in WORDS else float, help=f"{meaning} (default: the bundle's)")


def _condition(one: argparse.ArgumentParser) -> None:
    asked = one.add_argument_group("what to ask for (one of --class, --unit, --condition)")
    asked.add_argument("--class", dest="classes", nargs="+", action="extend", metavar="CLASS", default=[],
                       help="name, unique part of a name, or index; several, or `all`")  # fmt: skip
    asked.add_argument("--unit", metavar="LAYER:UNIT", help="of --network, or of the bundle's encoder (see `ppgn layers`); "
                       "layer:3,8,9, layer:0-15, layer:* for several, layer:17@centre, layer:17@row,column in a map")  # fmt: skip
    asked.add_argument("--condition", metavar="MODULE:FUNCTION", help="a function of yours, images -> one log-probability each")
    asked.add_argument("--measure", choices=("activation", "log_softmax", "released"),
                       help="of the unit (default: activation, averaged over its map)")  # fmt: skip
    plugged = one.add_argument_group("another network that --class or --unit look at")
    plugged.add_argument("--network", metavar="NAME", help=NETWORKS)
    plugged.add_argument("--weights", metavar="FILE", help="state dict (.pth, .safetensors) or torchvision's name of it")
    plugged.add_argument("--size", type=size, metavar="H[,W]", help="of its input, in pixels (default: the library's)")
    plugged.add_argument("--mean", type=numbers, metavar="R,G,B", help="of its input, for pixels in [0, 1] (default: library's)")
    plugged.add_argument("--std", type=numbers, metavar="R,G,B", help="of its input (default: the library's)")
    plugged.add_argument("--bgr", action="store_true", help="its channels are blue, green, red (Caffe)")


def numbers(text: str) -> tuple[float, ...]:
    """`0.4,0.5,0.6` as a tuple."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as fault:
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected numbers with commas, such as 0.48,0.46,0.41") from fault


def size(text: str) -> tuple[int, int]:
    """`224` or `224,192` as (height, width)."""
    parts = text.split(",")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"cannot read {text!r}, expected a height, or height,width, such as 224")
    return int(parts[0]), int(parts[-1])
