"""Trunks of convolutions, which encoders and captioners share: pixels in [0, 1] -> feature maps at several depths."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ppgn import images
from ppgn.images import Size
from ppgn.networks.efficientnet_lite import efficientnet_lite0

AFTER_CONVOLUTIONS = ("avgpool", "fc", "classifier", "head", "heads")
"""Names that torchvision's classifiers give to the first module behind their convolutions."""


@dataclass(frozen=True)
class TrunkConfig:
    """Architecture and input of a trunk.

    trunk: "convnet" (from scratch, one block per entry of `widths`), "efficientnet_lite0", or the name of a torchvision
    classifier, whose convolutions are used. depths: the children whose maps are kept besides the last one's. input_size: (height,
    width) to which images are resized, or the side of a square. mean, std, bgr: the normalisation of `images.normalise`, in units
    of [0, 1] pixels.
    """

    trunk: str = "convnet"
    depths: tuple[str, ...] = ()
    widths: tuple[int, ...] = (32, 64, 128, 256)
    channels: int = 3
    input_size: Size = 64
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    bgr: bool = False


def build_trunk(config: TrunkConfig) -> nn.Sequential:
    """The trunk with random weights. Raises ValueError for an unknown trunk and for depths that it does not have."""
    if config.trunk == "convnet":
        trunk = _convnet(config.channels, config.widths)
    else:
        trunk = efficientnet_lite0() if config.trunk == "efficientnet_lite0" else _torchvision(config.trunk)
    names = [name for name, _ in trunk.named_children()]
    missing = sorted(set(config.depths) - set(names))
    if missing:
        raise ValueError(f"the trunk {config.trunk} has no children {missing}, expected depths among {names}: choose from them")
    return trunk


def trunk_maps(trunk: nn.Sequential, config: TrunkConfig, image: Tensor) -> list[Tensor]:
    """Maps `[picture, channel, height, width]` at `config.depths`, then the last one (pool5), in one pass over the trunk.

    image: `[picture, channel, height, width]` in [0, 1], resized and normalised here.
    """
    activation = images.resize(image, config.input_size)
    activation = images.normalise(activation, config.mean, config.std, config.bgr)
    kept = []
    for name, child in trunk.named_children():
        activation = child(activation)
        if name in config.depths:
            kept.append(activation)
    return [*kept, activation]


def _convnet(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Blocks of two 3x3 convolutions with BatchNorm and ReLU, a 2x2 max-pool after each block."""
    trunk = nn.Sequential()
    for index, width in enumerate(widths):
        block = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        trunk.add_module(f"block{index}", block)
        channels = width
    return trunk


def _torchvision(name: str) -> nn.Sequential:
    """The convolutions of a torchvision classifier: its `features`, or its children up to the average pool."""
    from torchvision import models  # deferred: `import ppgn` stays light

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(
            f"got the trunk {name!r}, expected 'convnet', 'efficientnet_lite0' or a torchvision classifier: use one of "
            f"{', '.join(known)}"
        )
    model = models.get_model(name, weights=None)
    trunk = nn.Sequential()
    features = getattr(model, "features", None)
    for child_name, child in (features if features is not None else model).named_children():
        if child_name in AFTER_CONVOLUTIONS:
            break
        trunk.add_module(child_name, child)
    for module in trunk.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - the next layer must not overwrite a map that is kept
    return trunk
