"""Architectures that others published, by name and without their weights: EfficientNet-Lite, torchvision, timm, transformers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ppgn.errors import required
from ppgn.images import Size, height_and_width
from ppgn.networks.efficientnet_lite import EfficientNetLite

BUILD = {name: {"transform_input": True, "init_weights": False, "aux_logits": False} for name in ("inception_v3", "googlenet")}
"""Options of networks whose training range differs from the library's metadata: transform_input converts between the two.
Their auxiliary heads run in training only."""
LITE = ("0", "1", "2")
"""Numbers of the EfficientNet-Lites that there are."""


@dataclass(frozen=True, eq=False)
class NetworkSource:
    """A network as its source builds it, and its input: size, mean, std and bgr as in Preprocessed (None: not stated)."""

    module: nn.Module
    size: int | tuple[int, int] | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    bgr: bool = False


def lite_network(number: str) -> NetworkSource:
    """EfficientNet-Lite of that number. Raises ValueError for a number that there is not."""
    if number not in LITE:
        raise ValueError(
            f"there is no network lite:{number}, expected lite:0, lite:1 or lite:2: write one of these, or for a "
            f"module of yours lite.py:FUNCTION"
        )
    module = EfficientNetLite(int(number))
    return NetworkSource(module, module.image_size, module.image_mean, module.image_std)


def torchvision_network(name: str) -> NetworkSource:
    """A classifier of torchvision. Raises ValueError for an unknown name, with the nearest."""
    from torchvision import models  # deferred: `import ppgn` stays light

    known = models.list_models(module=models)
    if name not in known:
        nearest = ", ".join(difflib.get_close_matches(name, known, 3, cutoff=0))
        raise ValueError(f"torchvision has no classifier {name!r}, expected a name such as {nearest}: correct it")
    transform: Any = models.get_model_weights(name)["DEFAULT"].transforms()
    height, width = (*transform.crop_size, *transform.crop_size)[:2]
    module = models.get_model(name, weights=None, **BUILD.get(name, {}))
    return NetworkSource(module, (height, width), tuple(transform.mean), tuple(transform.std))


def timm_network(name: str, size: Size | None = None) -> NetworkSource:
    """A network of timm. Raises ValueError for an unknown name, with the nearest.

    size: of another input than the library states: a vision transformer then fits its positions to it in each pass
    (`dynamic_img_size`), with the weights of its own size.
    """
    library = required("timm", f"timm:{name} needs timm", "timm")
    if not library.is_model(name):
        nearest = ", ".join(difflib.get_close_matches(name, library.list_models(), 3, cutoff=0))
        raise ValueError(f"timm has no model {name!r}, expected a name such as {nearest}: correct it")
    stated = library.get_pretrained_cfg(name)
    own = tuple(getattr(stated, "input_size", (3, 224, 224))[1:])
    other = size is not None and height_and_width(size) != own and getattr(stated, "fixed_input_size", False)
    flexible = {"dynamic_img_size": True} if other else {}
    try:
        module = library.create_model(name, pretrained=False, **flexible)
    except TypeError as fault:
        if not flexible:
            raise
        raise ValueError(
            f"timm:{name} takes pictures of {own[0]}x{own[1]} px alone, got {size}: leave the size out, or name another network"
        ) from fault
    config: Any = module.pretrained_cfg
    return NetworkSource(module, tuple(config["input_size"][1:]), tuple(config["mean"]), tuple(config["std"]))


def transformers_network(settings: str) -> NetworkSource:
    """A network of pictures of transformers from its config as JSON. Raises ValueError for a config of another kind."""
    library = required("transformers", "networks of transformers need transformers", "ppgn[text]")
    given = json.loads(settings)
    config = library.AutoConfig.for_model(given.pop("model_type"), **given)
    return NetworkSource(library.AutoModel.from_config(config))


PUBLISHED = {"lite": lite_network, "torchvision": torchvision_network, "timm": timm_network}
"""Prefix of a name -> what builds the network from the rest of it."""
