"""Definitions of networks from their texts: Caffe's three forms, phases, inputs, and what is refused."""

import json
import struct
import sys
from pathlib import Path

import pytest
from caffe_files import FORMS, TEXTS, V2_TEXT, random_layers, write_caffemodel, write_prototxt

from ppgn import caffe
from ppgn.caffe import CaffeError, read_definition


@pytest.mark.parametrize("form", FORMS)
def test_a_network_in_any_of_the_three_forms_is_one_definition(tmp_path: Path, form: str) -> None:
    definition = read_definition(write_prototxt(tmp_path / "net.prototxt", TEXTS[form]))
    assert definition["name"] == "small"
    assert definition["input"] == [{"name": "data", "shape": [1, 1, 5, 5]}]
    assert json.loads(json.dumps(definition)) == definition
    conv, relu, pool, norm, full, drop, again = definition["layers"]
    shape = {"num_output": 4, "kernel_size": [3], "pad": [1], "stride": [2]}
    assert conv == {"name": "conv", "type": "Convolution", "bottom": ["data"], "top": ["conv"], "convolution_param": shape}
    assert relu == {"name": "relu", "type": "ReLU", "bottom": ["conv"], "top": ["conv"]}
    assert pool["type"] == "Pooling" and pool["pooling_param"] == {"pool": "AVE", "kernel_size": 2}
    assert norm["type"] == "LRN" and norm["lrn_param"] == {"local_size": 3, "alpha": 0.5}
    assert full["type"] == "InnerProduct" and full["inner_product_param"] == {"num_output": 5, "bias_term": True}
    assert drop["type"] == "Dropout" and drop["dropout_param"] == {"dropout_ratio": 0.5}
    assert again["inner_product_param"] == {"num_output": 2, "bias_term": False}


def test_types_of_the_old_forms_are_the_new_names_but_for_a_few() -> None:
    same = {old: new for old, new in caffe.V1_TYPES.items() if old.replace("_", "").lower() == new.lower()}
    assert {old: new for old, new in caffe.V1_TYPES.items() if old not in same} == {"SOFTMAX_LOSS": "SoftmaxWithLoss"}
    assert {value.split("=")[0] for value in caffe.ENUMS["V1LayerParameter.LayerType"].split()} == {"NONE", *caffe.V1_TYPES}
    changed = {old: new for old, new in caffe.V0_TYPES.items() if caffe.V1_TYPES.get(old.upper()) != new}
    short = {"conv": "Convolution", "images": "ImageData", "innerproduct": "InnerProduct", "pool": "Pooling"}
    assert changed == short


def definition_of(tmp_path: Path, text: str) -> dict:
    return read_definition(write_prototxt(tmp_path / "net.prototxt", text))


def test_layers_remain_that_the_deployed_network_has(tmp_path: Path) -> None:
    rules = {
        "always": "", "trained": "include { phase: TRAIN }", "tested": "include { phase: TEST }",
        "never": "exclude { phase: TEST }",
        "training aside": "exclude { phase: TRAIN }", "either": "include { phase: TRAIN } include { phase: TEST }",
        "deployed": 'include { stage: "deploy" }', "validated": 'include { stage: "val" }', "staged": 'include { stage: "mine" }',
        "undeployed": 'exclude { stage: "deploy" }', "not deployed": 'include { not_stage: "deploy" }',
        "level 2": "include { min_level: 2 }", "level 5": "include { min_level: 5 }", "below": "exclude { max_level: 2 }",
    }  # fmt: skip
    layers = (f'layer {{ name: "{name}" type: "ReLU" top: "a" bottom: "a" {rule} }}' for name, rule in rules.items())
    definition = definition_of(tmp_path, 'state { level: 3 stage: "mine" }' + "\n".join(layers))
    kept = ["always", "tested", "training aside", "either", "deployed", "staged", "level 2", "below"]
    assert [layer["name"] for layer in definition["layers"]] == kept
    assert all(set(layer) == {"name", "type", "top", "bottom"} for layer in definition["layers"])


RELU = ' layer { name: "relu" type: "ReLU" bottom: "data" top: "data" }'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('input: "a" input: "b" input_shape { dim: 2 } input_shape { dim: 3 dim: 4 }', {"a": [2], "b": [3, 4]}),
        ('input: "a" input: "b"' + "".join(f" input_dim: {n}" for n in range(1, 9)), {"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]}),
        ('layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 7 } } }', {"a": [7], "b": [7]}),
        (
            'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 7 } shape { dim: 8 dim: 9 } } }',
            {"a": [7], "b": [8, 9]},
        ),
        (
            'layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN } }'
            ' layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST } transform_param { crop_size: 227 }'
            " data_param { batch_size: 50 } }",
            {"data": [50, 3, 227, 227], "label": [50]},
        ),
        (
            'layer { name: "d" type: "ImageData" top: "data" image_data_param { new_height: 6 new_width: 8 is_color: false } }',
            {"data": [1, 1, 6, 8]},
        ),
        (
            'layer { name: "d" type: "MemoryData" top: "a" top: "b" '
            " memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 } }",
            {"a": [2, 3, 4, 5], "b": [2]},
        ),
        (
            'layer { name: "d" type: "DummyData" top: "a" top: "b" '
            " dummy_data_param { num: 1 num: 2 channels: 3 height: 4 width: 5 } }",
            {"a": [1, 3, 4, 5], "b": [2, 3, 4, 5]},
        ),
    ],
)
def test_inputs_are_named_with_their_shapes(tmp_path: Path, text: str, expected: dict[str, list[int]]) -> None:
    definition = definition_of(tmp_path, text + RELU)
    assert {entry["name"]: entry["shape"] for entry in definition["input"]} == expected
    assert [layer["name"] for layer in definition["layers"]] == ["relu"]


def test_data_layers_of_the_old_form_say_their_crop_in_their_own_field(tmp_path: Path) -> None:
    text = 'layers { layer { name: "d" type: "data" batchsize: 9 cropsize: 8 } top: "data" top: "label" }'
    definition = definition_of(tmp_path, text + ' layers { layer { name: "r" type: "relu" } bottom: "data" top: "data" }')
    assert definition["input"] == [{"name": "data", "shape": [9, 3, 8, 8]}, {"name": "label", "shape": [9]}]


def test_numbers_are_those_of_single_precision_and_text_may_start_with_a_mark(tmp_path: Path) -> None:
    text = "\ufeff" + 'layer { name: "r" type: "ReLU" relu_param { negative_slope: 0.3 } }  # é'
    slope = definition_of(tmp_path, text)["layers"][0]["relu_param"]["negative_slope"]
    assert slope == struct.unpack("<f", struct.pack("<f", 0.3))[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds 0 layers"),
        ("layer {", 'line 1.*Expected "}"'),
        ('name: "a"\nlayer { name: "x" type: "Foo"\n foo_param { a: 1 } }', r'line 3 \(layer 1 "x" of type "Foo"\).*named "foo_'),
        ('layers { name: "x"\n type: FOO }', "line 2.*LayerType.*no value named FOO"),
        ('layer { name: "x" type: "Power" power_param { shift: 1e39 } }', "PowerParameter.shift is inf"),
        ('layer { name: "x" type: "Power" power_param { shift: nan } }', "PowerParameter.shift is nan"),
        ('layer { name: "x" type: "Pooling" pooling_param { stride: -1 } }', "Value out of range"),
        ('layer { name: "x" }', "no type"),
        ('layer { type: "ReLU" }', "no name"),
        ('layers { name: "x" }', '"x", has no type'),
        ('layer { name: "x" type: "ReLU" } layers { name: "y" type: RELU }', 'both "layers"'),
        ('layers { layer { name: "x" type: "relu" } } layers { name: "y" type: RELU }', "entry 2 of layers has no nested"),
        ('layers { layer { name: "x" type: "reshape" } }', 'layer "x" has the type "reshape"'),
        ('layers { layer { name: "x" type: "relu" stride: 2 } }', 'layer "x" of type relu has the field stride'),
        (
            'layers { layer { name: "p" type: "padding" } bottom: "a" top: "b" }'
            ' layers { layer { name: "x" type: "relu" } bottom: "b" top: "c" }',
            'layer "x" reads the padding layer "p"',
        ),
        ('layer { name: "x" type: "ReLU" include { phase: TEST } exclude { phase: TEST } }', "include rules and exclude rules"),
        ('layer { name: "x" type: "HDF5Data" top: "data" }' + RELU, 'layer "x" of type HDF5Data does not say the size'),
        ('layer { name: "x" type: "Data" top: "data" }' + RELU, "does not say the size"),
        ('layer { name: "x" type: "Input" top: "a" top: "b" top: "c" input_param { shape {} shape {} } }' + RELU, "does not say"),
        ('layer { name: "x" type: "Input" top: "data" input_param { shape { dim: 3 } } }', "none of its 1 layers computes"),
        ('input: "a" input_dim: 1' + RELU, "1 input and 1 input_dim"),
        ('input: "a" input: "b" input_shape { dim: 1 }' + RELU, "2 input and 1 input_shape"),
        ('input: "a" input_shape { dim: 0 }' + RELU, r"shape \[0\]"),
        ('input: "a" input_shape { dim: -1 }' + RELU, r"shape \[-1\]"),
        ('input: "a" input_shape { dim: 65536 dim: 32768 }' + RELU, "2147483647 entries"),
        ('input: "a" input_shape {' + " dim: 1" * 33 + "}" + RELU, "33 axes"),
        ("layer { }" * 10_001, "holds 10001 layers"),
        ("#" * (2 * 1024**2 + 1), "larger than 2 MiB"),
        ("layer {" * 100_000, "line 1"),
        ("layer" + " " * 1_000_000 + "?", "line 1"),
    ],
)  # fmt: skip
def test_a_definition_that_cannot_be_read_is_refused_in_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(CaffeError, match=said) as fault:
        definition_of(tmp_path, text)
    sentence = str(fault.value)
    assert sentence.startswith(str(tmp_path)) and "\n" not in sentence and len(sentence) < len(str(tmp_path)) + 600


def test_a_definition_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = write_caffemodel(tmp_path / "net.caffemodel", random_layers())
    with pytest.raises(CaffeError, match="not UTF-8 text"):
        read_definition(path)


def test_without_protobuf_the_reader_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf.message_factory", None)
    monkeypatch.setitem(sys.modules, "google.protobuf.text_format", None)
    with pytest.raises(CaffeError, match=r'pip install "ppgn\[caffe\]"'):
        definition_of(tmp_path, V2_TEXT)
