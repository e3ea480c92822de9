"""A plugged-in network in bfloat16, where the device has units for it and its gradients agree with those of float32."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ppgn import acceleration
from ppgn.errors import one_line
from ppgn.probe import Preprocessed, Probe, weights_dtype
from ppgn.types import Image


def in_precision(
    network: Preprocessed, images: Image, precision: str = "auto", *, name: str = "", layers: Sequence[str] = ()
) -> Preprocessed:
    """The network in "float32" or "bfloat16": a copy, or the network itself where its weights have that type already.

    "auto" leaves the choice for a float32 network to `acceleration.choose_precision`. It compares the gradients of half the mean
    square of `layers`, or of the output, at `images`. A network of another type stays as it is.

    images: `[image, channel, height, width]` in [0, 1], such as chains show the network. name: that of the network in messages.
    Raises ValueError for an unknown precision, and for a network that
    cannot be copied.
    """
    if precision not in ("auto", *acceleration.DTYPES):
        choices = ", ".join(("auto", *acceleration.DTYPES))
        raise ValueError(f"got the precision {precision!r} for a network, expected {choices}: choose one of these")
    dtype = weights_dtype(network.network)
    if precision == "auto":
        return _chosen(network, images, name, layers) if dtype == torch.float32 else network
    if dtype == acceleration.DTYPES[precision]:
        return network
    try:
        return _copy(network, precision)
    except Exception as fault:  # copying a user's network can raise anything
        raise ValueError(
            f"{name or 'the network'} cannot be converted to {precision} ({one_line(fault)}): leave the precision out"
        ) from fault


def _chosen(network: Preprocessed, images: Image, name: str, layers: Sequence[str]) -> Preprocessed:
    networks = {"float32": network}

    def function(precision: str) -> Callable[[Image], Tensor]:
        if precision not in networks:
            networks[precision] = _copy(network, precision)
        return lambda image: _half_mean_square(networks[precision], image, layers)

    chosen, _ = acceleration.choose_precision(function, lambda: images, device=images.device, who=name or "the network")
    return networks[chosen]


def _copy(network: Preprocessed, precision: str) -> Preprocessed:
    other = copy.copy(network)
    with torch.inference_mode(False), torch.no_grad():
        other.network = copy.deepcopy(network.network).to(acceleration.DTYPES[precision])
    return other


def _half_mean_square(network: Preprocessed, image: Image, layers: Sequence[str]) -> Tensor:
    """Half the mean square of each layer, or of the output, summed over layers."""
    values = list(Probe(network, layers)(image).values()) if layers else [network(image)]
    return torch.stack([value.square().mean() / 2 for value in values]).sum()
