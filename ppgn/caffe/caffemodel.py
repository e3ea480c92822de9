"""The weights of a network from a `.caffemodel` of any of Caffe's three forms (V0, V1, V2).

Protobuf's parser would take twice the size of the file: once for its message and once for the arrays. So this module walks the
wire format, notes where the large arrays stand, and reads each of them directly into its final place. Protobuf parses only
names and shapes.
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
from ppgn.errors import check_downloaded

LARGEST_HEADER = 4096  # bytes of a layer's name or of a blob's shape
BLOB_HEADER = (1, 2, 3, 4, 7)  # BlobProto's num, channels, height, width, shape
FLOATS, DOUBLES = 5, 8  # BlobProto's data and double_data
ARRAYS = {FLOATS: (FIXED32, 4, "<f4"), DOUBLES: (FIXED64, 8, "<f8")}  # wire type if not packed, bytes per number, type


@dataclass(frozen=True)
class Form:
    """A form of layers: the protobuf message, and the field numbers of its name and of its blobs."""

    message: str
    name: int
    blobs: int


V2, V1, V0 = Form("LayerParameter", 1, 7), Form("V1LayerParameter", 4, 6), Form("V0LayerParameter", 1, 50)
FORMS = {100: V2, 2: V1}  # by the number of NetParameter's field
NESTED = 1  # the field of a V1 layer that holds a V0 layer


def read_weights(path: str | Path) -> dict[str, list[NDArray[numpy.float32]]]:
    """Reads the arrays of every layer with weights: layer name -> arrays, in the order of the file.

    Arrays are float32 and have the stored shape, which is `shape` or the legacy `(num, channels, height, width)`. Where a blob
    has both, the legacy shape counts, as in Caffe's `Blob::FromProto`. Likewise `double_data` counts before `data`. The arrays
    own their memory, so the file may be deleted afterwards. Gradients (`diff`) are skipped. Infinity and NaN are kept.

    Memory: that of the arrays and 2 MiB, and for small files at most 64 times their size. Raises CaffeError, in one sentence, for
    a file that is truncated or not a model, for shapes that do not fit their data, and for two layers of one name with weights.
    """
    try:
        with Path(path).open("rb") as file:
            if beginning := file.read(512):
                check_downloaded(path, beginning, "a .caffemodel")
            file.seek(0)
            return _weights(Wire(file, Path(path).stat().st_size))
    except OSError as fault:
        raise CaffeError(f"{path}: cannot be read ({fault.strerror}); give the path of a .caffemodel file") from fault
    except CaffeError as fault:
        raise CaffeError(f"{path}: {fault}") from fault.__cause__
    except ValueError as fault:  # of what is no .caffemodel at all
        raise CaffeError(str(fault)) from fault


def _weights(wire: Wire) -> dict[str, list[NDArray[numpy.float32]]]:
    found: dict[str, list[NDArray[numpy.float32]]] = {}
    layers, numbers = 0, set()
    for field in wire.fields(0, wire.size):
        if field.number not in FORMS or field.wire != LENGTH:
            continue
        layers, numbers = layers + 1, numbers | {field.number}
        if layers > MOST_LAYERS or len(numbers) > 1:
            held = "layers of two forms" if len(numbers) > 1 else f"more than {MOST_LAYERS} layers"
            raise CaffeError(f"it holds {held}, expected at most {MOST_LAYERS} layers of one form; export the model again")
        name, blobs = _places(wire, field, FORMS[field.number])
        if blobs and name in found:
            raise CaffeError(f"two layers of the name {quoted(name)} have weights, expected different names; rename one of them")
        if blobs:
            found[name] = [_blob(wire, blob, f"blob {index} of layer {quoted(name)}") for index, blob in enumerate(blobs)]
    if not found:
        raise CaffeError(
            f"none of its {layers} layers has weights, expected at least one; give the .caffemodel that training wrote"
        )
    return found


def _places(wire: Wire, field: Field, form: Form) -> tuple[str, list[Field]]:
    """The name of a layer, and the fields of its blobs; those of the nested layer where a V1 layer holds a V0 layer."""
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
            limits = f"more than {MOST_BLOBS} blobs, or more than one nested layer"
            raise CaffeError(f"the layer at byte {field.tag} has {limits}; {AGAIN}")
    return _places(wire, nested[0], V0) if nested else (_name(form, header, field), blobs)


def _blob(wire: Wire, field: Field, whose: str) -> NDArray[numpy.float32]:
    """The array of a blob. A first walk counts its numbers, so that no memory is allocated for data that the file lacks."""
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
    if not isinstance(name, str):  # protobuf returns bytes that are not UTF-8 as they are
        raise CaffeError(f"the layer at byte {field.tag} has a name that is not UTF-8 text; {AGAIN}")
    return name


def _parsed(kind: str, header: bytes, field: Field) -> Any:
    """The protobuf message of this kind, parsed from its small fields alone."""
    try:
        return message(kind).FromString(header)
    except (protobuf("message").DecodeError, UnicodeDecodeError) as fault:
        raise CaffeError(f"byte {field.tag} starts a {kind} whose name or shape is damaged; {AGAIN}") from fault
