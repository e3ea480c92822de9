"""Requests of a plugged-in network by name: its classes, and the units, directions and latents of its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.conditions import UnitAddress, at_target, measure_named, vector_at
from ppgn.errors import one_line
from ppgn.probe import Layer, Passes, Preprocessed, weights_dtype
from ppgn.requests.classes import NetworkClassRequest, class_index
from ppgn.requests.units import LatentRequest, UnitRequest
from ppgn.types import Image

SAE_NAMES = (("encoder.weight", "encoder.bias", "decoder.bias"), ("W_enc", "b_enc", "b_dec"))
"""Names in files of sparse auto-encoders: the encoder's weight and bias, and the offset of its input. W_enc is transposed."""


@dataclass(frozen=True)
class Plugged:
    """A network by name, by default the bundle's encoder and head.

    weights, size, mean, std, bgr: as `loaders.network`. precision: "auto", "float32" or "bfloat16".
    """

    name: str = loaders.BUNDLE_CLASSIFIER
    weights: str | Path | None = None
    size: int | tuple[int, int] | None = None
    mean: float | Sequence[float] | None = None
    std: float | Sequence[float] | None = None
    bgr: bool = False
    precision: str = "auto"

    def loaded(self, bundle: Bundle, layers: Sequence[str]) -> Preprocessed:
        """The network on the bundle's device. layers: those that conditions will read; () is the output.

        Raises ValueError as `loaders.network`, and for a precision of the bundle's own encoder, which the recipe sets.
        """
        given = {name: getattr(self, name) for name in ("weights", "size", "mean", "std", "bgr")}
        if self.name == loaders.BUNDLE_CLASSIFIER:
            if self.precision not in ("auto", "float32"):
                raise ValueError(
                    f"got the precision {self.precision} for {self.name}, expected the bundle's own: set the recipe's"
                )
            return loaders.network(self.name, bundle=bundle, **given)
        seen = loaders.network(self.name, **given, bundle=bundle, layers=layers)
        seen.network.to(bundle.device)
        images = colours(loaders.two_images(bundle), seen, bundle)
        return loaders.in_precision(seen, images, self.precision, name=self.name, layers=layers)

    def about(self, seen: Preprocessed) -> dict[str, Any]:
        """The network's name, weights and precision, as JSON. seen: the loaded network."""
        precision = str(weights_dtype(seen.network)).removeprefix("torch.")
        return {
            "network": self.name,
            "weights": None if self.weights is None else str(self.weights),
            "network_precision": precision,
        }


def network_units(bundle: Bundle, plugged: Plugged, address: str, measure: str = "activation") -> UnitRequest:
    """Units of a layer of a network by name, "layer:17" or as `UnitAddress`, tried on a black image.

    Raises ValueError for an unknown network, layer, unit or measure, and for a network that fails on the bundle's images.
    """
    parsed = UnitAddress.parse(address)
    measure_named(measure)  # says which there are
    seen = plugged.loaded(bundle, (parsed.layer,))
    adapt = _adapter(seen, bundle)
    layer = Layer(seen, parsed.layer)
    vector = vector_at(tried(lambda image: layer(adapt(image)), bundle, plugged.name), parsed.position, None, parsed.layer)
    units = tuple(range(vector.shape[1])) if parsed.units is None else parsed.units
    units = units if isinstance(units, tuple) else (units,)
    at_target(vector.expand(len(units), -1), units, f"the layer {parsed.layer!r}")
    about = {**plugged.about(seen), "unit": address}
    return UnitRequest(seen, parsed, units, measure, None, about, adapt)


def network_classes(bundle: Bundle, plugged: Plugged, wanted: Sequence[str]) -> NetworkClassRequest:
    """Classes of a network by name, each once; "all" is every class.

    wanted: names of classes where the network's library has them, else numbers. Raises ValueError for an unknown network or
    class, and for a network that does not return `[chain, class]`.
    """
    seen = plugged.loaded(bundle, ())
    adapt = _adapter(seen, bundle)

    def scores(image: Image) -> Tensor:
        return seen(adapt(image))

    found = tried(scores, bundle, plugged.name)
    if found.ndim != 2:
        raise ValueError(
            f"{plugged.name} returned {list(found.shape)} for one image, expected [1, class]: ask for a unit, or another network"
        )
    listed = loaders.class_names(plugged.name, bundle)
    known = listed if len(listed) == found.shape[1] else tuple(str(index) for index in range(found.shape[1]))
    chosen = range(len(known)) if list(wanted) == ["all"] else [class_index(known, name, plugged.name) for name in wanted]
    return NetworkClassRequest(scores, known, tuple(dict.fromkeys(chosen)), plugged.about(seen))


def network_direction(bundle: Bundle, plugged: Plugged, layer: str, file: str | Path) -> LatentRequest:
    """Directions in a layer from a safetensors file with one tensor, `[channel]` or `[direction, channel]`: all of its rows.

    Raises ValueError for any other file, and for a number of channels that the layer does not have.
    """
    stored = _tensors(file, "a direction")
    if len(stored) != 1 or next(iter(stored.values())).ndim not in (1, 2):
        raise ValueError(f"{file} holds {sorted(stored)}, expected one tensor [channel] or [direction, channel]: save it alone")
    rows = torch.atleast_2d(next(iter(stored.values())).float())
    return _linear(bundle, plugged, layer, "direction", rows, rows.new_zeros(len(rows)), range(len(rows)), None, file)


def network_latents(bundle: Bundle, plugged: Plugged, layer: str, file: str | Path, latents: Sequence[int]) -> LatentRequest:
    """Latents of a sparse auto-encoder on a layer, from a safetensors file with its encoder's weight and bias (`SAE_NAMES`).

    Raises ValueError for any other file, a latent that the auto-encoder does not have, and another layer than it is for.
    """
    stored = _tensors(file, "a sparse auto-encoder")
    for weight, bias, offset in SAE_NAMES:
        if weight in stored and bias in stored:
            rows = stored[weight].float().T if weight == "W_enc" else stored[weight].float()
            return _linear(bundle, plugged, layer, "latent", rows, stored[bias].float(), latents, stored.get(offset), file)
    wanted = " or ".join(f"{weight} and {bias}" for weight, bias, _ in SAE_NAMES)
    raise ValueError(f"{file} holds {sorted(stored)}, expected the encoder's {wanted}: save them under these names")


def colours(image: Image, seen: Preprocessed, bundle: Bundle) -> Image:
    """A grey image in three channels where the network takes three. Raises ValueError for any other difference."""
    wanted = loaders.input_channels(seen.network, bundle.image.channels)
    if wanted == bundle.image.channels:
        return image
    if bundle.image.channels != 1:
        raise ValueError(
            f"the network takes {wanted} channels, {bundle.name} makes images of {bundle.image.channels}, expected as many: "
            f"use another network, or convert them in a function of your own"
        )
    return image.expand(-1, wanted, -1, -1)


def tried(function: Callable[[Image], Tensor], bundle: Bundle, name: str) -> Tensor:
    """The function's value for one black image. Raises ValueError where it fails, so before any chain runs."""
    try:
        with torch.no_grad():
            return function(torch.zeros(1, *bundle.image.shape, device=bundle.device))
    except (RuntimeError, TypeError, AttributeError, IndexError, AssertionError) as fault:
        raise ValueError(
            f"{name} failed on an image ({one_line(fault)}): check the size, mean and precision of its input"
        ) from fault


def _adapter(seen: Preprocessed, bundle: Bundle) -> Callable[[Image], Image]:
    return lambda image: colours(image, seen, bundle)


def _linear(
    bundle: Bundle,
    plugged: Plugged,
    layer: str,
    what: str,
    weight: Tensor,
    bias: Tensor,
    rows: Sequence[int],
    offset: Tensor | None,
    file: str | Path,
) -> LatentRequest:
    seen = plugged.loaded(bundle, (layer,))
    adapt = _adapter(seen, bundle)
    about: Mapping[str, Any] = {**plugged.about(seen), "file": str(file)}
    request = LatentRequest(seen, layer, what, weight, bias, tuple(rows), offset, None, about, adapt)
    outside = [row for row in request.rows if not 0 <= row < len(bias)]
    if outside or not request.rows:
        got = f"{what} {outside[0]}" if outside else f"no {what}"
        raise ValueError(f"got {got} of {file}, expected one or more from 0 to {len(bias) - 1}: say which")
    tried(request.select([0]).condition(Passes({})), bundle, plugged.name)
    return request


def _tensors(file: str | Path, what: str) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as fault:
        raise ValueError(f"cannot read {what} from {file} ({one_line(fault)}): give a .safetensors file") from fault
