"""`ppgn import-caffe`: a bundle from the generator and the classifier that were released for Caffe."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppgn.caffe import parts
from ppgn.networks.caffe.pictures import MEAN


def run(given: argparse.Namespace) -> int:
    """Reads everything, checks that it fits together, writes the bundle."""
    parts.check_place(given.out)
    mean = given.mean or MEAN
    say("reading the generator")
    generator = parts.read_generator(parts.Files(*given.generator), given.generator_mean or mean)
    return finish(given, generator, given.generator)


def finish(given: argparse.Namespace, generator: Any, sources: Sequence[str]) -> int:
    """The rest of an import, wherever the generator is from: the encoder, the captioner if there is one, and the bundle."""
    if (given.captioner is None) != (given.vocabulary is None):
        raise ValueError(
            "got one of --captioner and --vocabulary, expected both or none: a captioner's words are in a file of their own"
        )
    say("reading the encoder")
    files = parts.Files(*given.encoder)
    blobs = given.code_blob, given.scores_blob
    encoder = parts.read_encoder(files, generator.image_size, *blobs, given.mean or MEAN)
    parts.check_fit(generator, encoder)
    more = {}
    if given.captioner is not None:
        say("reading the captioner")
        more["captioner"] = parts.read_captioner(parts.Files(*given.captioner), given.vocabulary, encoder)
        sources = [*sources, *given.captioner, given.vocabulary]
    made = parts.Imported(generator, encoder, (*sources, *files), given.statistics, given.classes, more)
    name = given.name or Path(given.out).resolve().name
    parts.write(given.out, name, made, say)
    code, size = math.prod(encoder.code_shape), generator.image_size
    print(f"wrote {given.out}: {size}x{size} px, codes of {code} units, {encoder.classes} classes")
    return 0


def say(stage: str) -> None:
    """What is being done, for those who wait."""
    print(f"ppgn: {stage}", file=sys.stderr)
