"""Reading Caffe's files: bytes written by hand, Caffe's three forms, OpenCV's reader, memory and time."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy
import pytest
from caffe_files import ENCODINGS, FORMS, TEXTS, measured, random_layers, write_caffemodel, write_prototxt

from ppgn.caffe import CaffeError, read_definition, read_weights

# 1.0 and -2.0 as packed floats (tag 5 << 3 | 2, 8 bytes), as unpacked ones (tag 5 << 3 | 5), as packed doubles (tag 8 << 3 | 2)
PACKED = bytes.fromhex("2a08 0000803f 000000c0")
UNPACKED = bytes.fromhex("2d 0000803f 2d 000000c0")
LONG_TAGS = bytes.fromhex("ad00 0000803f ad00 000000c0")  # the unpacked tag in two bytes, which protobuf allows
MIXED = bytes.fromhex("2d 0000803f 2a04 000000c0")
DOUBLE = bytes.fromhex("4210 000000000000f03f 00000000000000c0")
SHAPE = bytes.fromhex("3a04 0a02 0201")  # shape (field 7) { dim (field 1, packed): 2, 1 }
SHAPE_UNPACKED = bytes.fromhex("3a04 0802 0801")
LEGACY = bytes.fromhex("0801 1001 1802 2001")  # num 1, channels 1, height 2, width 1


def within(tag: str, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes.fromhex(tag) + bytes([len(content)]) + content


def model(blob: bytes, form: str = "v2") -> bytes:
    """A layer "a" with one blob: NetParameter.layer is field 100, .layers field 2; a V0 layer's blobs are field 50."""
    if form == "v2":
        return within("a206", bytes.fromhex("0a0161") + within("3a", blob))
    if form == "v1":
        return within("12", bytes.fromhex("220161") + within("32", blob))
    return within("12", within("0a", bytes.fromhex("0a0161") + within("9203", blob)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [SHAPE, SHAPE_UNPACKED, LEGACY])
@pytest.mark.parametrize("data", [PACKED, UNPACKED, LONG_TAGS, MIXED, DOUBLE])
def test_bytes_written_by_hand_give_their_numbers_and_shape(tmp_path: Path, form: str, shape: bytes, data: bytes) -> None:
    path = tmp_path / "hand.caffemodel"
    for blob in (shape + data, data + shape):
        path.write_bytes(model(blob, form))
        (array,) = read_weights(path)["a"]
        assert array.shape == ((1, 1, 2, 1) if shape is LEGACY else (2, 1))
        assert array.dtype == numpy.float32
        assert array.ravel().tolist() == [1.0, -2.0]


def test_gradients_and_unknown_fields_are_passed_over(tmp_path: Path) -> None:
    diff, unknown = bytes.fromhex("3204 00004040"), bytes.fromhex("f80107 7a0161")  # fields 31 and 15
    (tmp_path / "m").write_bytes(unknown + model(diff + SHAPE + unknown + PACKED) + bytes.fromhex("0a036e6574"))
    assert read_weights(tmp_path / "m")["a"][0].tolist() == [[1.0], [-2.0]]


def test_legacy_dimensions_count_before_a_shape_and_doubles_before_floats_as_in_caffe(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(model(bytes.fromhex("3a03 0a0107") + LEGACY + bytes.fromhex("2a04 00004040") + DOUBLE))
    (array,) = read_weights(tmp_path / "m")["a"]
    assert array.shape == (1, 1, 2, 1) and array.ravel().tolist() == [1.0, -2.0]


def test_a_blob_without_a_shape_is_one_number(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(model(bytes.fromhex("2d 00004040")))
    assert read_weights(tmp_path / "m")["a"][0].shape == ()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("form", FORMS)
def test_what_was_written_is_read_bit_for_bit_in_the_order_of_the_file(tmp_path: Path, form: str, encoding: str) -> None:
    layers = random_layers()
    read = read_weights(write_caffemodel(tmp_path / "net.caffemodel", layers, form, encoding))
    assert list(read) == list(layers)
    for name, (_, arrays) in layers.items():
        for array, found in zip(arrays, read[name], strict=True):
            shape = array.shape if form == "v2" else (1,) * (4 - array.ndim) + array.shape
            assert found.shape == shape and found.tobytes() == array.tobytes()


def test_arrays_outlive_the_file_and_can_be_written_to(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", random_layers())
    read = read_weights(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert all(array.flags.owndata and array.flags.writeable for arrays in read.values() for array in arrays)
    assert read["again"][0].tobytes() == random_layers()["again"][1][0].tobytes()


def test_runs_longer_than_what_is_read_at_a_time_keep_every_number(tmp_path: Path) -> None:
    numbers = numpy.arange(200_003, dtype=numpy.float32)
    for encoding in ENCODINGS:
        path = write_caffemodel(tmp_path / encoding, {"a": ("Scale", [numbers])}, encoding=encoding)
        assert numpy.array_equal(read_weights(path)["a"][0], numbers)


# OpenCV reads no double_data, and of V0 layers only the text: its UpgradeV0LayerParameter (modules/dnn/src/caffe/caffe_io.cpp)
# takes the blobs of what nests the layer, where Caffe's upgrade_proto.cpp takes the layer's own.
@pytest.mark.parametrize("encoding", ["packed", "unpacked", "mixed"])
@pytest.mark.parametrize("form", ["v2", "v1"])
@pytest.mark.parametrize("text_form", FORMS)
def test_opencv_reads_the_same_weights_from_the_same_files(tmp_path: Path, text_form: str, form: str, encoding: str) -> None:
    text = write_prototxt(tmp_path / "net.prototxt", TEXTS[text_form])
    path = write_caffemodel(tmp_path / "net.caffemodel", random_layers(), form, encoding)
    net = cv2.dnn.readNetFromCaffe(str(text), str(path))
    read = read_weights(path)
    assert set(read) <= set(net.getLayerNames())
    for name, arrays in read.items():
        for index, array in enumerate(arrays):
            assert numpy.array_equal(net.getParam(name, index).ravel(), array.ravel())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "none of its 0 layers has weights"),
        (model(SHAPE + PACKED)[:-1], "ends at byte 24, but what holds it ends at 23"),
        (model(SHAPE + PACKED) + b"\xa2", "byte 24 starts a number that does not end"),
        (within("a206", within("3a", b"\x2a\x7f")), "ends at byte 134, but what holds it ends at 7"),
        (b"\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "ends at byte"),
        (b"\xff" * 20, "a number that does not end"),
        (b"\x00" * 20, "field of number 0"),
        (b"\x0b", "wire type 3"),
        (b"<!DOCTYPE html><html>", "is a web page, expected a .caffemodel"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
        (model(SHAPE), 'blob 0 of layer "a" has 0 numbers, expected 2'),
        (model(SHAPE + PACKED + PACKED), "has 4 numbers, expected 2"),
        (model(PACKED), r"has 2 numbers, expected 1 numbers for its shape \[\]"),
        (model(bytes.fromhex("0804") + PACKED), r"shape \[4, 0, 0, 0\]"),
        (model(bytes.fromhex("3a0b 0a09 ffffffffffffffff7f") + PACKED), "9223372036854775807"),
        (model(bytes.fromhex("3a0b 0a09 80808080fcffffff7f") + PACKED), "2147483647 entries"),
        (model(bytes.fromhex("3a23 0a21") + b"\x01" * 33 + PACKED), "33 axes"),
        (model(SHAPE + bytes.fromhex("2a07") + b"\x00" * 7), "array of 7 bytes, expected a multiple of 4"),
        (model(bytes.fromhex("3a02 0a05") + PACKED), "name or shape is damaged"),
        (model(SHAPE + PACKED).replace(b"a", b"\xff"), "a name that is not UTF-8 text|whose name or shape is damaged"),
        (model(SHAPE + PACKED) * 2, 'two layers of the name "a"'),
        (model(SHAPE + PACKED) + model(SHAPE + PACKED, "v1").replace(b"a", b"b"), "layers of two forms"),
        (within("12", within("0a", b"") + within("0a", b"")), "one nested layer"),
        (b"\xa2\x06\x00" * 10_001, "more than 10000 layers"),
        (b"\xa2\x06\x82\x01" + b"\x3a\x00" * 65, "more than 64 blobs"),
        (b"\x08\x00" * 250_001, "more than 250000 pieces"),
        (b"\xa2\x06\x84\x80\x02\x0a\x80\x80\x02" + b"a" * 32_768, "larger than 4096 bytes"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_read_are_refused_in_a_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(CaffeError, match=said) as fault:
        read_weights(path)
    sentence = str(fault.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence and len(sentence) < len(str(path)) + 300


@pytest.mark.parametrize("read", [read_definition, read_weights])
def test_a_path_that_is_no_file_is_refused_by_name(tmp_path: Path, read) -> None:
    for path, said in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CaffeError, match=said):
            read(path)


CAFFENET = {
    "conv1": (96, 3, 11, 11), "conv2": (256, 48, 5, 5), "conv3": (384, 256, 3, 3), "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3), "fc6": (4096, 9216), "fc7": (4096, 4096), "fc8": (1000, 4096),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["packed", "mixed"])
def test_a_caffenet_of_240_megabytes_takes_no_more_than_ten_seconds_and_its_size(tmp_path: Path, encoding: str) -> None:
    count = 0
    layers = {}
    for name, shape in CAFFENET.items():
        weights = numpy.arange(count, count + numpy.prod(shape), dtype=numpy.float32).reshape(shape)
        layers[name] = ("Convolution" if len(shape) == 4 else "InnerProduct", [weights, numpy.zeros(shape[0], numpy.float32)])
    path = write_caffemodel(tmp_path / "caffenet.caffemodel", layers, encoding=encoding)
    memory, seconds, found = measured(write_caffemodel(tmp_path / "small.caffemodel", random_layers()), path)
    size = path.stat().st_size
    assert size > 240e6 and found == "8"
    assert seconds < 10
    assert memory <= 1.05 * size
    path.unlink()


def test_importing_the_readers_loads_neither_protobuf_nor_torch() -> None:
    code = "import ppgn.caffe, sys; print([name for name in ('google.protobuf', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
