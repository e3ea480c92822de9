"""Names and shapes of a network's inputs, from Caffe's fields `input` and from layers that bring data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ppgn.caffe.limits import check_shape
from ppgn.caffe.schema import CaffeError, quoted

Layer = dict[str, Any]
Shape = list[int]


def declared(net: dict[str, Any]) -> list[dict[str, Any]]:
    """The inputs `{"name", "shape"}` of the fields `input`, each with an `input_shape` or with four `input_dim`.

    Raises CaffeError where their numbers do not fit.
    """
    names, dims = net.get("input", []), net.get("input_dim", [])
    shapes = [shape.get("dim", []) for shape in net.get("input_shape", [])]
    if not shapes:
        if len(dims) != 4 * len(names):
            raise CaffeError(f"it has {len(names)} input and {len(dims)} input_dim, expected four dimensions for each; add them")
        shapes = [dims[start : start + 4] for start in range(0, len(dims), 4)]
    if len(shapes) != len(names):
        raise CaffeError(f"it has {len(names)} input and {len(shapes)} input_shape, expected one shape for each; add them")
    return _named(names, shapes)


def split(layers: list[Layer]) -> tuple[list[dict[str, Any]], list[Layer]]:
    """The inputs `{"name", "shape"}` that data layers bring, and the layers that compute.

    A Data or ImageData layer brings pictures and a label for each. The pictures have the size to which they are cropped or
    scaled, and three channels (one with `force_gray`, or without `is_color`). Raises CaffeError for a layer that does not state
    its size.
    """
    found, computing = [], []
    for layer in layers:
        if layer["type"] not in _SHAPES:
            computing.append(layer)
            continue
        tops = layer.get("top", [])
        shapes = _SHAPES[layer["type"]](layer)
        if len(shapes) == 1:
            shapes *= len(tops)
        if not tops or len(shapes) < len(tops):
            raise CaffeError(_sizeless(layer))
        found += _named(tops, shapes[: len(tops)])
    return found, computing


def _sizeless(layer: Layer) -> str:
    whose = f"layer {quoted(layer['name'])} of type {layer['type']}"
    advice = "use the network's deploy form, or an Input layer with the shape"
    return f"{whose} does not say the size of its tops, expected a shape for each; {advice}"


def _named(names: list[str], shapes: list[Shape]) -> list[dict[str, Any]]:
    for name, shape in zip(names, shapes, strict=True):
        check_shape(shape, f"the input {quoted(name)}")
    return [{"name": name, "shape": shape} for name, shape in zip(names, shapes, strict=True)]


def _input(layer: Layer) -> list[Shape]:
    return [shape.get("dim", []) for shape in layer.get("input_param", {}).get("shape", [])]


def _pictures(layer: Layer) -> list[Shape]:
    kind = {"Data": "data_param", "ImageData": "image_data_param", "WindowData": "window_data_param"}[layer["type"]]
    data, transform = layer.get(kind, {}), layer.get("transform_param", {})
    crop = transform.get("crop_size", data.get("crop_size", 0))
    height, width = crop or data.get("new_height", 0), crop or data.get("new_width", 0)
    grey = transform.get("force_gray", False) or not data.get("is_color", True)
    count = data.get("batch_size", 1)
    return [[count, 1 if grey else 3, height, width], [count]] if height and width else []


def _memory(layer: Layer) -> list[Shape]:
    data = layer.get("memory_data_param", {})
    shape = [data.get(key, 0) for key in ("batch_size", "channels", "height", "width")]
    return [shape, shape[:1]] if all(shape) else []


def _dummy(layer: Layer) -> list[Shape]:
    data = layer.get("dummy_data_param", {})
    if "shape" in data:
        return [shape.get("dim", []) for shape in data["shape"]]
    columns = [data.get(key, []) for key in ("num", "channels", "height", "width")]
    longest = max(map(len, columns))
    if any(len(column) not in (1, longest) for column in columns):
        return []
    return [[column[index % len(column)] for column in columns] for index in range(longest)]


_SHAPES: dict[str, Callable[[Layer], list[Shape]]] = {
    "Input": _input, "Data": _pictures, "ImageData": _pictures, "WindowData": _pictures, "MemoryData": _memory,
    "DummyData": _dummy, "HDF5Data": lambda layer: [],
}  # fmt: skip
