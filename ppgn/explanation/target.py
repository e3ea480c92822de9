"""What is explained: a unit, a direction, a latent, a class or a function, as one response for each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ppgn.conditions import Position, vector_of
from ppgn.probe import Layer, Passes, Preprocessed, Side
from ppgn.requests import LatentRequest, Request, UnitRequest, direction
from ppgn.seeds import Stream, generator
from ppgn.types import Image

AT_ONCE = 16
"""Pictures that a network sees at once."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A response that is linear in a layer: <weight, vector of the layer(image)> + bias.

    vector: as `conditions.Unit` takes it, at the position or as the mean over positions. weight `[channel]`: of a unit 1 at its
    channel. heads: the layer is attention, whose channels are its heads.
    """

    network: Preprocessed
    layer: str
    weight: Tensor
    bias: float = 0.0
    position: Position = None
    activation: Side | None = None
    heads: bool = False

    def vectors(self, image: Image) -> Tensor:
        """The layer's vectors `[picture, channel]` for pictures."""
        layer = self._layer()
        return vector_of(layer.probe, layer.name, layer(image), image, self.position)

    def maps(self, image: Image) -> Tensor:
        """The response at every position of the layer, `[picture, *position]`; `[picture]` where it is no map or tokens."""
        layer = self._layer()
        value = layer(image)
        axis = layer.probe.channel_axis(layer.name, value)
        return value.movedim(axis, -1) @ self.weight.to(value) + self.bias

    def grid(self, image: Image) -> Tensor:
        """`maps` in rows and columns, `[picture, row, column]`; tokens without their class token and registers, vectors 1 x 1."""
        found = self.maps(image)
        if found.ndim == 2:  # tokens
            tokens = self._layer().probe.tokens(image).patches(found.shape[1])
            return found[:, None, :] if tokens is None else found[:, tokens[0] :].unflatten(1, tokens[1])
        return found[:, None, None] if found.ndim == 1 else found

    def _layer(self) -> Layer:
        return Layer(self.network, self.layer, activation=self.activation, heads=self.heads)


def activation_grids(network: Preprocessed, layer: str, image: Image) -> Tensor:
    """The channels of a layer for one picture `[channel, height, width]` in rows and columns, `[unit, row, column]`.

    Tokens stand without their class token and registers; a vector is 1 x 1. Raises ValueError for an unknown layer.
    """
    found = Layer(network, layer)
    with torch.no_grad():
        value = found(image[None])
    value = value.movedim(found.probe.channel_axis(found.name, value), 1)[0]
    if value.ndim == 2:  # tokens
        tokens = found.probe.tokens(image[None]).patches(value.shape[1])
        return value[:, None, :] if tokens is None else value[:, tokens[0] :].unflatten(1, tokens[1])
    return value[:, None, None] if value.ndim == 1 else value


@dataclass(frozen=True, eq=False)
class Target:
    """One response per picture. request: of a single chain. reading: where it is linear in a layer, else None. passes: makes the
    passes of the bundle's networks that the request may need."""

    request: Request
    reading: Reading | None
    passes: Callable[[], Passes]

    @property
    def name(self) -> str:
        """The name of the request's target: "blocks.6.0:17"."""
        return self.request.names[0]

    def response(self, image: Image) -> Tensor:
        """The response to pictures `[picture, channel, height, width]` in [0, 1], `[picture]`, with the graph of its gradient."""
        return self.request.select([0] * len(image)).condition(self.passes())(image)

    def measured(self, images: Image) -> Tensor:
        """The responses to pictures, some at a time, without a graph, on the CPU."""
        with torch.no_grad():
            return torch.cat([self.response(some).float().cpu() for some in images.split(AT_ONCE)])

    def control(self, seed: int) -> Target | None:
        """A random direction of the same layer and norm, orthogonal to this one; None where the response is in no layer's
        vector of two channels or more, for heads, and for a direction of zeros."""
        reading = self.reading
        if reading is None or reading.heads or len(reading.weight) < 2 or not bool(reading.weight.any()):
            return None
        weight = reading.weight.double().cpu()
        drawn = torch.from_numpy(generator(seed, 0, Stream.CONTROL).standard_normal(len(weight)))
        drawn = drawn - weight * (drawn @ weight) / (weight @ weight)
        drawn = (drawn * weight.norm() / drawn.norm()).to(reading.weight)
        request = direction(reading.network, reading.layer, drawn, position=reading.position, activation=reading.activation)
        other = Reading(reading.network, reading.layer, drawn, 0.0, reading.position, reading.activation)
        return Target(request, other, self.passes)


def target_of(request: Request, network: object, example: Image, passes: Callable[[], Passes]) -> Target:
    """The target of a request of a single chain. network: that of its layer. example: a picture, by which channels are counted.

    Raises ValueError for a request of several chains.
    """
    if len(request) != 1:
        raise ValueError(f"got {len(request)} targets, expected one for each report: ask for each alone")
    if isinstance(request, UnitRequest) and isinstance(network, Preprocessed) and request.measure == "activation":
        layer = Layer(network, request.address.layer, activation=request.activation, heads=True)
        heads = layer.name in layer.probe.heads
        with torch.no_grad():
            vector = vector_of(layer.probe, layer.name, layer(example), example, request.address.position)
        weight = vector.new_zeros(vector.shape[1])
        weight[request.units[0]] = 1.0
        place = request.address.position
        reading = Reading(network, layer.name, weight.detach(), 0.0, place, request.activation, heads)
        return Target(request, reading, passes)
    _check_response(Target(request, None, passes), example)
    if isinstance(request, LatentRequest) and isinstance(network, Preprocessed):
        (row,) = request.rows
        weight, bias = request.weight[row].float(), float(request.bias[row])
        if request.offset is not None:
            bias -= float(weight @ request.offset.float())
        reading = Reading(network, request.layer, weight, bias, request.position, request.activation)
        return Target(request, reading, passes)
    return Target(request, None, passes)


def _check_response(target: Target, example: Image) -> None:
    """Raises ValueError for a function that is not one number for each picture with a gradient to it."""
    with torch.inference_mode(False), torch.enable_grad():
        image = example.detach().clone().requires_grad_()
        response = target.response(image * 1)
    got = f"shape {tuple(response.shape)}" if isinstance(response, Tensor) else type(response).__name__
    if not isinstance(response, Tensor) or response.shape != (len(image),):
        raise ValueError(
            f"{target.name} returned {got} for {len(image)} pictures, expected shape ({len(image)},): return a number for each"
        )
    if not response.requires_grad:
        raise ValueError(
            f"{target.name} is not connected to the picture, expected a response with a gradient to it: remove detach, no_grad, "
            f"argmax or NumPy from it"
        )
