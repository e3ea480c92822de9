"""The generator of a class-conditional GAN: (noise, class) -> picture, and how it is read back from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ppgn import seeds
from ppgn.networks import ImageGenerator
from training.checkpoints import read_checkpoint, read_network


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """`[picture, class]`, 0 or sqrt(classes): a unit's mean square over the classes is then 1, as that of N(0, 1) noise is."""
    return functional.one_hot(labels, classes).float() * classes**0.5


class ClassGenerator(nn.Module):
    """Class -> picture, by an image generator whose code is N(0, I) noise followed by the class."""

    def __init__(self, network: ImageGenerator, noise_size: int) -> None:
        super().__init__()
        self.network, self.noise_size = network, noise_size

    def forward(self, classes: Tensor, noise: Tensor | None = None) -> Tensor:
        """Images `[picture, channel, height, width]` of classes `[picture, class]`, rows of `one_hot`.

        noise: `[picture, unit]`; drawn anew without it.
        """
        drawn = torch.randn(len(classes), self.noise_size, device=classes.device) if noise is None else noise
        return self.network(torch.cat([drawn, classes], 1))

    @torch.no_grad()
    def sample(self, target: int, chosen: range, classes: int) -> Tensor:
        """One image of class `target` among `classes` per seed of `chosen`, clipped to [0, 1]; (seed, class) alone decide."""
        device = next(self.parameters()).device
        noise = seeds.normal(chosen, target, (self.noise_size,), device=device)
        labels = torch.full((len(chosen),), target, device=device)
        return self(one_hot(labels, classes), noise).clamp(0, 1)


@dataclass(frozen=True, eq=False)
class ConditionalGan:
    """A trained generator and the names of its classes."""

    generator: ClassGenerator
    class_names: tuple[str, ...]


def read_conditional_gan(path: Path) -> ConditionalGan:
    """The generator in a checkpoint of scripts/train_conditional_gan.py. Raises ValueError for any other file."""
    content = read_checkpoint(path)
    if "noise_size" not in content:
        raise ValueError(
            f"{path} holds {', '.join(content['parts'])}, expected a class-conditional GAN: pass the last.ckpt of "
            f"scripts/train_conditional_gan.py"
        )
    return ConditionalGan(ClassGenerator(read_network(path, "generator"), content["noise_size"]), tuple(content["class_names"]))
