"""Class-conditional generators as code -> image: the code is a latent and a class embedding, side by side."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn


class BigGanGenerator(nn.Module):
    """BigGAN-deep of `pytorch_pretrained_biggan`: code (z, c) -> image in [0, 1], 128 units each; c is a class embedding.

    gan: its `BigGAN`. truncation: that its BatchNorms have statistics for, in (0, 1]; z should be as narrow. The code needs no
    class: any c within the range of the embeddings may be asked for (BigGAN-AM). Raises ValueError for another truncation.
    """

    def __init__(self, gan: Any, truncation: float = 1.0) -> None:
        super().__init__()
        if not 0 < truncation <= 1:
            raise ValueError(f"BigGAN got truncation {truncation}, expected it in (0, 1]: pass 1 for all of its pictures")
        self.gan, self.truncation = gan, truncation

    @property
    def embeddings(self) -> Tensor:
        """The embedding of each class, `[class, unit]`."""
        weight: Any = self.gan.embeddings.weight
        return weight.T

    def forward(self, code: Tensor) -> Tensor:
        """Images `[chain, channel, height, width]` of codes `[chain, latent + embedding]`."""
        return 0.5 + 0.5 * self.gan.generator(code, self.truncation)


class ClassStart(nn.Module):
    """N(0, 1) -> codes (z, c): z as drawn, c the embedding of a class that the first number under it chooses, all alike likely.

    embeddings: `[class, unit]`. With many draws a chain begins at one of the likelier classes ("top" of BigGAN-AM).
    """

    embeddings: Tensor

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.register_buffer("embeddings", embeddings.detach().clone())

    def forward(self, noise: Tensor) -> Tensor:
        """Codes of the shape of the noise, `[chain, latent + embedding]`."""
        classes, units = self.embeddings.shape
        quantile = 0.5 + 0.5 * torch.erf(noise[:, -units].double() / math.sqrt(2))
        chosen = (quantile * classes).long().clamp(0, classes - 1)
        return torch.cat([noise[:, :-units], self.embeddings[chosen].to(noise)], 1)
