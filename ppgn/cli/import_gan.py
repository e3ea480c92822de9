"""`ppgn import-gan`: a bundle from the generator of a GAN without labels, of a package or of a file of yours."""

from __future__ import annotations

import argparse
from pathlib import Path

from ppgn import importers
from ppgn.cli.import_caffe import say
from ppgn.loaders import of_file, read_weights

EXAMPLES = """examples:
  ppgn import-gan gan-face-generate --out checkpoints/faces
  ppgn sample faces --condition my_module:brighter --count 8 --out brighter.png
  ppgn sample faces --network lite:0 --unit classifier:sunglasses --out sunglasses.png
  ppgn import-gan --weights netG.pth --licence MIT --out checkpoints/mine      a DCGAN in the layout of PyTorch's tutorial
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "A bundle from the generator of a GAN without labels, whose codes come from N(0, 1): a DCGAN."
    parser.epilog = EXAMPLES
    parser.add_argument("package", nargs="?", metavar="PACKAGE",
                        help=f"an installed package that holds one: {', '.join(importers.PUBLISHED)}")  # fmt: skip
    parser.add_argument("--weights", metavar="FILE",
                        help="instead: the state dict of a generator in the layout of PyTorch's DCGAN tutorial")  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FOLDER", help="bundle to write, such as checkpoints/faces")
    parser.add_argument("--name", help="of the bundle (default: the folder's)")
    parser.add_argument("--licence", metavar="TEXT", help="of the weights, with --weights (default: unstated)")
    parser.add_argument("--source", metavar="TEXT", help="of the weights, with --weights (default: imported)")


def run(given: argparse.Namespace) -> int:
    """Reads the weights and writes the bundle."""
    importers.check_place(given.out)
    if (given.package is None) == (given.weights is None):
        got = "neither" if given.package is None else "both"
        raise ValueError(f"got {got} of a package and --weights, expected one: write {' or '.join(importers.PUBLISHED)}")
    stated = {name: getattr(given, name) for name in ("licence", "source") if getattr(given, name) is not None}
    if given.package is not None and stated:
        raise ValueError(f"got --{next(iter(stated))} with a package, whose own are known, expected none: leave it out")
    if given.package is not None:
        file, known = importers.published_file(given.package), importers.PUBLISHED[given.package]
        stated = {"licence": known.licence, "source": f"{known.source}, package {known.package}", "data": known.data}
    else:
        file = Path(given.weights)
    say("reading the generator")
    state = read_weights(file)
    with of_file(file):
        generator = importers.read_dcgan(state)
    importers.write_gan(given.out, given.name or Path(given.out).resolve().name, generator, file, stated)
    (width, height), units = generator.config.image_size, generator.config.code_size
    print(f"wrote {given.out}: {width}x{height} px, codes of {units} units, no classes")
    return 0
