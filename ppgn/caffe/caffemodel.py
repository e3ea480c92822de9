"""The weights of a network from a `.caffemodel`: any of Caffe's three forms, layer name to arrays.

Protobuf's own parser takes twice a file's size, for its message and the arrays. So the wire format is walked for the
places of the large arrays, which go from the file straight to where they stay; protobuf reads names and shapes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ppgn.caffe.limits import MOST_BLOBS, MOST_LAYERS, check_shape
from ppgn.caffe.schema import CaffeError, message, protobuf, quoted
from ppgn.caffe.wire import AGAIN, FIXED32, FIXED64, LENGTH, Field, Wire

LARGEST_HEADER = 4096  # bytes of a layer's name, or of a blob's shape
BLOB_HEADER = (1, 2, 3, 4, 7)  # BlobProto's num, channels, height, width, shape
FLOATS, DOUBLES = 5, 8  # BlobProto's data and double_data
ARRAYS = {FLOATS: (FIXED32, 4, "<f4"), DOUBLES: (FIXED64, 8, "<f8")}  # wire type if not packed, bytes a number, type


@dataclass(frozen=True)
class Form:
    """Where a layer's message keeps what is read: the numbers of its name and its blobs."""

    message: str
    name: int
    blobs: int


V2, V1, V0 = Form("LayerParameter", 1, 7), Form("V1LayerParameter", 4, 6), Form("V0LayerParameter", 1, 50)
FORMS = {100: V2, 2: V1}  # by the number of NetParameter's field; a V0 layer is nested in a V1 one, as its field 1
NESTED = 1


def read_weights(path: str | Path) -> dict[str, list[NDArray[numpy.float32]]]:
    """Arrays of every layer that has any, by the layer's name, in the order of the file.

    Single precision, in the shape stored: `shape`, or the legacy `(num, channels, height, width)`, which counts where both are
    there, as in Caffe's `Blob::FromProto`; likewise `double_data` before `data`. The arrays own their memory: the file may go
    afterwards. Gradients (`diff`) are passed over. Numbers are as stored, infinite ones and NaN too.

    Takes the memory of the arrays and 2 MiB, and for small ones at most 64 times the file's size. Raises CaffeError, in one
    sentence, for a file that is truncated or no model, whose shapes and data disagree, or that has weights for a name twice.
    """
    try:
        with Path(path).open("rb") as file:
            return _weights(Wire(file, Path(path).stat().st_size))
    except OSError as fault:
        raise CaffeError(f"{path}: cannot be read ({fault.strerror}); give the path of a .caffemodel file") from fault
    except CaffeError as fault:
        raise CaffeError(f"{path}: {fault}") from fault.__cause__


def _weights(wire: Wire) -> dict[str, list[NDArray[numpy.float32]]]:
    found: dict[str, list[NDArray[numpy.float32]]] = {}
    layers, numbers = 0, set()
    for field in wire.fields(0, wire.size):
        if field.number not in FORMS or field.wire != LENGTH:
            continue
        layers, numbers = layers + 1, numbers | {field.number}
        if layers > MOST_LAYERS or len(numbers) > 1:
            said = "layers of two forms" if len(numbers) > 1 else f"more than {MOST_LAYERS} layers"
            raise CaffeError(f"it holds {said}, as no Caffe model does; export it again")
        name, blobs = _places(wire, field, FORMS[field.number])
        if blobs and name in found:
            raise CaffeError(f"two layers of the name {quoted(name)} have weights; give each a name of its own")
        if blobs:
            found[name] = [_blob(wire, blob, f"blob {index} of layer {quoted(name)}") for index, blob in enumerate(blobs)]
    if not found:
        raise CaffeError(f"none of its {layers} layers has weights; give the .caffemodel that training wrote")
    return found


def _places(wire: Wire, field: Field, form: Form) -> tuple[str, list[Field]]:
    """A layer's name, and where its blobs stand. What nests a V0 layer has the name and the blobs of that."""
    header, blobs, nested = b"", [], []
    for part in wire.fields(field.start, field.end):
        if part.wire != LENGTH:
            continue
        if part.number == form.name:
            header = _extended(header, wire, part)
        elif part.number == form.blobs:
            blobs.append(part)
        elif form is V1 and part.number == NESTED:
            nested.append(part)
        if len(blobs) > MOST_BLOBS or len(nested) > 1:
            raise CaffeError(f"the layer at byte {field.tag} has more than {MOST_BLOBS} blobs or one nested layer; {AGAIN}")
    return _places(wire, nested[0], V0) if nested else (_name(form, header, field), blobs)


def _blob(wire: Wire, field: Field, whose: str) -> NDArray[numpy.float32]:
    """One array: a first walk over the blob counts its numbers, so that nothing is taken for data that is not there."""
    header, counts = b"", dict.fromkeys(ARRAYS, 0)
    for part in wire.fields(field.start, field.end):
        if part.number in BLOB_HEADER:
            header = _extended(header, wire, part)
        elif _is_array(part):
            counts[part.number] += part.count(ARRAYS[part.number][1])
    shape = _shape(_parsed("BlobProto", header, field))
    number = DOUBLES if counts[DOUBLES] else FLOATS
    check_shape(shape, whose)
    if math.prod(shape) != counts[number]:
        expected = f"{math.prod(shape)} numbers for its shape {list(shape)}"
        raise CaffeError(f"{whose} has {counts[number]} numbers, expected {expected}; {AGAIN}")
    return _filled(wire, field, number, shape)


def _filled(wire: Wire, field: Field, number: int, shape: tuple[int, ...]) -> NDArray[numpy.float32]:
    array = numpy.empty(shape, numpy.float32)
    flat, done = array.reshape(-1), 0
    for part in wire.fields(field.start, field.end):
        if part.number != number or not _is_array(part):
            continue
        for numbers in wire.numbers(part, ARRAYS[number][2]):
            with numpy.errstate(over="ignore"):  # a double beyond single precision is infinite, as in Caffe
                flat[done : done + len(numbers)] = numbers
            done += len(numbers)
    return array


def _is_array(part: Field) -> bool:
    return part.number in ARRAYS and part.wire in (LENGTH, ARRAYS[part.number][0])


def _shape(blob: Any) -> tuple[int, ...]:
    legacy = ("num", "channels", "height", "width")
    if any(blob.HasField(name) for name in legacy):
        return tuple(getattr(blob, name) for name in legacy)
    return tuple(blob.shape.dim)


def _extended(header: bytes, wire: Wire, part: Field) -> bytes:
    if len(header) + part.end - part.tag > LARGEST_HEADER:
        raise CaffeError(f"byte {part.tag} starts a name or shape larger than {LARGEST_HEADER} bytes; {AGAIN}")
    return header + wire.bytes(part.tag, part.end)


def _name(form: Form, header: bytes, field: Field) -> str:
    name = _parsed(form.message, header, field).name
    if not isinstance(name, str):  # protobuf gives bytes where they are no UTF-8
        raise CaffeError(f"the layer at byte {field.tag} has a name that is no text; {AGAIN}")
    return name


def _parsed(kind: str, header: bytes, field: Field) -> Any:
    """A message of protobuf's from its small fields alone."""
    try:
        return message(kind).FromString(header)
    except (protobuf("message").DecodeError, UnicodeDecodeError) as fault:
        raise CaffeError(f"byte {field.tag} starts a {kind} whose name or shape is damaged; {AGAIN}") from fault
