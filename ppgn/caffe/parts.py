"""A bundle from networks of Caffe: definitions and weights read, fitted to each other, and written as an ordinary checkpoint."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ppgn.bundle import save_bundle, sha256
from ppgn.caffe.caffemodel import read_weights
from ppgn.caffe.lists import class_names, code_of, text_of
from ppgn.caffe.prototxt import read_definition
from ppgn.networks import (
    CaffeCaptioner,
    CaffeCaptionerConfig,
    CaffeEncoder,
    CaffeEncoderConfig,
    CaffeGenerator,
    CaffeGeneratorConfig,
)
from ppgn.networks.caffe.pictures import MEAN
from ppgn.recipes.named import NAMED

RECIPE = "noiseless_joint_ppgn_h_released"
LICENCE = (
    "the weights stay under the terms that their authors released them with; those of the generators of PPGN, DGN-AM and DeePSiM "
    "are for non-commercial use only"
)
WORD_SCORES = "predict"
"""The blob of LRCN's definition before its softmax over words."""
Say = Callable[[str], None]


class Files(NamedTuple):
    """A network as Caffe keeps it: a definition (.prototxt) and its weights (.caffemodel)."""

    definition: str | Path
    weights: str | Path


@dataclass(frozen=True)
class Imported:
    """What a bundle is made of beside its networks. statistics: a file of the highest number of each unit; classes: of names.

    sources: the files that the parts came from; their SHA-256 go into bundle.json.
    """

    generator: CaffeGenerator
    encoder: CaffeEncoder
    sources: Sequence[str | Path]
    statistics: str | Path | None = None
    classes: str | Path | None = None
    more: Mapping[str, nn.Module] = field(default_factory=dict)


def read_generator(files: Files, mean: Sequence[float] = MEAN) -> CaffeGenerator:
    """A generator with its weights. mean: blue, green, red in 0..255. ValueError where the files are no generator."""
    definition = read_definition(files.definition)
    with of_file(files.definition):
        part = _empty(CaffeGenerator, CaffeGeneratorConfig(definition, mean=tuple(mean)))
    return filled(part, files.weights)


def read_encoder(
    files: Files, image_size: int, code: str = "fc6", scores: str = "fc8", mean: Sequence[float] = MEAN
) -> CaffeEncoder:
    """A classifier with its weights, for pictures of image_size; see CaffeEncoderConfig. ValueError where it is none."""
    definition = read_definition(files.definition)
    with of_file(files.definition):
        _check_blobs(definition, {"code": code, "scores": scores})
        part = _empty(CaffeEncoder, CaffeEncoderConfig(definition, code, scores, tuple(mean), image_size))
    return filled(part, files.weights)


def read_captioner(files: Files, vocabulary: str | Path, encoder: CaffeEncoder) -> CaffeCaptioner:
    """LRCN's captioner: its definition over words, its weights, which hold those of its own classifier too, and its words.

    The classifier's definition is the encoder's, as in the released example. ValueError where they do not belong together.
    """
    definition, seen = read_definition(files.definition), encoder.config
    words = tuple(line.strip() for line in text_of(vocabulary).splitlines() if line.strip())
    with of_file(files.definition):
        config = CaffeCaptionerConfig(
            seen.definition, definition, words, seen.scores, WORD_SCORES, mean=seen.mean, image_size=seen.image_size
        )
        part = _empty(CaffeCaptioner, config)
    return filled(part, files.weights)


def filled(part: Any, weights: str | Path) -> Any:
    """A network with the weights of a file, frozen and in evaluation mode."""
    with of_file(weights):
        part.load_blobs(read_weights(weights))
    return part.eval().requires_grad_(False)


def check_fit(generator: CaffeGenerator, encoder: CaffeEncoder) -> None:
    """ValueError where the generator's input is not of the size of the encoder's code, saying which blobs would be."""
    wanted, found = math.prod(generator.code_shape), math.prod(encoder.code_shape)
    if wanted == found:
        return
    shapes = {**encoder.trunk.shapes, **(encoder.head.shapes if encoder.head else {})}
    fitting = [name for name, shape in shapes.items() if math.prod(shape[1:]) == wanted]
    advice = f"choose the code blob {' or '.join(fitting)}" if fitting else "give the encoder that the generator was trained with"
    raise ValueError(
        f"the generator takes codes of {wanted} numbers, the encoder's blob {encoder.config.code!r} has {found}, "
        f"expected as many: {advice}"
    )


def write(folder: str | Path, name: str, made: Imported, say: Say) -> Path:
    """Writes the bundle, float32; see `save_bundle`. ValueError where networks, statistics or class names do not fit.

    Its settings are those of the released sampler; classes are asked for in bfloat16 where that is faster and gradients agree
    (`precision.resolved`). An older bundle in that place is replaced, any other folder is left alone.
    """
    check_place(folder)
    check_fit(made.generator, made.encoder)
    code = code_of(made.encoder.code_shape, made.statistics)
    names = class_names(made.classes, made.encoder.classes)
    extra = [file for file in (made.statistics, made.classes) if file is not None]
    say("hashing the sources")
    sources = [{"file": Path(file).name, "sha256": sha256(file)} for file in dict.fromkeys((*made.sources, *extra))]
    say(f"writing {folder}")
    try:
        return save_bundle(
            folder,
            name=name,
            parts={"encoder": made.encoder, "generator": made.generator, **made.more},
            code=code,
            image={"size": made.generator.image_size, "channels": len(made.generator.config.mean)},
            class_names=names,
            recipe={"name": RECIPE, "settings": {**NAMED[RECIPE], "precision": "auto"}, "plugged": {"precision": "float32"}},
            data={"name": "as the authors of the weights trained them", "sources": sources},
            licence=LICENCE,
            source="imported from " + ", ".join(f"{one['file']} (SHA-256 {one['sha256']})" for one in sources),
            dtype=torch.float32,
        )
    except OSError as fault:
        raise ValueError(
            f"{folder} cannot be written ({fault.strerror or fault}): give a folder on a disk with room for the weights"
        ) from fault


def check_place(folder: str | Path) -> None:
    """ValueError where a folder would be overwritten that is no bundle."""
    place = Path(folder)
    if place.exists() and not (place / "bundle.json").is_file():
        raise ValueError(f"{folder} is there and is no bundle, expected a new folder: give another --out")


@contextmanager
def of_file(file: str | Path) -> Iterator[None]:
    """Names the file in front of what is wrong with it, where it does not stand there."""
    try:
        yield
    except ValueError as fault:
        said = str(fault)
        raise ValueError(said if said.startswith(str(file)) else f"{file}: {said}") from fault


def _empty(part: Callable[[Any], Any], config: Any) -> Any:
    with torch.device("meta"):
        return part(config)


def _check_blobs(definition: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    tops = list(dict.fromkeys(top for layer in definition["layers"] for top in layer.get("top", ())))
    for what, name in wanted.items():
        if name not in tops:
            near = difflib.get_close_matches(name, tops, 3, cutoff=0)
            raise ValueError(
                f"no layer makes the {what} blob {name!r}, expected one such as {', '.join(near)}: give --{what}-blob"
            )
