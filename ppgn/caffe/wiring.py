"""The layers of a definition that compute a blob, and the inputs and blobs that they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ppgn.caffe.layers import MEASURES

Numbered: TypeAlias = tuple[int, Mapping[str, Any]]
"""The place of a layer in its file, from 1, and the layer."""


def declared_inputs(definition: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the inputs by name."""
    if not isinstance(definition, Mapping):
        raise ValueError(f"the definition is {definition!r:.60}, expected a dictionary of input and layers: read a prototxt")
    shapes = {}
    for entry in definition.get("input", ()):
        name, shape = str(entry.get("name", "")), tuple(int(size) for size in entry.get("shape") or ())
        if not shape or min(shape) < 1:
            raise ValueError(f"input {name!r} has the shape {list(shape)}, expected sizes of at least 1: give its input_shape")
        shapes[name] = shape
    return shapes


def computing_layers(definition: Mapping[str, Any]) -> list[Numbered]:
    """(place in the file, layer) of all layers that compute anything."""
    numbered = list(enumerate(definition.get("layers", ()), 1))
    for position, layer in numbered:
        if not isinstance(layer, Mapping) or not isinstance(layer.get("type"), str):
            raise ValueError(f"layer number {position} is {layer!r:.60}, expected a layer with a type: correct the prototxt")
    kept = [(position, layer) for position, layer in numbered if layer["type"] not in MEASURES]
    if not any(layer.get("top") for _, layer in kept):
        raise ValueError(
            f"the definition {definition.get('name', '')!r} has no layers that make a blob, expected at least one: give the "
            f"prototxt of a network"
        )
    return kept


def last_top(layers: Sequence[Numbered]) -> str:
    """The first top of the last layer that makes a blob."""
    return next(layer["top"][0] for _, layer in reversed(layers) if layer.get("top"))


def needed_layers(layers: Sequence[Numbered], output: str) -> list[Numbered]:
    """The layers on which `output` depends, found backwards from the last layer that writes to it."""
    needed, chosen = {output}, []
    for position, layer in reversed(layers):
        if needed & set(layer.get("top", ())):
            needed |= set(layer.get("bottom", ()))
            chosen.append((position, layer))
    if not chosen:
        tops = dict.fromkeys(top for _, layer in layers for top in layer.get("top", ()))
        raise ValueError(f"no layer makes a blob {output!r}, expected one of {', '.join(tops)}: choose one of them")
    return chosen[::-1]


def read_from_outside(layers: Sequence[Numbered]) -> list[str]:
    """Names of the blobs that these layers read but no earlier one of them makes."""
    made: set[str] = set()
    outside: dict[str, None] = {}
    for _, layer in layers:
        outside |= dict.fromkeys(bottom for bottom in layer.get("bottom", ()) if bottom not in made)
        made |= set(layer.get("top", ()))
    return list(outside)
