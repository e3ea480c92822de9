"""Samples as files: a PNG for each picture, and JSON that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ppgn import images
from ppgn.sampling.folder import SampleFolder, described, quantity_key
from ppgn.types import Image

if TYPE_CHECKING:
    from ppgn.sampling.inpainting import Inpainted
    from ppgn.sampling.samples import Samples


def write_samples(samples: Samples, folder: str | Path) -> Path:
    """Writes each picture, then samples.json, into a folder, which is made; returns the JSON file (`SampleFolder`). Pictures that
    an older samples.json describes are taken away. Raises ValueError where the folder cannot be written."""
    with SampleFolder.opened(folder) as place:
        place.add(samples)
        return place.finish()


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
        rows[chain] |= {str(samples.about["kind"]): name, quantity_key(samples.quantity): float(samples.log_prob[chain])}
    folder = images.make_folder(folder)
    images.save_image(inpainted.picture, folder / "picture.png")
    images.save_image(1 - inpainted.known, folder / "mask.png")
    shown = inpainted.blended() if fillings is None else fillings
    said = {**described(samples), **(about or {})}
    return _write(folder, "inpaint.json", [row["file"] for row in rows], shown, said, {"fillings": rows})


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
