"""A network of Caffe from its definition: layers run in the order of the file, and blobs are known by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.caffe.layers import build_layer, kind_of
from ppgn.caffe.wiring import Numbered, computing_layers, declared_inputs, last_top, needed_layers, read_from_outside
from ppgn.types import check_finite


@dataclass(frozen=True)
class CaffeNetworkConfig:
    """A definition and the output blob.

    definition: `{"name", "input": [{"name", "shape"}], "layers": [{"name", "type", "bottom", "top", "<...>_param": {...}}]}`
    with the names and defaults of caffe.proto and the types of its new syntax. output: a blob; "" stands for the first top of the
    last layer that is no loss, accuracy or silence.
    """

    definition: dict[str, Any] = field(default_factory=dict)
    output: str = ""


class CaffeNetwork(nn.Module):
    """The layers on which a blob of a `.prototxt` depends, with the arithmetic of Caffe's test phase.

    Layers that the output does not need are not built, nor are losses and accuracies. If the configuration names the output, only
    the types of built layers must be known; otherwise all types. The first axis of every input is free, and so are sizes on which
    no weights depend.

    Attributes: layers (layer name -> module, in the order of the file), inputs (input -> declared shape), wanted (the inputs that
    the output needs), shapes (blob -> shape for inputs of the declared shapes).

    Built inside `with torch.device("meta")` it takes no memory until `load_blobs` or `load_state_dict(..., assign=True)`;
    elsewhere all weights are 0. Raises ValueError, with the name and place of the layer, for a layer that cannot be built.
    """

    architecture = "caffe"

    def __init__(self, config: CaffeNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = declared_inputs(config.definition)
        everything = computing_layers(config.definition)
        self.output = config.output or last_top(everything)
        chosen = needed_layers(everything, self.output)
        count = len(config.definition["layers"])
        for position, layer in chosen if config.output else everything:
            with _placed(position, count, layer):
                kind_of(layer)
        self.wanted = read_from_outside(chosen)
        self.wiring: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        self.layers = nn.ModuleDict()
        device = torch.get_default_device()
        with torch.device("meta"):
            self.shapes = {name: tuple(blob.shape) for name, blob in self._build(chosen, count).items()}
        if device.type != "meta":
            self.to_empty(device=device)
            for weights in self.parameters():
                nn.init.zeros_(weights)

    def forward(self, data: Tensor | Mapping[str, Tensor]) -> Tensor:
        """The output blob.

        data: the input `[n, channel, height, width]`, for Caffe's usual networks BGR minus the mean; or a dictionary of inputs
        where the output needs several. Raises ValueError for a missing input and for a size that does not fit a layer.
        """
        return self.blobs(data)[self.output]

    def blobs(self, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Blob name -> value for every blob on the way to the output, inputs included, as its last layer leaves it."""
        blobs = self._given(data)
        for _ in self._run(blobs):
            pass
        return blobs

    def tops(self, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Layer name -> its first top: that of a convolution is its value before an in-place ReLU."""
        return {name: next(iter(tops.values())) for name, tops in self._run(self._given(data))}

    def load_blobs(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Fills every layer from `weights`: layer name -> NumPy arrays in Caffe's order.

        An array fits if its shape is that of the weights except for leading 1s, as in the 4-d shapes of old files. For weights
        on the meta device, writable float32 arrays become the weights themselves; elsewhere they are copied. Raises ValueError
        for the first layer whose arrays are missing, do not fit or are not finite; the network then stays as it was.
        """
        filled = []
        for (name, _, _), layer in zip(self.wiring, self.layers.values(), strict=True):
            expected = dict(layer.named_parameters())
            found = weights.get(name, ())
            shapes = [tuple(array.shape) for array in found]
            wanted = [tuple(parameter.shape) for parameter in expected.values()]
            if [_bare(shape) for shape in shapes] != [_bare(shape) for shape in wanted]:
                given = f"blobs of shapes {shapes}" if found else "no blobs"
                raise ValueError(
                    f"layer {name!r} got {given}, expected {wanted}: give a definition and weights that belong together"
                )
            check_finite({f"blob {index} of layer {name!r}": _tensor(array) for index, array in enumerate(found)})
            filled += [(layer, key, array) for key, array in zip(expected, found, strict=True)]
        for layer, key, array in filled:
            _fill(layer, key, array)

    def _build(self, chosen: Sequence[Numbered], count: int) -> dict[str, Tensor]:
        """Builds the chosen layers, each from the shapes that earlier layers make of the declared inputs."""
        blobs = {name: torch.empty(shape) for name, shape in self.inputs.items() if name in self.wanted}
        for position, layer in chosen:
            name, bottoms, tops = layer.get("name", ""), tuple(layer.get("bottom", ())), tuple(layer.get("top", ()))
            with _placed(position, count, layer):
                unknown = [bottom for bottom in bottoms if bottom not in blobs]
                if unknown:
                    known = "expected an input or an earlier top"
                    raise ValueError(f"it reads {unknown[0]!r}, which nothing before it makes, {known}: correct the prototxt")
                module = build_layer(layer, [tuple(blobs[bottom].shape) for bottom in bottoms])
                blobs |= _results(module, [blobs[bottom] for bottom in bottoms], tops)
            self.layers[_key(name, self.layers)] = module
            self.wiring.append((name, bottoms, tops))
        return blobs

    def _run(self, blobs: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Runs the layers in turn, and yields the name of each with its tops by name; `blobs` gains all tops."""
        for (name, bottoms, tops), layer in zip(self.wiring, self.layers.values(), strict=True):
            try:
                results = _results(layer, [blobs[bottom] for bottom in bottoms], tops)
            except ValueError as fault:
                raise ValueError(f"layer {name!r}: {fault}") from fault
            blobs |= results
            yield name, results

    def _given(self, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        given = {self.wanted[0]: data} if isinstance(data, Tensor) and len(self.wanted) == 1 else data
        if isinstance(given, Tensor) or set(self.wanted) - set(given):
            found = "one tensor" if isinstance(given, Tensor) else ", ".join(given) or "none"
            raise ValueError(f"{self.output!r} needs the inputs {', '.join(self.wanted)}, got {found}: give a dictionary of them")
        for name in self.wanted:
            if given[name].ndim != len(self.inputs[name]):
                shape = list(given[name].shape)
                raise ValueError(
                    f"input {name!r} is {shape}, expected axes as {['n', *self.inputs[name][1:]]}: add the batch axis"
                )
        return {name: given[name] for name in self.wanted}


@contextmanager
def _placed(position: int, count: int, layer: Mapping[str, Any]) -> Iterator[None]:
    """Puts the name, type and place of a layer before the message of an error in building it."""
    try:
        yield
    except (ValueError, RuntimeError, OverflowError, TypeError) as fault:
        place = f"layer {layer.get('name', '')!r} ({layer['type']}, number {position} of {count})"
        raise ValueError(f"{place}: {' '.join(str(fault).split())}") from fault


def _results(layer: nn.Module, bottoms: Sequence[Tensor], tops: Sequence[str]) -> dict[str, Tensor]:
    """Top name -> value of a layer."""
    result = layer(*bottoms)
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(tops):
        raise ValueError(f"it makes {len(results)} blobs, expected one for each top ({', '.join(tops)}): correct the prototxt")
    return dict(zip(tops, results, strict=True))


def _key(name: str, taken: nn.ModuleDict) -> str:
    """The name of a layer as the name of a module: no dots, no name of a method, and no name twice."""
    key = name.replace(".", "_") or "_"
    while key in taken or hasattr(taken, key):
        key += "_"
    return key


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its leading 1s: in this form, shapes of old and new files agree."""
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[first:])


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _fill(layer: nn.Module, key: str, array: Any) -> None:
    old = layer.get_parameter(key)
    new = _tensor(array).reshape(old.shape)
    if old.is_meta:
        layer.register_parameter(key, nn.Parameter(new.to(old.dtype), requires_grad=old.requires_grad))
    else:
        with torch.no_grad():
            old.copy_(new)
