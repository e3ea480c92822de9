"""Caffe's files, written for tests: weights in each of its forms and encodings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ppgn.caffe import V0_TYPES, V1_TYPES, message

Layers = Mapping[str, tuple[str, Sequence[NDArray[Any]]]]

FORMS = ("v2", "v1", "v0")
ENCODINGS = ("packed", "unpacked", "mixed", "double")

# The highest resident size is that of /proc: getrusage's also counts the process that started this one.
MEASURE = """
import sys, time
from ppgn.caffe import CaffeError, read_definition, read_weights

def highest():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

def tried(path):
    try:
        return (read_definition if path.endswith(".prototxt") else read_weights)(path)
    except CaffeError as fault:
        return str(fault)

warm = tried(sys.argv[1])
before, start = highest(), time.perf_counter()
found = tried(sys.argv[2])
print(highest() - before, time.perf_counter() - start, found[-60:] if isinstance(found, str) else len(found))
"""

V2_TEXT = """
name: "small"
input: "data" input_dim: 1 input_dim: 1 input_dim: 5 input_dim: 5   # a comment
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 weight_filler { type: "gaussian" std: 0.01 } engine: CUDNN } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 2 } }
layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" lrn_param { local_size: 3 alpha: 0.5 } }
layer { name: "fc" type: "InnerProduct" bottom: "norm" top: "fc" inner_product_param { num_output: 5 bias_term: true } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.5 } }
layer { name: "again" type: "InnerProduct" bottom: "fc" top: "again" inner_product_param { num_output: 2 bias_term: false } }
"""
V1_TEXT = """
name: "small"
input: "data" input_shape { dim: [1, 1, 5, 5] }
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "pool" type: POOLING bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 2 } }
layers { name: "norm" type: LRN bottom: "conv" top: "norm" lrn_param { local_size: 3 alpha: 0.5 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "norm" top: "fc" inner_product_param { num_output: 5 bias_term: true } }
layers { name: "drop" type: DROPOUT bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.5 } }
layers { name: "again" type: INNER_PRODUCT bottom: "fc" top: "again" inner_product_param { num_output: 2 bias_term: false } }
"""
V0_TEXT = """
name: "small"
input: "data" input_dim: 1 input_dim: 1 input_dim: 5 input_dim: 5
layers { layer { name: "padding" type: "padding" pad: 1 } bottom: "data" top: "padded" }
layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 stride: 2 weight_filler { type: "xavier" } blobs_lr: 1 }
  bottom: "padded" top: "conv" }
layers { layer { name: "relu" type: "relu" } bottom: "conv" top: "conv" }
layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 2 } bottom: "conv" top: "pool" }
layers { layer { name: "norm" type: "lrn" local_size: 3 alpha: 0.5 } bottom: "conv" top: "norm" }
layers { layer { name: "fc" type: "innerproduct" num_output: 5 biasterm: true } bottom: "norm" top: "fc" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.5 } bottom: "fc" top: "fc" }
layers { layer { name: "again" type: "innerproduct" num_output: 2 biasterm: false } bottom: "fc" top: "again" }
"""
TEXTS = {"v2": V2_TEXT, "v1": V1_TEXT, "v0": V0_TEXT}


def write_prototxt(path: Path, text: str) -> Path:
    """Writes a definition's text, and gives the path back."""
    path.write_text(text)
    return path


def write_caffemodel(path: Path, layers: Layers, form: str = "v2", encoding: str = "packed", legacy: bool | None = None) -> Path:
    """Writes `{layer name: (type of the newest form, its arrays)}` as Caffe does, and gives the path back.

    form: "v2" with the message `layer`, "v1" with `layers`, "v0" with a `layer` nested in each of `layers`. legacy: shapes as
    num, channels, height and width, ones in front (the old forms' way, and so their default), or as `shape`. encoding of the
    numbers: "packed" as Caffe does, "unpacked", "mixed" of both, "double" for `double_data`. Memory: what the arrays take.
    """
    old = form != "v2" if legacy is None else legacy
    with path.open("wb") as file:
        file.write(message("NetParameter")(name="net").SerializeToString())
        for name, (kind, arrays) in layers.items():
            file.writelines(_layer(name, kind, [_blob(array, old, encoding) for array in arrays], form))
    return path


def random_layers() -> Layers:
    """Weights that fit the small network above, the same every time."""
    draw = numpy.random.default_rng(0).standard_normal
    return {
        "conv": ("Convolution", [draw((4, 1, 3, 3), numpy.float32), draw(4, numpy.float32)]),
        "fc": ("InnerProduct", [draw((5, 36), numpy.float32), draw(5, numpy.float32)]),
        "again": ("InnerProduct", [draw((2, 5), numpy.float32)]),
    }


def delimited(number: int, pieces: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """A field of the wire type 2: tag, length, and what it holds."""
    size = sum(memoryview(piece).nbytes for piece in pieces)
    return [varint(number << 3 | 2) + varint(size), *pieces]


def varint(value: int) -> bytes:
    """A number in protobuf's base 128, lowest digits first."""
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def measured(warm: Path, path: Path) -> tuple[int, float, str]:
    """Bytes of memory and seconds that a process takes to read a file, after another that loads all modules; what it found."""
    done = subprocess.run([sys.executable, "-c", MEASURE, warm, path], capture_output=True, text=True, check=True)
    memory, seconds, found = done.stdout.split(maxsplit=2)
    return int(memory), float(seconds), found.strip()


def _layer(name: str, kind: str, blobs: list[list[bytes | memoryview]], form: str) -> list[bytes | memoryview]:
    if form == "v2":
        head = message("LayerParameter")(name=name, type=kind).SerializeToString()
        return delimited(100, [head, *_joined(7, blobs)])
    if form == "v1":
        head = message("V1LayerParameter")(name=name, type=_old(V1_TYPES, kind)).SerializeToString()  # pyright: ignore[reportCallIssue]
        return delimited(2, [head, *_joined(6, blobs)])
    head = message("V0LayerParameter")(name=name, type=_old(V0_TYPES, kind)).SerializeToString()
    return delimited(2, delimited(1, [head, *_joined(50, blobs)]))


def _old(types: Mapping[str, str], kind: str) -> str:
    return next(old for old, new in types.items() if new == kind)


def _joined(number: int, blobs: list[list[bytes | memoryview]]) -> list[bytes | memoryview]:
    return [piece for blob in blobs for piece in delimited(number, blob)]


def _blob(array: NDArray[Any], legacy: bool, encoding: str) -> list[bytes | memoryview]:
    if legacy:
        sizes = (1,) * (4 - array.ndim) + array.shape
        head = message("BlobProto")(**dict(zip(("num", "channels", "height", "width"), sizes, strict=True)))
    else:
        head = message("BlobProto")(shape={"dim": array.shape})
    return [head.SerializeToString(), *_numbers(array.reshape(-1), encoding)]


def _numbers(flat: NDArray[Any], encoding: str) -> list[bytes | memoryview]:
    if encoding == "mixed":
        third = len(flat) // 3
        parts = (flat[:third], "packed"), (flat[third : 2 * third], "unpacked"), (flat[2 * third :], "packed")
        return [piece for part, kind in parts for piece in _numbers(part, kind)]
    if encoding == "unpacked":
        row = numpy.empty(len(flat), numpy.dtype([("tag", "u1"), ("value", "<f4")]))
        row["tag"], row["value"] = 5 << 3 | 5, flat
        return [row.tobytes()]
    number, kind = (8, "<f8") if encoding == "double" else (5, "<f4")
    return delimited(number, [numpy.ascontiguousarray(flat, kind).data.cast("B")])
