"""Class-conditional GANs -> bundles whose codes are latents and class embeddings: BigGAN, and those of a linear first layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ppgn.bundle import Bundle
from ppgn.generators import BigGanGenerator, ClassStart, FirstLayerGenerator

TOP_OF = 100
"""Classes of which a chain begins at a likely one; the released code looks at all thousand."""
RECIPE: dict[str, Any] = {
    "sampler": {"name": "biggan_am"},
    "prior": {"name": "none"},
    "start": {"name": "codes"},
    "bounds": {"name": "statistics"},
    "measure": {"name": "log_softmax", "temperature": 1.0},
    "choice": {"draws": TOP_OF, "draw_power": 1.0},
    "steps": 200,  # 10 draws of latents, 20 steps each, as released
}
"""BigGAN-AM, for another network's classes, units and functions."""


def biggan(gan: Any, truncation: float = 1.0) -> Bundle:
    """A bundle of `BigGAN.from_pretrained(NAME)`, or of any network with its `generator(code, truncation)` and `embeddings`.

    Codes `[chain, latent + embedding]`: z from N(0, 1), and a class embedding, bounded by the least and the greatest number of
    all embeddings. Its recipe is BigGAN-AM's, begun at a likely one of `TOP_OF` classes ("top"); start "codes" with 1 draw is a
    class at random, start "mean" the mean embedding. The network is frozen, in place. Raises ValueError for a truncation outside
    (0, 1], and as `Bundle.of`.
    """
    generator = BigGanGenerator(gan, truncation)
    return _of_embeddings("biggan", generator, generator.embeddings, generator.embeddings.shape[1])


def class_conditional(gan: nn.Module, classes: Tensor, name: str = "gan") -> Bundle:
    """A bundle of a network `[picture, latent + class] -> image` in [0, 1], whose first layer is linear: most small GANs.

    classes: the inputs of its classes, `[class, unit]`, rows of the identity where classes are one-hot. The embedding of a class
    is what it adds to the first layer's output. Otherwise as `biggan`. Raises ValueError where the first layer is another one.
    """
    generator = FirstLayerGenerator(gan, classes)
    return _of_embeddings(name, generator, generator.embeddings, generator.latent_units)


def _of_embeddings(name: str, generator: nn.Module, embeddings: Tensor, latents: int) -> Bundle:
    embeddings = embeddings.detach().float()
    units = embeddings.shape[1]
    free = torch.full((latents,), torch.inf)

    def beside(latent: Tensor, embedding: Tensor) -> Tensor:
        return torch.cat([latent, embedding.expand(units).cpu()])

    sampler = {**RECIPE["sampler"], "embedding_units": units}
    return Bundle.of(
        generator,
        (latents + units,),
        name=name,
        low=beside(-free, embeddings.min()),
        high=beside(free, embeddings.max()),
        mean=beside(torch.zeros(latents), embeddings.mean(0)),
        std=beside(torch.ones(latents), embeddings.std(0)),
        parts={"start": ClassStart(embeddings)},
        recipes={"plugged": {**RECIPE, "sampler": sampler}},
    )
