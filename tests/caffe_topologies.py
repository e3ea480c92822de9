"""Prototxt texts of the published networks, written from their tables (Caffe's three syntaxes), at any width.

`width` divides the number of units of every layer but the last ones; 1 is full size. Shapes of maps stay as published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """A layer as written: the message of its settings has the fields of `settings`."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: str = ""
    settings: Mapping[str, Any] | None = None


class Enum(str):
    """A value that is written without quotes."""


def entry(name: str, kind: str, bottoms: str, tops: str, message: str = "", **settings: Any) -> Entry:
    return Entry(name, kind, tuple(bottoms.split()), tuple(tops.split()), message, settings)


def convolution(name: str, bottom: str, outputs: int, kernel: int, stride: int = 1, pad: int = 0, **more: Any) -> Entry:
    kind = more.pop("kind", "Convolution")
    given = {"num_output": outputs, "kernel_size": kernel, "stride": stride, "pad": pad, **more}
    return entry(name, kind, bottom, name, "convolution_param", **given)


def relu(name: str, blob: str, slope: float = 0.0) -> Entry:
    return entry(name, "ReLU", blob, blob, "relu_param", **({"negative_slope": slope} if slope else {}))


def pool(name: str, bottom: str, method: str, kernel: int, stride: int, **more: Any) -> Entry:
    return entry(name, "Pooling", bottom, name, "pooling_param", pool=Enum(method), kernel_size=kernel, stride=stride, **more)


def lrn(name: str, bottom: str) -> Entry:
    return entry(name, "LRN", bottom, name, "lrn_param", local_size=5, alpha=0.0001, beta=0.75)


def full(name: str, bottom: str, outputs: int, **more: Any) -> Entry:
    return entry(name, "InnerProduct", bottom, name, "inner_product_param", num_output=outputs, **more)


def dropout(name: str, blob: str) -> Entry:
    return entry(name, "Dropout", blob, blob, "dropout_param", dropout_ratio=0.5)


V1_TYPES = {"InnerProduct": "INNER_PRODUCT", "ReLU": "RELU"}
V0_TYPES = {"Convolution": "conv", "InnerProduct": "innerproduct", "Pooling": "pool"}
V0_FIELDS = {"kernel_size": "kernelsize", "bias_term": "biasterm"}


def prototxt(name: str, inputs: Mapping[str, Iterable[int]], layers: Iterable[Entry], form: str = "v2") -> str:
    """The text: `form` is "v2" (layer, type: "Convolution"), "v1" (layers, type: CONVOLUTION) or "v0" (layers, layer)."""
    lines = [f'name: "{name}"']
    for blob, shape in inputs.items():
        lines.append(f'input: "{blob}"')
        sizes = list(shape)
        lines += [f"input_dim: {size}" for size in sizes] if form != "v2" else [f"input_shape {{ {_repeat('dim', sizes)} }}"]
    return "\n".join([*lines, *({"v2": _v2, "v1": _v1, "v0": _v0}[form](layer) for layer in layers)]) + "\n"


def _v2(layer: Entry) -> str:
    head = f'name: "{layer.name}" type: "{layer.type}" {_ends(layer)}'
    return f"layer {{ {head} {_message(layer.message, layer.settings)} }}"


def _v1(layer: Entry) -> str:
    head = f'name: "{layer.name}" type: {V1_TYPES.get(layer.type, layer.type.upper())} {_ends(layer)}'
    return f"layers {{ {head} {_message(layer.message, layer.settings)} }}"


def _v0(layer: Entry) -> str:
    settings = {V0_FIELDS.get(field, field): value for field, value in (layer.settings or {}).items()}
    inner = f'name: "{layer.name}" type: "{V0_TYPES.get(layer.type, layer.type.lower())}" {_fields(settings)}'
    return f"layers {{ layer {{ {inner} }} {_ends(layer)} }}"


def _ends(layer: Entry) -> str:
    quoted = [(end, f'"{blob}"') for end, blobs in (("bottom", layer.bottoms), ("top", layer.tops)) for blob in blobs]
    return " ".join(f"{end}: {blob}" for end, blob in quoted)


def _message(name: str, settings: Mapping[str, Any] | None) -> str:
    return f"{name} {{ {_fields(settings)} }}" if settings else ""


def _fields(settings: Mapping[str, Any]) -> str:
    return " ".join(
        _repeat(field, value) if isinstance(value, list) else _field(field, value) for field, value in settings.items()
    )


def _repeat(field: str, values: Iterable[Any]) -> str:
    return " ".join(_field(field, value) for value in values)


def _field(field: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{field} {{ {_fields(value)} }}"
    if isinstance(value, bool):
        return f"{field}: {str(value).lower()}"
    return f'{field}: "{value}"' if isinstance(value, str) and not isinstance(value, Enum) else f"{field}: {value}"


def caffenet(width: int = 1, form: str = "v2", classes: int = 1000, size: int = 227) -> str:
    """CaffeNet of Jia et al. 2014 (AlexNet with pooling before normalisation), down to its softmax."""
    layers = [
        convolution("conv1", "data", 96 // width, 11, 4),
        relu("relu1", "conv1"),
        pool("pool1", "conv1", "MAX", 3, 2),
        lrn("norm1", "pool1"),
        convolution("conv2", "norm1", 256 // width, 5, 1, 2, group=2),
        relu("relu2", "conv2"),
        pool("pool2", "conv2", "MAX", 3, 2),
        lrn("norm2", "pool2"),
        convolution("conv3", "norm2", 384 // width, 3, 1, 1),
        relu("relu3", "conv3"),
        convolution("conv4", "conv3", 384 // width, 3, 1, 1, group=2),
        relu("relu4", "conv4"),
        convolution("conv5", "conv4", 256 // width, 3, 1, 1, group=2),
        relu("relu5", "conv5"),
        pool("pool5", "conv5", "MAX", 3, 2),
        full("fc6", "pool5", 4096 // width),
        relu("relu6", "fc6"),
        dropout("drop6", "fc6"),
        full("fc7", "fc6", 4096 // width),
        relu("relu7", "fc7"),
        dropout("drop7", "fc7"),
        full("fc8", "fc7", classes),
        entry("prob", "Softmax", "fc8", "prob"),
    ]
    return prototxt("CaffeNet", {"data": (1, 3, size, size)}, layers, form)


DECONVOLUTIONS = [
    ("deconv5", 256, 4, 2, 1), ("conv5_1", 512, 3, 1, 1), ("deconv4", 256, 4, 2, 1), ("conv4_1", 256, 3, 1, 1),
    ("deconv3", 128, 4, 2, 1), ("conv3_1", 128, 3, 1, 1), ("deconv2", 64, 4, 2, 1), ("deconv1", 32, 4, 2, 1),
]  # fmt: skip


def fc_generator(width: int = 1, name: str = "fc6", batch: int = 1) -> str:
    """The generator of fc6 or fc7 codes (Dosovitskiy & Brox 2016, as released with DGN-AM and PPGN): feat -> deconv0."""
    layers, blob = [], "feat"
    for layer in ("defc7", "defc6", "defc5"):
        layers += [full(layer, blob, 4096 // width), relu(f"relu_{layer}", layer, 0.3)]
        blob = layer
    shape = {"dim": [batch, 256 // width, 4, 4]}
    layers += [entry("reshape", "Reshape", blob, "reshape", "reshape_param", shape=shape), *upwards("reshape", width)]
    return prototxt(f"generator_{name}", {"feat": (batch, 4096 // width)}, layers)


def pool5_generator(width: int = 1) -> str:
    """The generator of pool5 codes: three more convolutions bring 6 x 6 maps to 4 x 4."""
    layers, blob = [], "feat"
    for layer, pad in (("conv6_1", 1), ("conv6_2", 1), ("conv6_3", 0)):
        layers += [convolution(layer, blob, 512 // width, 3, 1, pad), relu(f"relu_{layer}", layer, 0.3)]
        blob = layer
    return prototxt("generator_pool5", {"feat": (1, 256 // width, 6, 6)}, [*layers, *upwards(blob, width)])


def upwards(blob: str, width: int) -> list[Entry]:
    """Transposed convolutions from maps of 4 x 4 to a picture of 256 x 256."""
    layers = []
    for layer, outputs, kernel, stride, pad in DECONVOLUTIONS:
        layers.append(convolution(layer, blob, outputs // width, kernel, stride, pad, kind="Deconvolution"))
        layers.append(relu(f"relu_{layer}", layer, 0.3))
        blob = layer
    return [*layers, convolution("deconv0", blob, 3, 4, 2, 1, kind="Deconvolution")]


def inception(name: str, bottom: str, widths: tuple[int, ...]) -> list[Entry]:
    """An Inception block (Szegedy et al. 2014): 1x1; 1x1, 3x3; 1x1, 5x5; pool, 1x1; joined along the channels."""
    one, three_in, three, five_in, five, pooled = widths
    rows = [
        ("1x1", bottom, one, 1, 0),
        ("3x3_reduce", bottom, three_in, 1, 0),
        ("3x3", f"{name}/3x3_reduce", three, 3, 1),
        ("5x5_reduce", bottom, five_in, 1, 0),
        ("5x5", f"{name}/5x5_reduce", five, 5, 2),
        ("pool_proj", f"{name}/pool", pooled, 1, 0),
    ]
    layers = [pool(f"{name}/pool", bottom, "MAX", 3, 1, pad=1)]
    for part, below, outputs, kernel, pad in rows:
        layers += [convolution(f"{name}/{part}", below, outputs, kernel, 1, pad), relu(f"{name}/relu_{part}", f"{name}/{part}")]
    ends = " ".join(f"{name}/{part}" for part in ("1x1", "3x3", "5x5", "pool_proj"))
    return [*layers, entry(f"{name}/output", "Concat", ends, f"{name}/output")]


def googlenet(width: int = 1, size: int = 224) -> str:
    """GoogLeNet's stem, its blocks 3a and 4a, and its head, in the names of the released file."""
    layers = [
        convolution("conv1/7x7_s2", "data", 64 // width, 7, 2, 3),
        relu("conv1/relu_7x7", "conv1/7x7_s2"),
        pool("pool1/3x3_s2", "conv1/7x7_s2", "MAX", 3, 2),
        lrn("pool1/norm1", "pool1/3x3_s2"),
        convolution("conv2/3x3_reduce", "pool1/norm1", 64 // width, 1),
        relu("conv2/relu_3x3_reduce", "conv2/3x3_reduce"),
        convolution("conv2/3x3", "conv2/3x3_reduce", 192 // width, 3, 1, 1),
        relu("conv2/relu_3x3", "conv2/3x3"),
        lrn("conv2/norm2", "conv2/3x3"),
        pool("pool2/3x3_s2", "conv2/norm2", "MAX", 3, 2),
        *inception("inception_3a", "pool2/3x3_s2", tuple(units // width for units in (64, 96, 128, 16, 32, 32))),
        pool("pool3/3x3_s2", "inception_3a/output", "MAX", 3, 2),
        *inception("inception_4a", "pool3/3x3_s2", tuple(units // width for units in (192, 96, 208, 16, 48, 64))),
        entry("pool5", "Pooling", "inception_4a/output", "pool5", "pooling_param", pool=Enum("AVE"), global_pooling=True),
        dropout("pool5/drop", "pool5"),
        full("loss3/classifier", "pool5", 1000 // width),
        entry("prob", "Softmax", "loss3/classifier", "prob"),
    ]
    return prototxt("GoogLeNet", {"data": (1, 3, size, size)}, layers)


FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}


def fire(index: int, bottom: str, squeezed: int, expanded: int) -> list[Entry]:
    name = f"fire{index}"
    layers = [convolution(f"{name}/squeeze1x1", bottom, squeezed, 1), relu(f"{name}/relu_squeeze1x1", f"{name}/squeeze1x1")]
    for part, kernel, pad in (("expand1x1", 1, 0), ("expand3x3", 3, 1)):
        layers += [convolution(f"{name}/{part}", f"{name}/squeeze1x1", expanded, kernel, 1, pad)]
        layers += [relu(f"{name}/relu_{part}", f"{name}/{part}")]
    return [*layers, entry(f"{name}/concat", "Concat", f"{name}/expand1x1 {name}/expand3x3", f"{name}/concat")]


def squeezenet(width: int = 1, classes: int = 1000, size: int = 227) -> str:
    """SqueezeNet 1.0 (Iandola et al. 2016); its last convolution is padded by 1, as the released file has it."""
    layers = [
        convolution("conv1", "data", 96 // width, 7, 2),
        relu("relu_conv1", "conv1"),
        pool("pool1", "conv1", "MAX", 3, 2),
    ]
    blob = "pool1"
    for index, (squeezed, expanded) in FIRES.items():
        layers += fire(index, blob, squeezed // width, expanded // width)
        blob = f"fire{index}/concat"
        if index in (4, 8):
            layers.append(pool(f"pool{index}", blob, "MAX", 3, 2))
            blob = f"pool{index}"
    layers += [
        dropout("drop9", blob),
        convolution("conv10", blob, classes, 1, 1, 1),
        relu("relu_conv10", "conv10"),
        entry("pool10", "Pooling", "conv10", "pool10", "pooling_param", pool=Enum("AVE"), global_pooling=True),
        entry("prob", "Softmax", "pool10", "prob"),
    ]
    return prototxt("SqueezeNet", {"data": (1, 3, size, size)}, layers)


def lrcn(width: int = 1, words: int = 8801, steps: int = 1, captions: int = 1, factored: bool = True) -> str:
    """LRCN's captioner (Donahue et al. 2015): two LSTMs over word embeddings; factored, only the second sees the picture."""
    units = 1000 // width
    inputs = {"cont_sentence": (steps, captions), "input_sentence": (steps, captions), "image_features": (captions, units)}
    first, second = ("", " image_features") if factored else (" image_features", "")
    layers = [
        entry("embedding", "Embed", "input_sentence", "embedded_input_sentence", "embed_param",
              bias_term=False, input_dim=words, num_output=units),
        entry("lstm1", "LSTM", f"embedded_input_sentence cont_sentence{first}", "lstm1", "recurrent_param", num_output=units),
        entry("lstm2", "LSTM", f"lstm1 cont_sentence{second}", "lstm2", "recurrent_param", num_output=units),
        full("predict", "lstm2", words, axis=2),
        entry("probs", "Softmax", "predict", "probs", "softmax_param", axis=2),
    ]  # fmt: skip
    return prototxt("lrcn_words", inputs, layers)
