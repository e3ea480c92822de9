"""Class-conditional generators as code -> image: the code is a latent and a class embedding, side by side."""

from __future__ import annotations

import copy
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


class FirstLayerGenerator(nn.Module):
    """A network (latent, class) -> image whose first layer is linear, as code (z, c) -> image: c is what a class adds there.

    With W_y the layer's columns of the class, c = W_y y, so each row y of `classes` has an embedding, and between and beyond
    them any c may be asked for, of as many units as the layer has. gan: a network of `[picture, latent + class]` whose pictures
    are in [0, 1]; its first torch.nn.Linear must be the layer that takes them, possibly scaled. It is copied. classes: the
    inputs y of its classes, `[class, unit]`. Raises ValueError without such a layer.
    """

    embeddings: Tensor

    def __init__(self, gan: nn.Module, classes: Tensor) -> None:
        super().__init__()
        self.gan: Any = copy.deepcopy(gan)
        place, layer = next(((name, m) for name, m in gan.named_modules() if isinstance(m, nn.Linear)), ("", None))
        self.latent_units = 0 if layer is None else layer.in_features - classes.shape[1]
        if layer is None or not place or self.latent_units < 1:
            got = "no linear layer" if layer is None else f"a first layer of {layer.in_features} units"
            raise ValueError(
                f"a class-conditional GAN has {got}, expected a linear one inside it for a latent and {classes.shape[1]} class "
                f"units: wrap a network whose first layer takes both side by side"
            )
        weight = layer.weight.detach()
        free = torch.eye(layer.out_features, dtype=weight.dtype, device=weight.device)
        widened = nn.Linear(self.latent_units + layer.out_features, layer.out_features, bias=layer.bias is not None).to(weight)
        widened.weight = nn.Parameter(torch.cat([weight[:, : self.latent_units], free], 1))
        if layer.bias is not None:
            widened.bias = nn.Parameter(layer.bias.detach().clone())
        self.gan.set_submodule(place, widened)
        self.register_buffer("embeddings", classes.to(weight) @ weight[:, self.latent_units :].T)

    def forward(self, code: Tensor) -> Tensor:
        """Images `[chain, channel, height, width]` of codes `[chain, latent + embedding]`."""
        return self.gan(code)


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
