"""Real pictures: the distribution of responses, the pictures of the highest and of median response, and what of them is seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.explanation.study import Part, Study, Tick
from ppgn.explanation.target import AT_ONCE, Reading, Target
from ppgn.types import Image

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
BINS = 30
ALIKE = 1e-12
"""Range of responses over the largest of them up to which a histogram gets a margin, as no range that small divides by 30."""
SHARE = 0.9
"""Of the squared gradient, on each axis, in a receptive field."""
PATCH_SIDE = 128
"""Pixels of the longer side of a patch."""
GRADIENT = 3
"""Passes that a gradient counts."""


def passes(study: Study) -> int:
    """Passes of a picture through a network: a gradient for each shown picture."""
    return GRADIENT * sum(len(chosen) for chosen in _chosen(study).values())


def real(study: Study, tick: Tick) -> Part:
    """The distribution of the real responses, and the `options.top` pictures of the highest response and around the median.

    The field of a picture is its effective receptive field (Luo et al. 2016): on each axis the smallest interval that holds 0.9
    of the squared gradient, summed over channels and the other axis. The gradient is that of the response at the position where
    it is highest (`peak`, in the layer's rows and columns), of the whole response where that is read at one position or in no
    layer. `peak`, `box` (top, left, height, width, in pixels) and `patch` are None where the gradient is exactly 0, as behind a
    ReLU that is off. `receptive_field`: the median height and width of the boxes of the top pictures.

    Responses that are NaN or infinite count in `count` alone.
    """
    chosen = _chosen(study)
    fields = _fields(study, torch.cat(list(chosen.values())), tick)
    data = _distribution(study.responses.double())
    pictures: dict[str, Pillow.Image] = {}
    for kind, some in chosen.items():
        data[kind] = [_row(study, int(index), f"{kind}_{row}", fields[int(index)], pictures) for row, index in enumerate(some)]
    boxes = [row["box"] for row in data["top"] if row["box"] is not None]
    height, width = (float(np.median([box[axis] for box in boxes])) if boxes else 0.0 for axis in (2, 3))
    field = {"height": height, "width": width, "share": SHARE, "pictures": len(boxes)}
    return Part({**data, "receptive_field": field if boxes else None}, pictures)


@dataclass(frozen=True)
class _Field:
    peak: list[int] | None
    box: list[int] | None


def _chosen(study: Study) -> dict[str, Tensor]:
    """Kind -> indices of its pictures, the highest response first."""
    order = study.order[study.responses[study.order].isfinite()]
    most = study.options.top
    first = max(0, (len(order) - most + 1) // 2)
    return {"top": order[:most], "median": order[first : first + most]}


def _distribution(responses: Tensor) -> dict[str, Any]:
    known = responses[responses.isfinite()].numpy()
    if not len(known):
        nothing = dict.fromkeys(("mean", "std", "least", "most", "zero_share"))
        percentiles: dict[str, Any] = {str(percent): None for percent in PERCENTILES}
        return {"count": len(responses), **nothing, "percentiles": percentiles, "histogram": {"edges": [], "counts": []}}
    least, most, size = known.min(), known.max(), np.abs(known).max()
    margin = max(0.5, size / 100) if most - least <= ALIKE * size else 0.0
    counts, edges = np.histogram(known, BINS, (least - margin, most + margin))
    return {
        "count": len(responses),
        "mean": float(known.mean()),
        "std": float(known.std(ddof=1)) if len(known) > 1 else None,
        "least": float(known.min()),
        "most": float(known.max()),
        "zero_share": float((known == 0).mean()),
        "percentiles": {str(percent): float(np.percentile(known, percent)) for percent in PERCENTILES},
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _row(study: Study, index: int, name: str, field: _Field, pictures: dict[str, Pillow.Image]) -> dict[str, Any]:
    """What is known about a picture; puts the picture and its patch into `pictures`."""
    picture = pictures[name] = images.to_pil(study.pictures.images(index))
    patch = None
    if field.box is not None:
        patch = f"patch_{name.removeprefix('top_')}"
        pictures[patch] = _cropped(picture, field.box)
    response = float(study.responses[index])
    file = study.pictures.files[index]
    return {"file": file, "response": response, "picture": name, "peak": field.peak, "box": field.box, "patch": patch}


def _cropped(picture: Pillow.Image, box: list[int]) -> Pillow.Image:
    top, left, height, width = box
    scale = PATCH_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.crop((left, top, left + width, top + height)).resize(size, Pillow.Resampling.BICUBIC)


def _fields(study: Study, chosen: Tensor, tick: Tick) -> dict[int, _Field]:
    """Index of a picture -> its field."""
    found: dict[int, _Field] = {}
    for some in chosen.split(AT_ONCE):
        peaks, energy = _energy(study.target, study.pictures.images(some).to(study.bundle.device))
        for index, peak, one in zip(some.tolist(), peaks, energy, strict=True):
            box = _box(one)
            found[index] = _Field(None if box is None else peak, box)
        tick(GRADIENT * len(some))
    return found


def _energy(target: Target, image: Image) -> tuple[list[list[int] | None], Tensor]:
    """The peak of each picture, and its squared gradient summed over channels, `[picture, height, width]`, on the CPU."""
    image = image.detach().requires_grad_()
    with torch.enable_grad():
        reading = target.reading
        if reading is not None and reading.position in (None, "mean"):
            grid = reading.grid(image)
            at = grid.flatten(1).argmax(1)
            response = grid.flatten(1).gather(1, at[:, None])
            columns = grid.shape[2]
            peaks: list[list[int] | None] = [[int(one) // columns, int(one) % columns] for one in at]
        else:
            response = target.response(image)
            peaks = [_place(reading)] * len(image)
        (gradient,) = torch.autograd.grad(response.sum(), image)
    return peaks, gradient.double().square().sum(1).cpu()


def _place(reading: Reading | None) -> list[int] | None:
    """The row and column at which a response is read, where it names them."""
    position = None if reading is None else reading.position
    return list(position) if isinstance(position, tuple) and len(position) == 2 else None


def _box(energy: Tensor) -> list[int] | None:
    """(top, left, height, width): the smallest intervals of rows and of columns that hold SHARE of the energy `[row, column]`."""
    total = float(energy.sum())
    if not math.isfinite(total) or total <= 0:
        return None
    top, height = _smallest(energy.sum(1))
    left, width = _smallest(energy.sum(0))
    return [top, left, height, width]


def _smallest(mass: Tensor) -> tuple[int, int]:
    """(first, length) of the shortest interval that holds SHARE of the mass, of several the one that holds most."""
    upto = torch.cat([mass.new_zeros(1), mass.cumsum(0)])
    wanted = upto[:-1] + SHARE * upto[-1]
    last = torch.searchsorted(upto, wanted)
    starts = (last < len(upto)).nonzero()[:, 0]
    length = last[starts] - starts
    held = upto[last[starts]] - upto[starts]
    best = min(range(len(starts)), key=lambda one: (int(length[one]), -float(held[one])))
    return int(starts[best]), int(length[best])
