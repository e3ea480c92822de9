"""Where in a picture a response comes from: maps of real and synthetic pictures by the methods of `attribution`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image as Pillow
from torch import Tensor

from ppgn import images
from ppgn.explanation.attribution import GRADIENT, GREY, METHODS, OF_RELUS, SIGNED, heat, maps, relus, window
from ppgn.explanation.study import Part, Pictures, Study, Tick
from ppgn.explanation.target import AT_ONCE, Target
from ppgn.types import Image

GRADIENTS = len(METHODS) - 1
"""Methods that take a gradient: all but occlusion."""


def passes(study: Study, groups: int = 2) -> int:
    """Passes of a picture through a network for `options.where` pictures of each group: real and synthetic ones."""
    height, width = study.bundle.image.size
    windows = 1
    for side in (height, width):
        length, stride = window(side)
        windows *= -(-(side - length) // stride) + 1
    each = 1 + GRADIENTS * GRADIENT + 1 + windows
    return groups * (study.options.where * each + 1) + 1  # and the ReLUs are counted in one pass, in each group once more


def where(study: Study, shown: Mapping[str, Image], tick: Tick) -> Part:
    """Maps of the target's response over at most `options.where` pictures of each group, as heat over the grey picture.

    shown: name of a group -> `[picture, channel, height, width]` in [0, 1]. The methods are those of `attribution.maps`; windows
    of occlusion have the real pictures' mean colour. Red: a small change of the pixel changes the response; of occlusion, the
    pixel raises the response, which falls where it is hidden. Blue, of occlusion: the pixel lowers it.

    `relus`: how many run until the response is known. `left_out`: the methods that need some, with the reason, where there are
    none. Raises ValueError where captum is not installed.
    """
    picked = {name: some[: study.options.where].to(study.bundle.device) for name, some in shown.items()}
    picked = {name: some for name, some in picked.items() if len(some)}
    colour = _mean_colour(study.pictures).to(study.bundle.device)
    count = relus(study.target, next(iter(picked.values())), tick) if picked else 0
    left_out = {} if count else dict.fromkeys(OF_RELUS, "the response goes through no ReLU.")
    methods = [method for method in METHODS if method not in left_out]
    rows: list[dict[str, Any]] = []
    pictures: dict[str, Pillow.Image] = {}
    for name, some in picked.items():
        responses = _measured(study.target, some)
        tick(len(some))
        found = maps(study.target, some, methods, colour, tick)
        for row, image in enumerate(some):
            drawn = {method: heat(image, values[row], method in SIGNED) for method, values in found.items()}
            rows.append(_row(name, row, responses[row], image, drawn, pictures))
    return Part({"methods": methods, "rows": rows, "relus": count, "left_out": left_out}, pictures)


def _measured(target: Target, image: Image) -> list[float | None]:
    """The responses to pictures, None for one that is not finite."""
    return [float(value) if bool(value.isfinite()) else None for value in target.measured(image)]


def _mean_colour(pictures: Pictures) -> Tensor:
    """The mean of the pictures' pixels, `[channel]`; 0.5 without pictures."""
    if not len(pictures):
        return torch.full((pictures.values.shape[1],), GREY)
    parts = [some.double().mean((2, 3)).sum(0) for some in pictures.values.split(AT_ONCE)]
    return (torch.stack(parts).sum(0) / len(pictures) / 255).float()


def _row(
    name: str,
    row: int,
    response: float | None,
    image: Tensor,
    drawn: Mapping[str, Tensor],
    pictures: dict[str, Pillow.Image],
) -> dict[str, Any]:
    """What is known about a picture; puts the picture and its maps into `pictures`."""
    file = f"{name}_{row}".replace(" ", "_")
    pictures[file] = images.to_pil(image)
    files = {method: f"{file}_{method}".replace(" ", "_") for method in drawn}
    for method, one in drawn.items():
        pictures[files[method]] = images.to_pil(one)
    return {"name": f"{name} {row + 1}", "response": response, "picture": file, "maps": files}
