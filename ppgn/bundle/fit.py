"""Whether networks fit the codes, images and classes that bundle.json states: by their configurations, or by one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.errors import one_line
from ppgn.images import height_and_width
from ppgn.types import CodeSpace, ImageSpec

SCORING = ("encoder", "classifier")
"""Parts that score the classes of a bundle."""


def check_fit(parts: Mapping[str, nn.Module], code: CodeSpace, image: ImageSpec, classes: tuple[str, ...]) -> None:
    """Raises ValueError where the configuration of a part says that it takes or makes something else; no network runs."""
    for part, network in parts.items():
        config = getattr(network, "config", None)
        is_generator = str(getattr(network, "architecture", "")).endswith("generator")
        size = getattr(config, "code_size", None)
        shape = getattr(network, "code_shape", None if size is None else (size,))
        fits = is_generator and size is None and math.prod(shape or ()) == math.prod(code.shape)  # it reshapes codes itself
        if shape is not None and (is_generator or part not in SCORING[1:]) and not fits:
            _compare("a code of shape", list(code.shape), f"its {part} has codes of", list(shape))
        if is_generator and config is not None:
            side = height_and_width(getattr(network, "image_size", getattr(config, "image_size", 0)), part)
            made = [config.channels if hasattr(config, "channels") else len(config.mean), *side]
            _compare("images of [channels, height, width]", list(image.shape), f"its {part} makes", made)
        if part in SCORING and classes:
            scores = getattr(config, "classes", getattr(network, "classes", None))
            _compare("classes, in number", len(classes), f"its {part} scores", scores if scores is not None else len(classes))


def check_scores(encoder: Any, image: Tensor, classes: tuple[str, ...]) -> None:
    """Raises ValueError where an encoder scores another number of classes of one image; one without a head is left alone."""
    if not classes or not hasattr(encoder, "logits_from_code"):
        return
    try:
        with torch.no_grad():
            found = list(encoder.logits_from_code(encoder(image)).shape)
    except Exception as fault:  # whatever somebody's forward raises
        raise ValueError(
            f"the encoder scores no image of shape {list(image.shape)} ({one_line(fault)}): pass the encoder of this generator"
        ) from fault
    if found != [1, len(classes)]:
        raise ValueError(
            f"got {len(classes)} classes, but the encoder's scores of one image have the shape {found}, expected "
            f"{[1, len(classes)]}: name each of its classes, in their order"
        )


def _compare(what: str, stated: Any, who: str, found: Any) -> None:
    if stated != found:
        raise ValueError(f"states {what} {stated}, but {who} {found}: correct it, or export the bundle again")
