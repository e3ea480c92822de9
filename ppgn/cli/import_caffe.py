"""`ppgn import-caffe`: a bundle from the generator and the classifier that were released for Caffe."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppgn import importers
from ppgn.caffe import MEAN
from ppgn.cli import import_flags

EXAMPLES = """examples:
  ppgn import-caffe --generator generator.prototxt generator.caffemodel --encoder caffenet.prototxt caffenet.caffemodel \\
      --classes synset_words.txt --statistics fc6.txt --out checkpoints/ppgn-original \\
      --captioner lrcn.prototxt lrcn.caffemodel --vocabulary vocabulary.txt
  ppgn sample ppgn-original --class junco --count 4 --out junco.png
  ppgn example 1 --bundle ppgn-original --unit 13
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = "A bundle from networks released for Caffe (.prototxt and .caffemodel)."
    parser.epilog = EXAMPLES
    parser.add_argument("--generator", nargs=2, required=True, metavar=import_flags.FILES,
                        help="code -> picture (BGR less its mean)")  # fmt: skip
    import_flags.add_arguments(parser)


def run(given: argparse.Namespace) -> int:
    """Reads everything, checks that it fits together, writes the bundle."""
    importers.check_place(given.out)
    mean = given.mean or MEAN
    say("reading the generator")
    generator = importers.read_generator(importers.Files(*given.generator), given.generator_mean or mean)
    return finish(given, generator, given.generator)


def finish(given: argparse.Namespace, generator: Any, sources: Sequence[str]) -> int:
    """The rest of an import, wherever the generator is from: the encoder, the captioner if there is one, and the bundle."""
    if (given.captioner is None) != (given.vocabulary is None):
        raise ValueError(
            "got one of --captioner and --vocabulary, expected both or none: a captioner's words are in a file of their own"
        )
    say("reading the encoder")
    files = importers.Files(*given.encoder)
    blobs = given.code_blob, given.scores_blob
    encoder = importers.read_encoder(files, generator.image_size, *blobs, given.mean or MEAN)
    importers.check_fit(generator, encoder)
    more = {}
    if given.captioner is not None:
        say("reading the captioner")
        more["captioner"] = importers.read_captioner(importers.Files(*given.captioner), given.vocabulary, encoder)
        sources = [*sources, *given.captioner, given.vocabulary]
    made = importers.Imported(generator, encoder, (*sources, *files), given.statistics, given.classes, more)
    name = given.name or Path(given.out).resolve().name
    importers.write(given.out, name, made, say)
    code, size = math.prod(encoder.code_shape), generator.image_size
    print(f"wrote {given.out}: {size}x{size} px, codes of {code} units, {encoder.classes} classes")
    return 0


def say(stage: str) -> None:
    """Prints the current stage, for those who wait."""
    print(f"ppgn: {stage}", file=sys.stderr)
