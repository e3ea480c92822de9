"""A bundle from networks of Caffe: definitions and weights read, fitted to each other, and written as an ordinary checkpoint."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ppgn.bundle import check_place, save_bundle, sha256
from ppgn.caffe import (
    MEAN,
    CaffeCaptioner,
    CaffeCaptionerConfig,
    CaffeEncoder,
    CaffeEncoderConfig,
    CaffeGenerator,
    CaffeGeneratorConfig,
    read_definition,
    read_weights,
)
from ppgn.importers.lists import class_names, code_of, text_of
from ppgn.loaders import of_file
from ppgn.recipes import PAPERS, Recipe
from ppgn.types import ImageSpec

METHOD = "noiseless_joint_ppgn_h_released"
"""The method of the papers that these weights were released with."""
PRECISIONS = {"class": "auto", "plugged": "float32"}
"""Kind of request -> precision of its recipe."""
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
    """The networks and files of which a bundle is made. statistics: a file of the highest number of each unit; classes: of names.

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
    """LRCN's captioner: its definition over words, its weights, which include those of its classifier, and its words.

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

    Its recipes are those of the released sampler; classes are asked for in bfloat16 where that is faster and gradients agree.
    The methods of the papers start from its scales, in Eq. 11. An older bundle in that place is replaced, any other folder is
    left alone.
    """
    check_place(folder)
    check_fit(made.generator, made.encoder)
    code = code_of(made.encoder.code_shape, made.statistics, relu=_after_relu(made.encoder))
    names = class_names(made.classes, made.encoder.classes)
    extra = [file for file in (made.statistics, made.classes) if file is not None]
    say("hashing the sources")
    sources = [{"file": Path(file).name, "sha256": sha256(file)} for file in dict.fromkeys((*made.sources, *extra))]
    say(f"writing {folder}")
    size, channels = made.generator.image_size, len(made.generator.config.mean)
    released = Recipe().changed(**PAPERS[METHOD])
    recipes = {kind: released.changed(precision=precision) for kind, precision in PRECISIONS.items()}
    try:
        return save_bundle(
            folder,
            name=name,
            parts={"encoder": made.encoder, "generator": made.generator, **made.more},
            code=code,
            image=ImageSpec(size, size, channels),
            classes=names,
            recipes={kind: recipe.to_json() for kind, recipe in recipes.items()},
            papers={kind: recipe.changed(sampler="langevin").to_json() for kind, recipe in recipes.items()},
            data={"name": "as the authors of the weights trained them", "sources": sources},
            licence=LICENCE,
            source="imported from " + ", ".join(f"{entry['file']} (SHA-256 {entry['sha256']})" for entry in sources),
            dtype=torch.float32,
        )
    except OSError as fault:
        raise ValueError(
            f"{folder} cannot be written ({fault.strerror or fault}): give a folder on a disk with room for the weights"
        ) from fault


def _after_relu(encoder: CaffeEncoder) -> bool:
    """Whether the code is what a ReLU leaves: the last layer that makes its blob, dropout aside, is a ReLU."""
    layers = (layer for layer in encoder.config.definition["layers"] if encoder.config.code in layer.get("top", ()))
    return [layer["type"] for layer in layers if layer["type"] != "Dropout"][-1:] == ["ReLU"]


def _empty(part: Callable[[Any], Any], config: Any) -> Any:
    with torch.device("meta"):
        return part(config)


def _check_blobs(definition: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    tops = list(dict.fromkeys(top for layer in definition["layers"] for top in layer.get("top", ())))
    for what, name in wanted.items():
        if name not in tops:
            near = difflib.get_close_matches(name, tops, 3, cutoff=0)
            raise ValueError(
                f"no layer makes the {what} blob {name!r}, expected one such as {', '.join(near)}: choose the {what} blob"
            )
