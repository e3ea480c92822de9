"""Generators of GANs without labels, z -> image: a state dict of a DCGAN, or a package that holds one -> a bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ppgn.bundle import save_bundle, sha256
from ppgn.errors import required
from ppgn.networks import DcganGenerator, DcganGeneratorConfig
from ppgn.priors import Spherical
from ppgn.recipes import NoBounds, Recipe
from ppgn.samplers import Adaptive, Linear
from ppgn.types import CodeSpace, ImageSpec


class Published(NamedTuple):
    """A package of the index whose file of weights is a DCGAN's. data: what it was trained on."""

    package: str
    version: str
    module: str
    file: str
    licence: str
    source: str
    data: str


PUBLISHED = {
    "gan-face-generate": Published(
        "gan-face-generate",
        "1.1.1",
        "gan_face_generate",
        "weights.tar",
        "Weights under MIT, copyright 2023 Chien Liu. They were trained on DigiFace-1M, which has terms of its own.",
        "https://github.com/chien-liu/DCGAN-PyTorch",
        "DigiFace-1M: rendered faces, no persons",
    )
}
"""Name -> a generator that the package index has."""
RECIPE = Recipe(sampler=Adaptive(1.0, Linear(0.04, 0.0)), prior=Spherical(), bounds=NoBounds(), steps=25)
"""For conditions that are plugged in: on the sphere at every step, and half a standard deviation per unit along it at most, so
that the picture stays that of the start but for what was asked (docs/generators.md)."""


def published_file(name: str) -> Path:
    """The file of weights in an installed package of PUBLISHED. Raises ValueError where it is unknown or not installed."""
    if name not in PUBLISHED:
        raise ValueError(f"got the package {name!r}, expected {' or '.join(PUBLISHED)}: give one, or a file of weights")
    known = PUBLISHED[name]
    installed = required(known.module, f"the weights of {name} need {name}", f"{name}=={known.version}")
    return Path(installed.__file__).with_name(known.file)


def read_dcgan(state: Mapping[str, Tensor]) -> DcganGenerator:
    """The generator of a state dict in the layout of PyTorch's DCGAN tutorial, frozen and in evaluation mode.

    Sizes are those of the weights. Raises ValueError for any other layout.
    """
    numbers = sorted(int(found[1]) for key in state if (found := re.fullmatch(r"main\.(\d+)\.weight", key)))
    last = numbers[-1] if numbers else 0
    weights = [state.get(f"main.{number}.weight") for number in range(0, last + 1, 3)]
    maps = [weight for weight in weights if weight is not None and weight.ndim == 4]
    if last == 0 or last % 3 or len(maps) != len(weights):
        raise _odd(f"has the weights {', '.join(list(state)[:4])}, ...")
    sizes = {"code_size": maps[0].shape[0], "channels": maps[-1].shape[1], "base_size": maps[0].shape[-1]}
    with torch.device("meta"):
        network = DcganGenerator(DcganGeneratorConfig(**sizes, widths=tuple(weight.shape[1] for weight in maps[:-1])))
    expected = {key: value.shape for key, value in network.state_dict().items()}
    counts = {key: torch.tensor(0) for key in expected if key.endswith("num_batches_tracked")}  # older files have none
    given = {**counts, **state}
    for key in (*expected, *given):
        if key not in given or key not in expected:
            raise _odd(f"{'lacks' if key in expected else 'has'} {key}")
        if given[key].shape != expected[key]:
            raise _odd(f"has {key} of shape {list(given[key].shape)} where {list(expected[key])} would fit")
    floats = {key: value.float() if value.is_floating_point() else value for key, value in given.items()}
    network.load_state_dict(floats, strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _odd(what: str) -> ValueError:
    return ValueError(
        f"the state dict {what}, expected that of a DCGAN's generator in the layout of PyTorch's tutorial, main.0.weight [code, "
        f"channels, 4, 4] to the last upconvolution: give such a file"
    )


def write_gan(
    folder: str | Path, name: str, generator: DcganGenerator, file: str | Path, about: Mapping[str, Any] | None = None
) -> Path:
    """Writes the bundle of a generator whose codes come from N(0, 1); see `save_bundle`, which may raise.

    file: that the weights came from; its SHA-256 goes into bundle.json. about: licence, source and data.
    """
    stated = dict(about or {})
    height, width = generator.config.image_size
    files = [{"file": Path(file).name, "sha256": sha256(file)}]
    return save_bundle(
        folder,
        name=name,
        parts={"generator": generator},
        code=CodeSpace(generator.code_shape, std=1.0),
        image=ImageSpec(height, width, generator.config.channels),
        recipes={"plugged": RECIPE.to_json()},
        data={"name": stated.get("data", "unstated"), "sources": files},
        licence=stated.get("licence", "unstated"),
        source=f"{stated.get('source', 'imported')}: {files[0]['file']} (SHA-256 {files[0]['sha256']})",
        dtype=torch.float32,
    )
