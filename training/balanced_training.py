"""What a balanced training carries from update to update: ruler, balance, the adversary's loss; and what sets its rates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppgn.images import Size
from ppgn.networks import TrunkConfig, build_trunk, trunk_maps
from training.balanced import ADVERSARIES, SHOWN, Balanced, BalancedUpdate, Ruler
from training.checkpoints import freeze
from training.projected import ProjectedDiscriminator
from training.trunks import load_trunk

FIRST_LOSS = 4.0
"""What the average of the discriminator's loss starts from: high enough for an unthrottled rate."""


class RulerNetwork(nn.Module):
    """Pictures `[picture, channel, height, width]` in [0, 1] -> maps of a frozen classifier, in the order of its layers."""

    def __init__(self, ruler: Ruler, channels: int, size: Size) -> None:
        super().__init__()
        shape = {"channels": channels, "input_size": ruler.input_size or size}
        self.config = TrunkConfig(ruler.trunk, ruler.depths, mean=ruler.mean, std=ruler.std, bgr=ruler.bgr, **shape)
        self.trunk = build_trunk(self.config)
        if ruler.trunk != "convnet":  # which has no weights of its own: random maps, for tests
            load_trunk(self.trunk, ruler.trunk, ruler.weights)
        freeze(self).to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> RulerNetwork:
        return super().train(False)  # frozen: a BatchNorm keeps the statistics it came with

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return trunk_maps(self.trunk, self.config, pictures)


class BalancedTraining(nn.Module):
    """The balanced update with its rates. `prepare` stands before an update and reads values back; the update itself does not.

    Registers the ruler, the balance and the discriminator's average loss; the other networks belong to the caller.
    """

    loss: Tensor

    def __init__(
        self,
        settings: Balanced,
        generator: nn.Module,
        discriminator: ProjectedDiscriminator,
        encoder: Any,
        ruler: RulerNetwork,
        code_scale: float | Tensor,
    ) -> None:
        super().__init__()
        self.settings, self.ruler, self.balance = settings, ruler, settings.balance()
        self.register_buffer("loss", torch.tensor(FIRST_LOSS))
        self.update = BalancedUpdate(generator, discriminator, self.balance, encoder.maps, ruler, code_scale)

    def prepare(self, ours: Any, theirs: Any, learning_rate: float, updates: int, done: float) -> None:
        """Set both rates and the adversaries' weights for the next update. done: share of the training that is over."""
        rule = self.settings.adversary
        set_rate(ours, rule.generator_rate(learning_rate, updates, done))
        set_rate(theirs, rule.discriminator_rate(updates, done, float(self.loss)))
        self.balance.weigh(dict.fromkeys(ADVERSARIES, rule.share(updates)))

    def forward(self, pictures: Tensor, code: Tensor, ours: Any, theirs: Any, opposed: bool = True) -> Tensor:
        """One update of each network; values of `SHOWN`. opposed: see BalancedUpdate."""
        shown = self.update(pictures, code, ours, theirs, opposed)
        if opposed:
            memory = self.settings.adversary.memory
            self.loss.mul_(memory).add_(shown[SHOWN.index("discriminator")], alpha=1 - memory)
        return shown


def build_adversary(settings: Balanced, encoder: Any, pictures: Tensor, code_size: int) -> ProjectedDiscriminator:
    """The discriminator whose mixing is scaled to the trunk's maps of these pictures, `[picture, channel, height, width]`."""
    with torch.no_grad():
        maps = encoder.maps(pictures)
    widths = [one.shape[1] for one in maps]
    adversary = ProjectedDiscriminator(settings.discriminator, pictures.shape[1], widths, code_size)
    adversary.mixing.fit(maps)
    return adversary.to(memory_format=torch.channels_last)


def set_rate(optimizer: Any, rate: float) -> None:
    """Set the rate of all groups; a tensor keeps its place in memory, where a captured update reads it."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
