"""`timm:NAME` and other names of published networks -> the frozen encoder of a training."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppgn import loaders
from ppgn.errors import one_line, required
from ppgn.images import Size
from ppgn.networks import FrozenEncoder
from training.checkpoints import freeze, read_classes, read_network

SOURCES = ("timm:", "torchvision:", "lite:", "hf:", "transformers:")
"""What the name of a network begins with; anything else is the path of a checkpoint."""
MODEL = "model.safetensors"
"""The file of timm's weights in a repository of the hub."""


@dataclass(frozen=True)
class Frozen:
    """What of a published network becomes the encoder; for an encoder that is a name.

    layer: the layer whose value is the code. code: its "map" of patch tokens or places, its "class" token, or the "mean" over
    places. maps: more layers whose maps the feature loss compares. weights: a file of them; None: of the package, the hub or a
    cache (see GeneratorSystem). size: of the network's input, (height, width) or the side of a square; 0: its own.
    """

    layer: str = ""
    code: Literal["map", "class", "mean"] = "map"
    maps: tuple[str, ...] = ()
    weights: Path | None = None
    size: Size = 0


def is_published(encoder: str | Path) -> bool:
    """Whether an encoder is the name of a published network, and no checkpoint."""
    return str(encoder).startswith(SOURCES)


def encoder_and_classes(encoder: str | Path, frozen: Frozen) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The encoder of a checkpoint or of a published network, its classes and their groups; a published network has none.

    Raises ValueError for what is not there, and for settings of one kind beside an encoder of the other.
    """
    if is_published(encoder):
        return frozen_encoder(str(encoder), frozen), (), ()
    if frozen != Frozen():
        raise ValueError(
            f"got the encoder {encoder}, a checkpoint, and settings of a published network ({frozen}), expected one of them: "
            f"name the network as timm:NAME, or leave its settings out"
        )
    return read_network(Path(encoder), "encoder"), *read_classes(Path(encoder))


def frozen_encoder(name: str, frozen: Frozen) -> FrozenEncoder:
    """The encoder of a published network. Raises ValueError without a layer, and as `loaders.network`."""
    name = name.replace("transformers:", "hf:", 1)
    if not frozen.layer:
        raise ValueError(f"got the encoder {name} without a layer, expected the one whose value is the code: name its layer")
    weights = frozen.weights
    if weights is None and name.startswith("timm:"):
        weights = hub_weights(name)
    seen = loaders.network(name, weights, frozen.size or None)
    settings = json.dumps(seen.network.config.to_diff_dict()) if name.startswith("hf:") else ""  # type: ignore[union-attr, operator]
    return freeze(FrozenEncoder.of(seen, name, frozen.layer, frozen.code, frozen.maps, settings))  # type: ignore[return-value]


def hub_weights(name: str) -> Path:
    """The file of timm's own weights, from the hub's cache or the hub. Raises ValueError where neither has it."""
    timm = required("timm", f"{name} needs timm", "timm")
    hub = required("huggingface_hub", f"the weights of {name} need huggingface_hub", "huggingface_hub", "name a file of them")
    stated = timm.get_pretrained_cfg(name.partition(":")[2])
    place, file = (getattr(stated, field, None) for field in ("hf_hub_id", "hf_hub_filename"))
    if not place:
        raise ValueError(f"timm knows no trained weights of {name}, expected some: name a file of weights")
    try:
        return Path(hub.hf_hub_download(place, file or MODEL))
    except Exception as fault:  # of the client, of the network under it, of the disk
        raise ValueError(
            f"the weights of {name} are not in the hub's cache and cannot be downloaded ({one_line(fault)}): connect to the "
            f"network once, or name a file of weights"
        ) from fault


def codes_before_relu(encoder: Any, images: Any) -> Any:
    """Codes of images before their ReLU; those of an encoder without one as they are."""
    if hasattr(encoder, "fc6_before_relu"):
        return encoder.fc6_before_relu(encoder.maps(images)[-1])
    return encoder(images)


def code_shape(encoder: Any) -> tuple[int, ...]:
    """Shape of an encoder's codes."""
    return tuple(getattr(encoder, "code_shape", None) or (encoder.config.code_size,))
