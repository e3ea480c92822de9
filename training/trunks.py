"""Weights of torchvision's classifiers in trunks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn


def load_trunk(trunk: nn.Sequential, name: str, weights: Path | None) -> None:
    """Fill the trunk from a file in torchvision's spelling, or from torchvision's download.

    Raises ValueError for a missing file and for the weights of another trunk.
    """
    if weights is None:
        from torchvision import models

        state = models.get_model(name, weights="DEFAULT").state_dict()
    elif not Path(weights).is_file():
        raise ValueError(f"no trunk weights at {weights}, expected a state dict of torchvision's {name}: correct the path")
    else:
        state = torch.load(weights, map_location="cpu", weights_only=True)
    wanted = trunk.state_dict()
    found = {key.removeprefix("features."): value for key, value in state.items()}
    missing = [key for key in wanted if key not in found or found[key].shape != wanted[key].shape]
    if missing:
        raise ValueError(
            f"{weights or name} lacks {len(missing)} tensors of {name}'s trunk ({missing[0]} first), expected all: "
            f"pass the weights of {name}"
        )
    trunk.load_state_dict({key: found[key] for key in wanted})
