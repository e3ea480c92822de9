"""Damaged, hostile and random files of Caffe's: each is read or refused in one sentence, within time and memory.

11,600 inputs from hypothesis, the same every time. What is read all the same agrees with protobuf's own reading.
"""

import json
import re
import struct
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy
import pytest
from caffe_files import (
    ENCODINGS,
    FORMS,
    TEXTS,
    V2_TEXT,
    delimited,
    measured,
    random_layers,
    varint,
    write_caffemodel,
    write_prototxt,
)
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from ppgn.caffe import CaffeError, message, read_definition, read_weights


def cases(count: int) -> settings:
    """Settings of so many inputs, none of which may take five seconds."""
    return settings(max_examples=count, derandomize=True, database=None, deadline=timedelta(seconds=5))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.touch()
    return path


def read_or_refused(read: Callable[[Path], Any], path: Path, data: bytes) -> Any:
    """What a reader makes of bytes, or None where it refuses them in one sentence that names the file."""
    with path.open("r+b", buffering=0) as file:  # an old file: making a new one takes milliseconds
        file.truncate(file.write(data))
    try:
        return read(path)
    except CaffeError as fault:
        sentence = str(fault)
        assert sentence.startswith(f"{path}: ") and sentence.isprintable() and len(sentence) < len(str(path)) + 700
        return None


def small_models(folder: Path) -> list[bytes]:
    """Weights in every form and encoding, small, so that most of the bytes are structure."""
    arrays = [numpy.arange(1, 7, dtype=numpy.float32).reshape(2, 3), numpy.ones(2, numpy.float32)]
    layers = {"fc": ("InnerProduct", arrays), "conv": ("Convolution", [numpy.full((1, 1, 1, 2), 0.5, numpy.float32)])}
    return [
        write_caffemodel(folder / "small", layers, form, encoding, legacy).read_bytes()
        for form in FORMS
        for encoding in ENCODINGS
        for legacy in (True, False)
    ]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return small_models(tmp_path_factory.mktemp("models"))


LENGTHS = [varint(value) for value in (0, 1, 127, 128, 2**14, 2**31 - 1, 2**32, 2**63, 2**64 - 1, 2**69)]
PROGRAM = st.binary(min_size=4, max_size=20)  # what to do to a file, four bytes for each step: cheap to draw, and it shrinks


def steps(program: bytes) -> list[tuple[int, int, int]]:
    """Each step's kind, place and detail, of a byte, two and one."""
    whole = len(program) - len(program) % 4
    return [struct.unpack_from("<BHB", program, start) for start in range(0, whole, 4)]  # pyright: ignore[reportReturnType]


def damaged(data: bytes, program: bytes) -> bytes:
    """Bytes with bits flipped, spans removed, repeated or overwritten, large lengths put in, or the end cut off."""
    for kind, place, detail in steps(program):
        start = place % (len(data) + 1)
        head, tail = data[:start], data[start:]
        flipped = bytes([tail[0] ^ 1 << detail % 8]) + tail[1:] if tail else b""
        length, span = LENGTHS[detail % len(LENGTHS)], 1 + detail % 24
        damage = [
            flipped,
            flipped,
            b"",
            tail[span:],
            tail[:span] * 2 + tail,
            length + tail,
            length + tail[len(length) :],
            bytes([detail]) + tail[1:],
        ]
        data = head + damage[kind % len(damage)]
    return data


def as_protobuf_reads(data: bytes) -> list[list[list[float]]] | None:
    """All numbers of all blobs of all layers as protobuf's own parser finds them; None where it refuses the file."""
    try:
        net: Any = message("NetParameter").FromString(data)
    except DecodeError:
        return None
    layers = [*net.layer, *(entry.layer if entry.HasField("layer") else entry for entry in net.layers)]
    blobs = [[list(blob.double_data or blob.data) for blob in layer.blobs] for layer in layers]
    return [numbers for numbers in blobs if numbers]


def agree(found: dict[str, list[numpy.ndarray]] | None, data: bytes) -> None:
    expected = as_protobuf_reads(data) if found is not None else None
    if found is None or expected is None:
        return
    for blobs, numbers in zip(found.values(), expected, strict=True):
        for blob, values in zip(blobs, numbers, strict=True):
            with numpy.errstate(over="ignore"):
                assert numpy.array_equal(blob.ravel(), numpy.array(values).astype(numpy.float32), equal_nan=True)


def test_damaged_weights_are_read_as_protobuf_reads_them_or_refused(path: Path, models: list[bytes]) -> None:
    read = []

    @cases(7_500)
    @given(st.integers(0, len(models) - 1), PROGRAM)
    def check(which: int, program: bytes) -> None:
        data = damaged(models[which], program)
        found = read_or_refused(read_weights, path, data)
        agree(found, data)
        read.append(found is not None)

    check()
    assert len(read) >= 7_500
    assert 0.05 < sum(read) / len(read) < 0.95, "both ways are tried"


NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 50, 100, 2**29 - 1]


def nested(program: bytes) -> bytes:
    """A message of the field numbers that mean something in a Caffe model; each step adds a field, or wraps what there is."""
    data = b""
    for kind, place, detail in steps(program):
        number = NUMBERS[place % len(NUMBERS)]
        if kind % 2:
            data = b"".join(delimited(number, [data]))
        else:
            wire, content = ((0, bytes([detail % 128])), (1, bytes(8)), (2, b"\x04" + bytes(4)), (5, bytes(4)))[detail % 4]
            data += varint(number << 3 | wire) + content
    return data


def test_random_messages_are_read_as_protobuf_reads_them_or_refused(path: Path) -> None:
    @cases(1_500)
    @given(st.binary(min_size=4, max_size=48))
    def check(program: bytes) -> None:
        data = nested(program)
        agree(read_or_refused(read_weights, path, data), data)

    check()


TOKENS = {form: re.findall(r'"[^"]*"|#[^\n]*\n|[\w.+-]+|\s+|.', text) for form, text in TEXTS.items()}
NASTY = [
    *"{}<>[]:,;\"'\\#\n\0-0", "-1", "1e400", "nan", "-inf", "0x7fffffff", "9" * 50, "9" * 5000, "4294967295",
    "9223372036854775807", "1.5", "é", "\ud7ff", '"\\xff"', '"\\ud800"', '"' + "a" * 300 + '"', "{" * 500, "layer", "layers",
    "layer {", "layers { layer {", "type", "name", "type: 99", "type: NONE", 'type: "padding"', 'type: "Data"',
    'type: "Input"', "input_dim: 0", "input_shape { dim: -1 }", "include { phase: TEST }", "exclude { phase: TEST }",
    "blobs { data: 1 }", "convolution_param {", "kernel_size: 3", "foo_param { a: 1 }", "[a.b]: 1",
    "[type.googleapis.com/caffe.BlobProto] { data: 1 }",
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_definitions_with_tokens_changed_are_read_or_refused(path: Path, form: str) -> None:
    pool, read = NASTY + TOKENS[form], []

    @cases(700)
    @given(st.binary(min_size=4, max_size=12))
    def check(program: bytes) -> None:
        text = list(TOKENS[form])
        for kind, place, detail in steps(program):
            place, new = place % len(text), pool[(place // 7 + detail) % len(pool)]
            text[place : place + 1] = [[new], [], [text[place], new], [text[place]] * 2][kind % 4] or [" "]
        definition = read_or_refused(read_definition, path, "".join(text).encode())
        read.append(definition is not None)
        if definition is not None:
            assert json.loads(json.dumps(definition, allow_nan=False)) == definition
            assert all(layer["name"] and layer["type"] for layer in definition["layers"])

    check()
    assert len(read) >= 700
    assert 0.05 < sum(read) / len(read) < 0.95, "both ways are tried"


def test_definitions_with_bytes_changed_are_read_or_refused(path: Path) -> None:
    @cases(300)
    @given(st.sampled_from(FORMS), PROGRAM)
    def check(form: str, program: bytes) -> None:
        read_or_refused(read_definition, path, damaged(TEXTS[form].encode(), program))

    check()


def test_damaged_files_take_memory_in_proportion_to_their_size(path: Path, models: list[bytes]) -> None:
    @cases(200)
    @given(st.integers(0, len(models) - 1), st.sampled_from(FORMS), PROGRAM)
    def check(which: int, form: str, program: bytes) -> None:
        text = TEXTS[form].encode()
        for read, whole, factor, more in ((read_weights, models[which], 64, 1), (read_definition, text, 100, 3)):
            data = damaged(whole, program)
            tracemalloc.start()
            read_or_refused(read, path, data)
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert highest <= factor * len(data) + more * 1024**2

    read_or_refused(read_definition, path, b"")  # makes the schema, once
    check()


def layer(index: int, blob: list, times: int) -> bytes:
    return b"".join(delimited(100, [*delimited(1, [str(index).encode()]), *delimited(7, blob) * times]))


HOSTILE = {
    "one number a blob": (lambda index: layer(index, delimited(5, [bytes(4)]), 64), 1_000, 64),
    "one number a field": (lambda index: layer(index, [b"\x3a\3\x0a\1\x14", b"\x2d\0\0\0\0\x2a\4\0\0\0\0" * 10], 1), 2_000, 64),
    "many pieces": (lambda index: layer(index, delimited(5, [bytes(4)]), 64), 10_000, 64),
    "nothing in a layer": (lambda _: b"\xa2\x06\x00", 1_000_000, 1),
    "a gigabyte declared": (lambda _: layer(0, [b"\x3a\6\x0a\4\xff\xff\xff\x7f", b"\x2a\4\0\0\0\0"], 1), 1, 1),
    "layers.prototxt": (lambda _: b"layer{}", 299_000, 100),
    "inputs.prototxt": (lambda _: b'input:"a" ', 200_000, 100),
    "lines.prototxt": (lambda _: b"\n", 2_000_000, 100),
    "braces.prototxt": (lambda _: b"layer{", 300_000, 100),
    "numbers.prototxt": (lambda _: b"layer { blobs { data: [1" + b",1" * 900_000 + b"] } }", 1, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_takes_no_more_time_and_memory_than_stated(tmp_path: Path, name: str) -> None:
    unit, times, factor = HOSTILE[name]
    path = tmp_path / name
    path.write_bytes(b"".join(map(unit, range(times))))
    if path.suffix:
        warm = write_prototxt(tmp_path / "warm.prototxt", V2_TEXT)
    else:
        warm = write_caffemodel(tmp_path / "warm.caffemodel", random_layers())
    memory, seconds, _ = measured(warm, path)
    assert memory <= factor * path.stat().st_size + 4 * 1024**2
    assert seconds < 20
