"""Every layer of the published networks against OpenCV's reader of the same `.prototxt` and `.caffemodel` files.

OpenCV's 4.x reader is another implementation of Caffe's layers. What it lacks is tested in closed form in test_caffe_layers.py:
`round_mode` (it stops at "kernel[i] > 0"), LRN's `k` (it always adds 1), Bias, Embed, and LSTM's `cont`.
"""

from __future__ import annotations

import math
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import caffe_topologies as topologies
import numpy as np
import pytest
import torch
from caffe_files import write_caffemodel, write_prototxt
from caffe_topologies import Entry, Enum, convolution, entry, prototxt
from numpy.typing import NDArray
from PIL import Image
from test_caffe_layers import lstm_by_loops
from torchvision import models

from ppgn import images
from ppgn.caffe import CaffeNetwork, CaffeNetworkConfig, read_definition, read_weights

cv2 = pytest.importorskip("cv2")
SHARED = Path(os.environ.get("PPGN_SHARED", Path(__file__).parents[2] / "shared")) / "data"
WEIGHTS = SHARED / "weights" / "squeezenet1_0_deepcompression_fp16.pth"
WITHIN = 1e-4
"""Largest difference allowed, as a share of the largest number of a blob."""

Blobs = dict[str, tuple[str, list[NDArray[np.float32]]]]


def built(file: Path) -> CaffeNetwork:
    with torch.device("meta"):
        return CaffeNetwork(CaffeNetworkConfig(read_definition(file)))


def random_blobs(network: CaffeNetwork) -> Blobs:
    """Weights under which numbers neither grow nor vanish (He et al. 2015), with small logits before the last softmax."""
    random, types = np.random.default_rng(0), {layer["name"]: layer["type"] for layer in network.config.definition["layers"]}
    weighted = [name for name, layer in zip(types, network.layers.values(), strict=True) if list(layer.parameters())]
    blobs: Blobs = {}
    for (name, _, _), layer in zip(network.wiring, network.layers.values(), strict=True):
        arrays = []
        for weights in layer.parameters():
            shape = tuple(weights.shape)
            fan_in = math.prod(shape[1:]) if len(shape) > 1 else 50
            if types[name] == "Deconvolution" and len(shape) > 1:
                fan_in = shape[0] * math.prod(shape[2:]) / math.prod(layer.window.stride)
            gain = 0.01 if name == weighted[-1] and "Softmax" in types.values() else 1
            array = random.standard_normal(shape, np.float32) * np.float32(gain * math.sqrt(2 / fan_in))
            arrays.append(abs(array) + np.float32(0.1) if types[name] == "BatchNorm" else array)  # variances are positive
        if arrays:
            blobs[name] = (types[name], arrays)
    return blobs


def loaded(folder: Path, text: str, form: str = "v2") -> tuple[CaffeNetwork, Any]:
    """The network that is read from files with random weights, and OpenCV's of the same files.

    OpenCV reads definitions of the V0 form but no weights from V0 files ("!blobs.empty()" fails); it gets the same weights as V1
    then. Nor can it hold a blob without axes, such as a shared slope, which is therefore written as 1 x 1 x 1 x 1.
    """
    definition, model = write_prototxt(folder / "net.prototxt", text), folder / "net.caffemodel"
    network = built(definition)
    blobs = random_blobs(network)
    if not blobs:
        theirs = cv2.dnn.readNetFromCaffe(str(definition))
    else:
        scalars = any(array.ndim == 0 for _, arrays in blobs.values() for array in arrays)
        network.load_blobs(read_weights(write_caffemodel(model, blobs, form=form, legacy=True if scalars else None)))
        if form == "v0":
            write_caffemodel(model, blobs, form="v1")
        theirs = cv2.dnn.readNetFromCaffe(str(definition), str(model))
        model.unlink()
    theirs.enableFusion(False)
    theirs.enableWinograd(False)  # which is fast and less exact
    return network.eval().requires_grad_(False), theirs


def differences(network: CaffeNetwork, theirs: Any, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """max |ours - theirs| / max |theirs| for each layer's own output, by its name."""
    ours = network.tops({name: torch.from_numpy(array) for name, array in inputs.items()})
    for name, array in inputs.items():
        theirs.setInput(array, name)
    outputs = zip(ours.items(), theirs.forward(list(ours)), strict=True)
    found = {}
    for (name, mine), other in outputs:
        assert mine.numel() == other.size, f"{name}: {tuple(mine.shape)} and {other.shape}"
        found[name] = float(np.abs(mine.numpy() - other.reshape(mine.shape)).max() / max(np.abs(other).max(), 1e-30))
    return found


def data_for(network: CaffeNetwork, scale: float) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(1)
    return {name: random.standard_normal(network.inputs[name], np.float32) * np.float32(scale) for name in network.wanted}


NETWORKS = {
    "caffenet, full size, v2": (topologies.caffenet(), "v2", 50.0),
    "caffenet v1": (topologies.caffenet(8, "v1", 205), "v1", 50.0),
    "caffenet v0": (topologies.caffenet(8, "v0"), "v0", 50.0),
    "fc6 generator, full size": (topologies.fc_generator(), "v2", 3.0),
    "fc7 generator": (topologies.fc_generator(8, "fc7"), "v2", 3.0),
    "pool5 generator": (topologies.pool5_generator(4), "v2", 3.0),
    "googlenet": (topologies.googlenet(2), "v2", 50.0),
    "squeezenet": (topologies.squeezenet(4), "v2", 50.0),
}


@pytest.mark.parametrize("case", NETWORKS)
def test_every_layer_of_a_published_network_is_that_of_opencv(case: str, tmp_path: Path) -> None:
    text, form, scale = NETWORKS[case]
    network, theirs = loaded(tmp_path, text, form)
    found = differences(network, theirs, data_for(network, scale))
    assert len(found) == len(network.config.definition["layers"])
    assert max(found.values()) <= WITHIN, {name: value for name, value in found.items() if value > WITHIN}


def pooling(**settings: Any) -> Entry:
    return entry("top", "Pooling", "data", "top", "pooling_param", **settings)


def two(kind: str, message: str = "", **settings: Any) -> list[Entry]:
    """A layer of two bottoms, the second of which is made of the data."""
    other = entry("other", "Power", "data", "other", "power_param", power=2.0, scale=0.5, shift=0.3)
    return [other, entry("top", kind, "data other", "top", message, **settings)]


def one(kind: str, message: str = "", **settings: Any) -> list[Entry]:
    return [entry("top", kind, "data", "top", message, **settings)]


MAX, AVE = Enum("MAX"), Enum("AVE")
LAYERS = {
    "convolution with groups and holes": [convolution("top", "data", 6, 3, 2, 2, group=2, dilation=2)],
    "convolution of unequal sides": one(
        "Convolution", "convolution_param", num_output=3, kernel_h=3, kernel_w=2, stride_h=1, stride_w=2, pad_h=2, pad_w=1
    ),
    "convolution without bias": [convolution("top", "data", 3, 1, bias_term=False)],
    "deconvolution": [convolution("top", "data", 3, 4, 2, 1, kind="Deconvolution")],
    "deconvolution with groups": [convolution("top", "data", 6, 3, 2, 1, kind="Deconvolution", group=2, bias_term=False)],
    "maximum, last window cut": [pooling(pool=MAX, kernel_size=3, stride=2)],
    "maximum, rounded down as in forks": [pooling(pool=MAX, kernel_size=3, stride=2, ceil_mode=False)],
    "maximum, padded": [pooling(pool=MAX, kernel_size=3, stride=2, pad=1)],
    "maximum of everything": [pooling(pool=MAX, global_pooling=True)],
    "maximum of unequal sides": [pooling(pool=MAX, kernel_h=3, kernel_w=2, stride_h=1, stride_w=2)],
    "mean, padded": [pooling(pool=AVE, kernel_size=3, stride=2, pad=1)],
    "mean, last window cut": [pooling(pool=AVE, kernel_size=3, stride=2)],
    "mean of everything": [pooling(pool=AVE, global_pooling=True)],
    "normalisation across channels": one("LRN", "lrn_param", local_size=3, alpha=0.7, beta=0.6),
    "normalisation within a channel": one("LRN", "lrn_param", local_size=3, alpha=0.7, norm_region=Enum("WITHIN_CHANNEL")),
    "inner product": one("InnerProduct", "inner_product_param", num_output=5),
    "inner product, axis 2, no bias": one("InnerProduct", "inner_product_param", num_output=5, axis=2, bias_term=False),
    "leaky relu": one("ReLU", "relu_param", negative_slope=0.3),
    "prelu": one("PReLU"),
    "prelu, shared": one("PReLU", "prelu_param", channel_shared=True),
    "sigmoid": one("Sigmoid"),
    "tanh": one("TanH"),
    "absolute": one("AbsVal"),
    "power": one("Power", "power_param", power=2.0, scale=0.5, shift=1.5),
    "elu": one("ELU", "elu_param", alpha=1.0),
    "exponential": one("Exp", "exp_param", base=2.0, scale=0.5, shift=0.3),
    "exponential, base e": one("Exp"),
    "log of one plus exp": one("BNLL"),
    "mean and variance": one("MVN", "mvn_param", eps=1e-5),
    "mean alone": one("MVN", "mvn_param", normalize_variance=False),
    "mean and variance across channels": one("MVN", "mvn_param", across_channels=True),
    "crop": [
        entry("small", "Pooling", "data", "small", "pooling_param", pool=AVE, kernel_size=4, stride=1),
        entry("top", "Crop", "data small", "top", "crop_param", axis=2, offset=[1, 2]),
    ],
    "depthwise convolution": one("ConvolutionDepthwise", "convolution_param", num_output=4, kernel_size=3, pad=1),
    "softmax": one("Softmax"),
    "softmax, last axis": one("Softmax", "softmax_param", axis=-1),
    "batch norm and scale": [
        entry("norm", "BatchNorm", "data", "norm", "batch_norm_param", eps=0.001),
        entry("top", "Scale", "norm", "top", "scale_param", bias_term=True),
    ],
    "scale without bias": one("Scale"),
    "scale by a bottom": two("Scale", "scale_param", axis=0),
    "flatten": one("Flatten"),
    "flatten two axes": one("Flatten", "flatten_param", axis=1, end_axis=2),
    "reshape": one("Reshape", "reshape_param", shape={"dim": [0, 2, -1]}),
    "concat": two("Concat"),
    "concat, axis 2": two("Concat", "concat_param", axis=2),
    "sum": two("Eltwise"),
    "weighted sum": two("Eltwise", "eltwise_param", operation=Enum("SUM"), coeff=[0.5, -2.0]),
    "product": two("Eltwise", "eltwise_param", operation=Enum("PROD")),
    "maximum of two": two("Eltwise", "eltwise_param", operation=Enum("MAX")),
    "slice": [entry("cut", "Slice", "data", "a b"), entry("top", "Concat", "b a", "top")],
    "slice at points": [
        entry("cut", "Slice", "data", "a b", "slice_param", slice_point=[1]),
        entry("top", "Concat", "b a", "top"),
    ],
    "dropout that training did not scale": one("Dropout", "dropout_param", dropout_ratio=0.3, scale_train=False),
    "split": [entry("split", "Split", "data", "a b"), entry("top", "Eltwise", "a b", "top")],
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_with_settings_that_those_networks_lack_is_that_of_opencv(case: str, tmp_path: Path) -> None:
    network, theirs = loaded(tmp_path, prototxt(case, {"data": (2, 4, 8, 9)}, LAYERS[case]))
    found = differences(network, theirs, data_for(network, 1.0))
    assert max(found.values()) <= WITHIN, found


@pytest.mark.parametrize("factored", [True, False])
def test_lrcn_read_from_files_says_what_loops_over_its_equations_say(factored: bool, tmp_path: Path) -> None:
    definition = write_prototxt(tmp_path / "lrcn.prototxt", topologies.lrcn(50, 30, steps=5, captions=3, factored=factored))
    network = built(definition)
    blobs = random_blobs(network)
    network.load_blobs(read_weights(write_caffemodel(tmp_path / "lrcn.caffemodel", blobs)))
    random = np.random.default_rng(0)
    words, picture = random.integers(0, 30, (5, 3)), random.standard_normal((3, 20), np.float32)
    cont = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float32)
    given = {"input_sentence": words.astype(np.float32), "cont_sentence": cont, "image_features": picture}
    with torch.no_grad():
        ours = network({name: torch.from_numpy(array) for name, array in given.items()}).numpy()
    weights = {name: arrays for name, (_, arrays) in blobs.items()}
    first = lstm_by_loops(weights["embedding"][0][words], cont, None if factored else picture, weights["lstm1"])
    second = lstm_by_loops(first, cont, picture if factored else None, weights["lstm2"])
    scores = np.exp(np.einsum("tsk,wk->tsw", second, weights["predict"][0]) + weights["predict"][1])
    np.testing.assert_allclose(ours, scores / scores.sum(2, keepdims=True), rtol=1e-4)
    assert [len(arrays) for arrays in weights.values()] == ([1, 3, 4, 2] if factored else [1, 4, 3, 2])


def real_pictures(count: int) -> torch.Tensor:
    """`[picture, 3, 227, 227]` in [0, 1], one of each class in turn from the validation split."""
    with tarfile.open(SHARED / "imagenette64.tar") as archive:
        names = sorted(name for name in archive.getnames() if "/val/" in name and name.endswith(".JPEG"))
        return torch.stack([_picture(archive, name) for name in names[:: len(names) // count][:count]])


def _picture(archive: tarfile.TarFile, name: str) -> torch.Tensor:
    with Image.open(cast(IO[bytes], archive.extractfile(name))) as picture:
        pixels = torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1) / 255
    return images.resize(pixels[None], 227)[0]


@pytest.mark.skipif(not WEIGHTS.is_file(), reason="needs shared weights")
def test_squeezenet_written_to_a_caffemodel_and_read_back_classifies_real_pictures_as_before(tmp_path: Path) -> None:
    before = models.squeezenet1_0(weights=None)
    state = torch.load(WEIGHTS, map_location="cpu", weights_only=True)
    before.load_state_dict({key: value.float() for key, value in state.items()})
    before.classifier[1].padding = (1, 1)
    before.eval().requires_grad_(False)
    convolutions = [layer for layer in before.modules() if isinstance(layer, torch.nn.Conv2d)]
    network = built(write_prototxt(tmp_path / "squeezenet.prototxt", topologies.squeezenet()))
    names = [
        name for (name, _, _), layer in zip(network.wiring, network.layers.values(), strict=True) if list(layer.parameters())
    ]
    blobs: Blobs = {
        name: ("Convolution", [layer.weight.numpy(), layer.bias.numpy()]) for name, layer in zip(names, convolutions, strict=True)
    }
    network.load_blobs(read_weights(write_caffemodel(tmp_path / "squeezenet.caffemodel", blobs, form="v1")))
    caffe = images.normalise(real_pictures(20), [104 / 255, 117 / 255, 123 / 255], 1 / 255, bgr=True)
    with torch.no_grad():
        ours, theirs = network.blobs(caffe)["pool10"].flatten(1), before(caffe)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    assert len(theirs.argmax(1).unique()) > 5  # real pictures are told apart
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)
