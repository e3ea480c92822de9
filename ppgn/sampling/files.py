"""Samples as files: a PNG for each picture, and JSON that describes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ppgn import __version__, images
from ppgn.types import Image

if TYPE_CHECKING:
    from ppgn.sampling.inpainting import Inpainted
    from ppgn.sampling.samples import Samples


def write_samples(samples: Samples, folder: str | Path) -> Path:
    """Writes each picture, then samples.json, into a folder, which is made; returns the JSON file.

    It has "ppgn" (the version), "bundle", "condition" (the request), "recipe", and under "samples" for each picture its "file",
    "seed", the name of its target under the kind of the request ("class", "unit", ...), and its "log_probability" in nats, or its
    "activation", "logit" or "value" where it is no log-probability. Raises ValueError where the folder cannot be written.
    """
    kind, value = str(samples.about.get("kind", "condition")), _key(samples)
    names = samples.names or ("",) * len(samples)
    rows = []
    for chain, (name, seed) in enumerate(zip(names, samples.seeds, strict=True)):
        file = f"{chain:04d}_{re.sub(r'[^a-zA-Z0-9.-]+', '_', name)}_{seed}.png"
        rows.append({"file": file, "seed": seed, kind: name, value: float(samples.log_prob[chain])})
    return _write(folder, "samples.json", [row["file"] for row in rows], samples.images, _about(samples), {"samples": rows})


def write_fillings(
    inpainted: Inpainted, folder: str | Path, fillings: Image | None = None, about: Mapping[str, Any] | None = None
) -> Path:
    """Writes each filling, picture.png and mask.png (white is the hole), then inpaint.json, into a folder, which is made; returns
    the JSON file.

    fillings `[chain, channel, height, width]`: by default blended without a seam. about: more to say in the JSON, which has
    "fillings" in the place of the "samples" of `write_samples`. For one picture and one mask.
    """
    samples = inpainted.samples
    rows: list[dict[str, Any]] = [{"file": f"filled_{seed}.png", "seed": seed} for seed in samples.seeds]
    for chain, name in enumerate(samples.names):
        rows[chain] |= {str(samples.about["kind"]): name, _key(samples): float(samples.log_prob[chain])}
    folder = images.make_folder(folder)
    images.save_image(inpainted.picture, folder / "picture.png")
    images.save_image(1 - inpainted.known, folder / "mask.png")
    shown = inpainted.blended() if fillings is None else fillings
    described = {**_about(samples), **(about or {})}
    return _write(folder, "inpaint.json", [row["file"] for row in rows], shown, described, {"fillings": rows})


def _key(samples: Samples) -> str:
    return samples.quantity.replace("-", "_")


def _about(samples: Samples) -> dict[str, Any]:
    condition = dict(samples.about) or None
    return {"ppgn": __version__, "bundle": samples.bundle, "condition": condition, "recipe": samples.recipe.to_json()}


def _write(
    folder: str | Path,
    name: str,
    files: Sequence[str],
    pictures: Tensor,
    about: Mapping[str, Any],
    rows: Mapping[str, Any],
) -> Path:
    """The pictures first, so that what the JSON describes is there."""
    folder = images.make_folder(folder)
    for file, picture in zip(files, pictures, strict=True):
        images.save_image(picture, folder / file)
    text = json.dumps({**about, **rows}, indent=2) + "\n"
    images.write_atomically(folder / name, lambda path: path.write_text(text, encoding="utf-8"))
    return folder / name
