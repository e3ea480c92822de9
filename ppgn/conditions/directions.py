"""Conditions on linear maps of a layer: directions, and latents of sparse auto-encoders."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from ppgn.conditions.addresses import Position
from ppgn.conditions.units import vector_of
from ppgn.probe import Layer, Preprocessed, Probe, Side
from ppgn.types import Image, LogProb


class Direction:
    """<layer(image), direction> per chain: the projection on a direction in a layer, or with `cosine` that over both norms.

    direction: `[channel]`, one weight per channel of the vector that Unit describes (a concept vector, an edit, a difference
    of two classes), or the layer's whole shape `[*layer]`. Raises ValueError when it has neither shape.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        layer: str,
        direction: Tensor,
        *,
        position: Position = None,
        cosine: bool = False,
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.layer = Layer(network, layer, activation=activation)
        self.direction = direction.detach().clone()
        self.position: Position = position
        self.cosine = cosine
        self.channel_axis = channel_axis

    def __call__(self, image: Image) -> LogProb:
        value = self.layer(image)
        direction = self.direction.to(value)
        if self.position is not None or direction.shape != value.shape[1:]:
            value = vector_of(self.layer.probe, self.layer.name, value, image, self.position, self.channel_axis)
        if direction.shape != value.shape[1:]:
            raise ValueError(
                f"a direction in the layer {self.layer.name!r} got shape {tuple(direction.shape)}, expected "
                f"{tuple(value.shape[1:])}: pass one weight per channel"
            )
        value, direction = value.flatten(1), direction.flatten()[None]
        return functional.cosine_similarity(value, direction) if self.cosine else (value * direction).sum(1)


class Latent:
    """Pre-activation of latents of a sparse auto-encoder: w_k . (layer(image) - offset) + b_k for each chain's latent k.

    layer, position, activation and channel_axis as Unit. weight: the encoder's `[latent, channel]`; bias: its `[latent]`;
    offset: what the auto-encoder takes off its input, `[channel]` (the decoder's bias in many), or None. latent: one for all
    chains, or one per chain. Before the auto-encoder's activation, because a latent that is silent has no gradient behind it.
    Returns `[chain]`. Raises ValueError when shapes do not fit the layer, and for a latent that there is not.
    """

    def __init__(
        self,
        network: nn.Module | Preprocessed | Probe,
        layer: str,
        weight: Tensor,
        bias: Tensor,
        latent: int | Sequence[int],
        *,
        offset: Tensor | None = None,
        position: Position = None,
        activation: Side | None = None,
        channel_axis: int | None = None,
    ) -> None:
        self.layer = Layer(network, layer, activation=activation)
        self.weight, self.bias = weight.detach(), bias.detach()
        self.offset = None if offset is None else offset.detach()
        self.latent = latent if isinstance(latent, int) else tuple(latent)
        self.position: Position = position
        self.channel_axis = channel_axis
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"a sparse auto-encoder got a weight of shape {tuple(weight.shape)} and a bias of {tuple(bias.shape)}, expected "
                f"[latent, channel] and [latent]: pass its encoder's"
            )

    def for_chains(self, chains: Sequence[int]) -> Latent:
        """The same for some of its chains, in their order; itself where all have one latent."""
        if isinstance(self.latent, int):
            return self
        other = copy.copy(self)
        other.latent = tuple(self.latent[chain] for chain in chains)
        return other

    def __call__(self, image: Image) -> LogProb:
        value = self.layer(image)
        vector = vector_of(self.layer.probe, self.layer.name, value, image, self.position, self.channel_axis)
        if vector.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"weights of {self.weight.shape[1]} channels got the layer {self.layer.name!r} of {vector.shape[1]}, expected as "
                f"many: name the layer that they are for"
            )
        vector = vector if self.offset is None else vector - self.offset.to(vector)
        latents = (self.latent,) * len(vector) if isinstance(self.latent, int) else self.latent
        if len(latents) != len(vector) or any(not 0 <= latent < len(self.bias) for latent in latents):
            raise ValueError(
                f"latents {list(latents)} were asked of {len(vector)} chains, expected one per chain from 0 to "
                f"{len(self.bias) - 1}: choose such latents"
            )
        rows = list(latents)
        return (vector * self.weight[rows].to(vector)).sum(1) + self.bias[rows].to(vector)
