"""The fc6 encoder: a trunk of convolutions under a fully connected head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ppgn import images


@dataclass(frozen=True)
class Fc6EncoderConfig:
    """A convolutional trunk under the fully connected head fc6 -> fc7 -> classes.

    `trunk` is "convnet" (ours, from scratch, `widths`) or the name of a torchvision model, of which the convolutional
    part is used. `depths` names the trunk's children whose outputs serve feature matching; the last child's output is
    pool5. `mean`, `std` and `bgr` say how the trunk wants its pixels, in units of [0, 1].
    """

    classes: int = 10
    trunk: str = "convnet"
    depths: tuple[str, ...] = ()
    widths: tuple[int, ...] = (32, 64, 128, 256)
    channels: int = 3
    input_size: int = 64
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    bgr: bool = False
    pool5_channels: int = 256
    pool5_size: int = 4
    reduce: int = 128
    code_size: int = 512
    hidden: int = 512
    dropout: float = 0.2


class Fc6Encoder(nn.Module):
    """Image -> code: the units of a classifier's first fully connected layer after their ReLU (fc6; PPGN section 3.1)."""

    architecture = "fc6_encoder"

    def __init__(self, config: Fc6EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = convnet_trunk(config) if config.trunk == "convnet" else torchvision_trunk(config.trunk)
        missing = set(config.depths) - set(dict(self.trunk.named_children()))
        if missing:
            raise ValueError(
                f"trunk {config.trunk} has no children {sorted(missing)}; choose depths from "
                f"{[name for name, _ in self.trunk.named_children()]}"
            )
        reduced = config.reduce or config.pool5_channels
        self.reduce = nn.Conv2d(config.pool5_channels, reduced, 1) if config.reduce else nn.Identity()
        self.fc6 = nn.Linear(reduced * config.pool5_size**2, config.code_size)
        self.fc7 = nn.Linear(config.code_size, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.fc8 = nn.Linear(config.hidden, config.classes)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[picture, channel, height, width]` at `config.depths`, then pool5; one pass through the trunk."""
        settings = self.config
        activation = images.resize(image, settings.input_size)
        activation = images.normalise(activation, settings.mean, settings.std, settings.bgr)
        kept = []
        for name, child in self.trunk.named_children():
            activation = child(activation)
            if name in settings.depths:
                kept.append(activation)
        return [*kept, activation]

    def fc6_before_relu(self, pool5: Tensor) -> Tensor:
        """fc6 before its ReLU, `[picture, code]`."""
        return self.fc6(torch.relu(self.reduce(pool5)).flatten(1))

    def code_from_pool5(self, pool5: Tensor) -> Tensor:
        """fc6 after ReLU, `[picture, code]`."""
        return torch.relu(self.fc6_before_relu(pool5))

    def logits_from_code(self, code: Tensor) -> Tensor:
        """fc8, `[picture, class]`, before the softmax."""
        return self.fc8(self.dropout(torch.relu(self.fc7(code))))

    def forward(self, image: Tensor) -> Tensor:
        """The code `[picture, code]` of pictures `[picture, channel, height, width]`."""
        return self.code_from_pool5(self.maps(image)[-1])


def convnet_trunk(config: Fc6EncoderConfig) -> nn.Sequential:
    """Blocks of two 3x3 convolutions with BatchNorm and ReLU, a 2x2 max-pool after each."""
    trunk = nn.Sequential()
    channels = config.channels
    for index, width in enumerate(config.widths):
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


def torchvision_trunk(name: str) -> nn.Sequential:
    """The convolutional part of a torchvision model, random weights: its `features`, or its children up to `avgpool`."""
    from torchvision import models  # deferred: `import ppgn` stays light

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(f"unknown trunk {name!r}: use 'convnet' or a torchvision classifier, one of {', '.join(known)}")
    model = models.get_model(name, weights=None)
    trunk = nn.Sequential()
    features = getattr(model, "features", None)
    for child_name, child in (features if features is not None else model).named_children():
        if child_name in ("avgpool", "fc", "classifier", "head", "heads"):
            break
        trunk.add_module(child_name, child)
    for module in trunk.modules():
        if hasattr(module, "inplace"):
            setattr(module, "inplace", False)  # noqa: B010 - a map that feature matching keeps must not be overwritten by the next layer
    return trunk
