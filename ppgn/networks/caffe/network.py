"""A network of Caffe from its definition: layers run in the order of the file, blobs by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ppgn.networks.caffe.layers import MEASURES, build_layer, kind_of


@dataclass(frozen=True)
class CaffeNetworkConfig:
    """What to build: a definition and the blob wanted of it.

    definition: `{"name", "input": [{"name", "shape"}], "layers": [{"name", "type", "bottom", "top", "<...>_param": {...}}]}`
    with the names and defaults of caffe.proto and the types of its new syntax. output: a blob; "" is the first top of the
    last layer that is no loss, accuracy or silence.
    """

    definition: dict[str, Any] = field(default_factory=dict)
    output: str = ""


class CaffeNetwork(nn.Module):
    """The layers that one blob of a `.prototxt` needs, with the arithmetic of Caffe's test phase.

    Layers that the output does not need are not built, nor are losses and accuracies. With the output left open every other
    layer's type must be known all the same; with one that was named, only those of the layers built. The first axis of every
    input is free, and so are sizes that no weights depend on. `layers` holds a module for each layer under its name, in the
    order of the file; `shapes` says how large each blob is for inputs of the declared shapes, `inputs` what these are, and
    `wanted` which of them the output needs.

    Built inside `with torch.device("meta")` it takes no memory until `load_blobs` or `load_state_dict(..., assign=True)`;
    elsewhere all weights are 0. Raises ValueError, which names the layer and its place, for what cannot be built.
    """

    architecture = "caffe"

    def __init__(self, config: CaffeNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.inputs = _inputs(config.definition)
        everything = _layers(config.definition)
        self.output = config.output or _last_top(everything)
        chosen = _needed(everything, self.output)
        count = len(config.definition["layers"])
        for position, layer in chosen if config.output else everything:
            with _placed(position, count, layer):
                kind_of(layer)
        self.wanted = _read_from_outside(chosen)
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
        """The output blob for `data` `[n, channel, height, width]`, BGR less the mean where the network is Caffe's usual kind.

        data: the input, or a dictionary of inputs where the output needs several. Raises ValueError where an input is missing
        or its size does not suit a layer.
        """
        return self.blobs(data)[self.output]

    def blobs(self, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every blob on the way to the output by its name, inputs included, as the last layer that writes to it left it."""
        blobs = self._given(data)
        for _ in self._run(blobs):
            pass
        return blobs

    def tops(self, data: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each layer's own first top by the layer's name: a convolution's is what it was before an in-place ReLU."""
        return {name: next(iter(tops.values())) for name, tops in self._run(self._given(data))}

    def load_blobs(self, weights: Mapping[str, Sequence[Any]]) -> None:
        """Fills every layer from `weights`: layer name -> NumPy arrays in Caffe's order.

        An array fits if its shape is that of the weights but for leading 1s, as in the 4-d shapes of old files. Writable
        float32 arrays become the weights themselves where these are on the meta device, and are copied elsewhere. Raises
        ValueError naming the first layer whose arrays are missing or do not fit; the network is then as it was before.
        """
        filled = []
        for (name, _, _), layer in zip(self.wiring, self.layers.values(), strict=True):
            expected = dict(layer.named_parameters())
            found = weights.get(name, ())
            shapes = [tuple(array.shape) for array in found]
            wanted = [tuple(parameter.shape) for parameter in expected.values()]
            if [_bare(shape) for shape in shapes] != [_bare(shape) for shape in wanted]:
                given = f"blobs of shapes {shapes}" if found else "no blobs"
                raise ValueError(f"layer {name!r} got {given}, expected {wanted}: do the two files belong together?")
            filled += [(layer, key, array) for key, array in zip(expected, found, strict=True)]
        for layer, key, array in filled:
            _fill(layer, key, array)

    def _build(self, chosen: Sequence[tuple[int, Mapping[str, Any]]], count: int) -> dict[str, Tensor]:
        """Builds the chosen layers, each from the shapes that those before it make of the declared inputs."""
        blobs = {name: torch.empty(shape) for name, shape in self.inputs.items() if name in self.wanted}
        for position, layer in chosen:
            name, bottoms, tops = layer.get("name", ""), tuple(layer.get("bottom", ())), tuple(layer.get("top", ()))
            with _placed(position, count, layer):
                unknown = [bottom for bottom in bottoms if bottom not in blobs]
                if unknown:
                    raise ValueError(f"it reads {unknown[0]!r}, which nothing before it makes: correct the prototxt")
                module = build_layer(layer, [tuple(blobs[bottom].shape) for bottom in bottoms])
                blobs |= _results(module, [blobs[bottom] for bottom in bottoms], tops)
            self.layers[_key(name, self.layers)] = module
            self.wiring.append((name, bottoms, tops))
        return blobs

    def _run(self, blobs: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Runs the layers one after another, each as (its name, its tops by name); `blobs` gains all tops."""
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
                raise ValueError(f"input {name!r} is {shape}, expected axes as {['n', *self.inputs[name][1:]]}: add the batch")
        return {name: given[name] for name in self.wanted}


def _inputs(definition: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs by name."""
    if not isinstance(definition, Mapping):
        raise ValueError(f"the definition is {definition!r:.60}, expected a dictionary of input and layers: read a prototxt")
    shapes = {}
    for entry in definition.get("input", ()):
        name, shape = str(entry.get("name", "")), tuple(int(size) for size in entry.get("shape") or ())
        if not shape or min(shape) < 1:
            raise ValueError(
                f"input {name!r} has the shape {list(shape)}, expected sizes of at least 1: state them as input_shape"
            )
        shapes[name] = shape
    return shapes


def _layers(definition: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """(place in the file, layer) of all layers that compute something."""
    numbered = list(enumerate(definition.get("layers", ()), 1))
    for position, layer in numbered:
        if not isinstance(layer, Mapping) or not isinstance(layer.get("type"), str):
            raise ValueError(f"layer number {position} is {layer!r:.60}, expected a layer with a type: correct the prototxt")
    kept = [(position, layer) for position, layer in numbered if layer["type"] not in MEASURES]
    if not any(layer.get("top") for _, layer in kept):
        raise ValueError(
            f"the definition {definition.get('name', '')!r} has no layers that make a blob: is it a network's prototxt?"
        )
    return kept


def _last_top(layers: Sequence[tuple[int, Mapping[str, Any]]]) -> str:
    return next(layer["top"][0] for _, layer in reversed(layers) if layer.get("top"))


@contextmanager
def _placed(position: int, count: int, layer: Mapping[str, Any]) -> Iterator[None]:
    """Adds to any fault in building a layer which one it is and where it stands."""
    try:
        yield
    except (ValueError, RuntimeError, OverflowError, TypeError) as fault:
        place = f"layer {layer.get('name', '')!r} ({layer['type']}, number {position} of {count})"
        raise ValueError(f"{place}: {' '.join(str(fault).split())}") from fault


def _needed(layers: Sequence[tuple[int, Mapping[str, Any]]], output: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The layers on which `output` depends: backwards from the last that writes to it."""
    needed, chosen = {output}, []
    for position, layer in reversed(layers):
        if needed & set(layer.get("top", ())):
            needed |= set(layer.get("bottom", ()))
            chosen.append((position, layer))
    if not chosen:
        tops = dict.fromkeys(top for _, layer in layers for top in layer.get("top", ()))
        raise ValueError(f"no layer makes a blob {output!r}, expected one of {', '.join(tops)}: choose one of them")
    return chosen[::-1]


def _read_from_outside(layers: Sequence[tuple[int, Mapping[str, Any]]]) -> list[str]:
    """Names of the blobs that these layers read before any of them makes it."""
    made: set[str] = set()
    outside: dict[str, None] = {}
    for _, layer in layers:
        outside |= dict.fromkeys(bottom for bottom in layer.get("bottom", ()) if bottom not in made)
        made |= set(layer.get("top", ()))
    return list(outside)


def _results(layer: nn.Module, bottoms: Sequence[Tensor], tops: Sequence[str]) -> dict[str, Tensor]:
    """A layer's tops by name."""
    result = layer(*bottoms)
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(tops):
        raise ValueError(f"it makes {len(results)} blobs and has the tops {', '.join(tops)}: correct the prototxt")
    return dict(zip(tops, results, strict=True))


def _key(name: str, taken: nn.ModuleDict) -> str:
    """The layer's name, changed where a module cannot have it: no dots, no method's name, none twice."""
    key = name.replace(".", "_") or "_"
    while key in taken or hasattr(taken, key):
        key += "_"
    return key


def _bare(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape without its leading 1s, in which the shapes of old and new files agree."""
    first = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[first:])


def _fill(layer: nn.Module, key: str, array: Any) -> None:
    old = layer.get_parameter(key)
    new = torch.from_numpy(array if array.flags.writeable else array.copy()).reshape(old.shape)
    if old.is_meta:
        layer.register_parameter(key, nn.Parameter(new.to(old.dtype), requires_grad=old.requires_grad))
    else:
        with torch.no_grad():
            old.copy_(new)
