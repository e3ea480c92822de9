"""The fc6 encoder: a trunk of convolutions under a fully connected head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ppgn.images import Size, height_and_width
from ppgn.networks.trunk import TrunkConfig, build_trunk, trunk_maps


@dataclass(frozen=True)
class Fc6EncoderConfig(TrunkConfig):
    """A trunk under the fully connected head fc6 -> fc7 -> fc8, one unit of fc8 per class.

    pool5_channels, pool5_size: channels and (height, width) of the trunk's last map. reduce: channels that a 1x1 convolution
    leaves of it in front of fc6 (0: all). code_size, hidden: units of fc6 and of fc7. dropout: before fc8.
    """

    classes: int = 10
    pool5_channels: int = 256
    pool5_size: Size = 4
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
        self.trunk = build_trunk(config)
        reduced = config.reduce or config.pool5_channels
        height, width = height_and_width(config.pool5_size, "pool5")
        self.reduce = nn.Conv2d(config.pool5_channels, reduced, 1) if config.reduce else nn.Identity()
        self.fc6 = nn.Linear(reduced * height * width, config.code_size)
        self.fc7 = nn.Linear(config.code_size, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.fc8 = nn.Linear(config.hidden, config.classes)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps `[picture, channel, height, width]` at `config.depths`, then pool5, in one pass over the trunk."""
        return trunk_maps(self.trunk, self.config, image)

    def fc6_before_relu(self, pool5: Tensor) -> Tensor:
        """fc6 before its ReLU, `[picture, code]`."""
        return self.fc6(torch.relu(self.reduce(pool5)).flatten(1))

    def code_from_pool5(self, pool5: Tensor) -> Tensor:
        """fc6 after its ReLU, `[picture, code]`."""
        return torch.relu(self.fc6_before_relu(pool5))

    def logits_from_code(self, code: Tensor) -> Tensor:
        """fc8, `[picture, class]`, before the softmax."""
        return self.fc8(self.dropout(torch.relu(self.fc7(code))))

    def forward(self, image: Tensor) -> Tensor:
        """The code `[picture, code]` of pictures `[picture, channel, height, width]` in [0, 1]."""
        return self.code_from_pool5(self.maps(image)[-1])
