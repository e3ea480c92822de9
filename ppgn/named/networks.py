"""`--network NAME` -> the network with its weights, behind what turns an image into its input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ppgn.bundle import Bundle
from ppgn.folding import folded
from ppgn.named.sources import build
from ppgn.named.weights import load_weights
from ppgn.probe import Seen
from ppgn.speed import laid_out

LIBRARIES = ("torchvision", "timm")
"""Whose networks run with their maps channels last in memory, and faster for it; somebody's own may take `view` of a map."""
HOW = {"size": "--size HEIGHT (size=)", "mean": "--mean R,G,B (mean=)", "std": "--std R,G,B (std=)"}


def network(
    name: str,
    weights: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    bgr: bool = False,
    trust: bool = False,
    *,
    bundle: Bundle | None = None,
    layers: Sequence[str] | None = None,
) -> Seen:
    """The network of that name, ready for images in [0, 1]; nothing is downloaded.

        torchvision:resnet18   with `weights`, by default the library's own where its cache has them
        timm:NAME              with a file as `weights`
        caffe:PROTOTXT,CAFFEMODEL  definition and weights; pictures of 256 pixels, of which 224 or 227 in the middle are seen
        my_module:function     what the function returns, a module or Seen; the working directory is looked into first
        bundle:classifier      encoder and head of `bundle`; its layers are the encoder's

    weights: a state dict, .safetensors or .pth, or the library's name of weights in its cache (IMAGENET1K_V1). size, mean,
    std, bgr: as Seen, by default what the library's metadata say. trust: read a .pth that holds more than tensors, which can
    run code. layers: those that will be looked at, () for the output alone: BatchNorms are then folded into the convolutions of
    the libraries' networks, but for these (`folding.folded`). Raises ValueError for an unknown name, weights that are not there
    or do not fit, and an input nobody states.
    """
    built = build(name, bundle)
    file = _weights_file(name, weights)
    if file is not None:
        load_weights(built.module, file, trust)
    size = built.size if size is None else size
    mean = built.mean if mean is None else mean
    std = built.std if std is None else std
    missing = [option for option, value in (("size", size), ("mean", mean), ("std", std)) if value is None]
    if size is None or mean is None or std is None:
        raise ValueError(
            f"{name} does not say the {' and '.join(missing)} of its input, expected what it was trained on: "
            f"give {', '.join(HOW[option] for option in missing)}"
        )
    seen = Seen(built.module, size, mean, std, bgr or built.bgr)
    if name.partition(":")[0] in LIBRARIES:
        laid_out(built.module if layers is None else folded(built.module, traced=True, layers=layers))
    return seen


def _weights_file(name: str, weights: str | Path | None) -> Path | None:
    source, _, rest = name.partition(":")
    if source == "torchvision":
        return _torchvision_file(rest, weights)
    if source == "timm" and weights is None:
        raise ValueError(f"{name} would have random weights, expected trained ones: pass --weights FILE (weights=)")
    if source == "caffe" and (weights is not None or "," not in rest):
        raise ValueError(
            f"{name} needs its weights behind a comma, caffe:NET.prototxt,NET.caffemodel: write it so, without --weights"
        )
    if source == "bundle" and weights is not None:
        raise ValueError(f"{name} has the weights of its bundle, got {weights} too: leave --weights out")
    return None if weights is None else Path(weights)


def _torchvision_file(name: str, weights: str | Path | None) -> Path:
    from torchvision import models

    entries = models.get_model_weights(name).__members__
    if weights is not None and str(weights) not in entries:
        return Path(weights)
    entry = entries[str(weights or "DEFAULT")].value
    file = Path(torch.hub.get_dir()) / "checkpoints" / entry.url.rpartition("/")[2]
    if not file.is_file():
        raise ValueError(
            f"torchvision:{name} has no trained weights on this machine, expected {file}: "
            f"pass --weights FILE (weights=), or download {entry.url} to there"
        )
    return file
