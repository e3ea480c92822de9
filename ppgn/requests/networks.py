"""Requests of a plugged-in network by name: its classes, and the units, directions and latents of its layers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ppgn import loaders
from ppgn.bundle import Bundle
from ppgn.conditions import UnitAddress, at_target, measure_named, vector_of
from ppgn.errors import one_line
from ppgn.probe import Layer, Passes, Preprocessed, Probe, Side, named_tensors, score_names, scores_of, weights_dtype
from ppgn.requests.classes import NetworkClassRequest, class_index
from ppgn.requests.request import Request
from ppgn.requests.trial import check_request, check_scores, fitted, with_graph
from ppgn.requests.units import LatentRequest, UnitRequest
from ppgn.types import check_finite

_log = logging.getLogger("ppgn")
Made = TypeVar("Made", bound=Request)

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
        """The network in its own precision on the bundle's device. layers: those that conditions will read; () is the output.

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
        return seen

    def quick(self, seen: Preprocessed, bundle: Bundle, layers: Sequence[str]) -> Preprocessed:
        """A loaded network in the precision that was asked for."""
        if self.name == loaders.BUNDLE_CLASSIFIER:
            return seen
        return loaders.in_precision(seen, loaders.two_images(bundle), self.precision, name=self.name, layers=layers)

    def about(self, seen: Preprocessed) -> dict[str, Any]:
        """The network's name, weights and precision, as JSON. seen: the loaded network."""
        precision = str(weights_dtype(seen.network)).removeprefix("torch.")
        return {
            "network": self.name,
            "weights": None if self.weights is None else str(self.weights),
            "network_precision": precision,
        }


def network_units(
    bundle: Bundle,
    plugged: Plugged,
    address: str,
    measure: str = "activation",
    *,
    activation: Side | None = None,
    check: bool = True,
) -> UnitRequest:
    """Units of a layer of a network by name, "layer:17" or as `UnitAddress`, tried on two images of the bundle.

    activation: as Probe. check: see `trial.check_request`. Raises ValueError for an unknown network, layer, unit or measure, and
    for a network that fails on the images.
    """
    parsed = UnitAddress.parse(address)
    measure_named(measure)  # says which there are
    loaded = plugged.loaded(bundle, (parsed.layer,))
    layer = Layer(loaded, parsed.layer).name
    seen, value = fitted(loaded, bundle, plugged.name, lambda seen: Layer(seen, layer, activation=activation, heads=True))
    probe = Probe(seen, layer, heads=True)
    vector = vector_of(probe, layer, value, loaders.two_images(bundle), parsed.position)
    units = tuple(range(vector.shape[1])) if parsed.units is None else parsed.units
    units = units if isinstance(units, tuple) else (units,)
    kind = "heads of the layer" if layer in probe.heads else "layer"
    at_target(vector[:1].expand(len(units), -1), units, f"the {kind} {parsed.layer!r}")
    if check and measure in ("log_softmax", "released"):
        check_scores(vector, f"the layer {parsed.layer!r}")

    def made(seen: Preprocessed) -> UnitRequest:
        side = {} if activation is None else {"activation": activation}
        return UnitRequest(seen, parsed, units, measure, activation, {**plugged.about(seen), "unit": address, **side})

    return _ready(made, seen, bundle, plugged, (layer,), check)


def network_classes(bundle: Bundle, plugged: Plugged, wanted: Sequence[str], *, check: bool = True) -> NetworkClassRequest:
    """Classes of a network by name, each once; "all" is every class.

    wanted: names of classes where the network's library has them, else numbers. check: see `trial.check_request`. Raises
    ValueError for an unknown network or class, and for a network that does not return `[chain, class]`.
    """
    seen, output = fitted(plugged.loaded(bundle, ()), bundle, plugged.name, lambda seen: seen.output)
    found = _scores(output, plugged.name)
    if check:
        check_scores(with_graph(seen, bundle), plugged.name)
    listed = loaders.class_names(plugged.name, bundle)
    known = listed if len(listed) == found.shape[1] else tuple(str(index) for index in range(found.shape[1]))
    groups = bundle.groups if known == bundle.classes else ()
    every = list(wanted) == ["all"]
    chosen = range(len(known)) if every else [class_index(known, name, plugged.name, groups) for name in wanted]

    def made(seen: Preprocessed) -> NetworkClassRequest:
        return NetworkClassRequest(seen, known, tuple(dict.fromkeys(chosen)), plugged.about(seen))

    return _ready(made, seen, bundle, plugged, (), check)


def _scores(output: Any, name: str) -> Tensor:
    """The scores in a network's output. Raises ValueError where it has none; warns where there are several of a tuple."""
    found, names = scores_of(output), score_names(output)
    if isinstance(found, Tensor) and found.ndim == 2:
        if len(names) > 1:
            _log.warning(f"{name} returned {len(names)} tensors [chain, class]: the first is taken for the scores of its classes")
        return found
    listed = ", ".join(f"{part or 'a tensor'} {list(tensor.shape)}" for part, tensor in named_tensors(output).items())
    raise ValueError(
        f"{name} returned {listed or type(output).__name__}, expected [chain, class], alone or called logits: ask for a unit, or "
        f"return the scores alone"
    )


def _ready(
    make: Callable[[Preprocessed], Made], seen: Preprocessed, bundle: Bundle, plugged: Plugged, layers: Sequence[str], check: bool
) -> Made:
    """The request of the network in its precision, checked before in the precision of its weights."""
    if check:
        check_request(make(seen), seen, bundle, plugged.name)
    return make(plugged.quick(seen, bundle, layers))


def network_direction(bundle: Bundle, plugged: Plugged, layer: str, file: str | Path, *, check: bool = True) -> LatentRequest:
    """Directions in a layer from a safetensors file with one tensor, `[channel]` or `[direction, channel]`: all of its rows.

    Raises ValueError for any other file, and for a number of channels that the layer does not have.
    """
    stored = _tensors(file, "a direction")
    if len(stored) != 1 or next(iter(stored.values())).ndim not in (1, 2):
        raise ValueError(f"{file} holds {sorted(stored)}, expected one tensor [channel] or [direction, channel]: save it alone")
    rows = torch.atleast_2d(next(iter(stored.values())).float())
    return _linear(bundle, plugged, layer, "direction", rows, rows.new_zeros(len(rows)), range(len(rows)), None, file, check)


def network_latents(
    bundle: Bundle, plugged: Plugged, layer: str, file: str | Path, latents: Sequence[int], *, check: bool = True
) -> LatentRequest:
    """Latents of a sparse auto-encoder on a layer, from a safetensors file with its encoder's weight and bias (`SAE_NAMES`).

    Raises ValueError for any other file, a latent that the auto-encoder does not have, and another layer than it is for.
    """
    stored = _tensors(file, "a sparse auto-encoder")
    for weight, bias, offset in SAE_NAMES:
        if weight in stored and bias in stored:
            rows = stored[weight].float().T if weight == "W_enc" else stored[weight].float()
            of_input = stored.get(offset)
            return _linear(bundle, plugged, layer, "latent", rows, stored[bias].float(), latents, of_input, file, check)
    wanted = " or ".join(f"{weight} and {bias}" for weight, bias, _ in SAE_NAMES)
    raise ValueError(f"{file} holds {sorted(stored)}, expected the encoder's {wanted}: save them under these names")


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
    check: bool,
) -> LatentRequest:
    outside = [row for row in rows if not 0 <= row < len(bias)]
    if outside or not rows:
        got = f"{what} {outside[0]}" if outside else f"no {what}"
        raise ValueError(f"got {got} of {file}, expected one or more from 0 to {len(bias) - 1}: say which")
    loaded = plugged.loaded(bundle, (layer,))
    Layer(loaded, layer)  # says which there are
    seen, _ = fitted(loaded, bundle, plugged.name, lambda seen: Layer(seen, layer))

    def made(seen: Preprocessed) -> LatentRequest:
        return LatentRequest(
            seen, layer, what, weight, bias, tuple(rows), offset, None, {**plugged.about(seen), "file": str(file)}
        )

    made(seen).select([0]).condition(Passes({}))(loaders.two_images(bundle)[:1])  # says which channels fit
    return _ready(made, seen, bundle, plugged, (layer,), check)


def _tensors(file: str | Path, what: str) -> dict[str, Tensor]:
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as fault:
        raise ValueError(f"cannot read {what} from {file} ({one_line(fault)}): give a .safetensors file") from fault
    check_finite(stored, file)
    return stored
