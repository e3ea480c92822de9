"""Caffe's layers in closed form, against loops in NumPy, and what goes wrong with them; no files, no Caffe."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgn import networks
from ppgn.caffe import CaffeNetwork, CaffeNetworkConfig

PICTURE = (2, 4, 6, 7)


def layer(kind: str, bottoms: str = "data", tops: str = "top", message: str = "", **settings: Any) -> dict[str, Any]:
    made = {"name": f"{kind}_of_{tops.split()[0]}", "type": kind, "bottom": bottoms.split(), "top": tops.split()}
    return made | ({message: settings} if settings else {})


def definition(*layers: dict[str, Any], **inputs: tuple[int, ...]) -> dict[str, Any]:
    shapes = inputs or {"data": PICTURE}
    given = [{"name": name, "shape": list(shape)} for name, shape in shapes.items()]
    return {"name": "test", "input": given, "layers": list(layers)}


def network(*layers: dict[str, Any], output: str = "", **inputs: tuple[int, ...]) -> CaffeNetwork:
    """In double precision, with random positive weights, so that variances among them are variances."""
    made = CaffeNetwork(CaffeNetworkConfig(definition(*layers, **inputs), output)).double().eval()
    generator = torch.Generator().manual_seed(1)
    for weights in made.parameters():
        weights.data = torch.rand(weights.shape, generator=generator, dtype=torch.float64) + 0.1
    return made


def picture(*shape: int) -> Tensor:
    return torch.randn(shape or PICTURE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def run(kind: str, data: Tensor, message: str = "", **settings: Any) -> Tensor:
    return network(layer(kind, message=message, **settings), data=tuple(data.shape))(data)


def pooled_by_loops(
    data: np.ndarray, method: str, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], ceil: bool
) -> np.ndarray:
    """One window after another, as the published pooling layer describes its bounds."""
    sizes, counts = data.shape[2:], []
    for size, k, s, p in zip(sizes, kernel, stride, pad, strict=True):
        count = (math.ceil if ceil else math.floor)((size + 2 * p - k) / s) + 1
        counts.append(count - 1 if any(pad) and (count - 1) * s >= size + p else count)
    made = np.zeros((*data.shape[:2], *counts))
    for row in range(counts[0]):
        for column in range(counts[1]):
            begin = [place * s - p for place, s, p in zip((row, column), stride, pad, strict=True)]
            end = [min(b + k, size + p) for b, k, size, p in zip(begin, kernel, sizes, pad, strict=True)]
            area = (end[0] - begin[0]) * (end[1] - begin[1])
            window = data[:, :, max(begin[0], 0) : min(end[0], sizes[0]), max(begin[1], 0) : min(end[1], sizes[1])]
            made[:, :, row, column] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
    return made


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("ceil", [True, False])
@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [(3, 2, 0), (3, 2, 1), (2, 2, 1), (3, 1, 1), (3, 3, 2), (5, 3, 3), (2, 3, 1)]
)
def test_pooling_has_the_windows_and_the_divisors_of_a_loop(method: str, ceil: bool, kernel: int, stride: int, pad: int) -> None:
    for shape in ((1, 2, 6, 7), (1, 2, 7, 8), (1, 2, 8, 9), (1, 2, 9, 5)):
        data = picture(*shape)
        settings = {"pool": method, "kernel_size": kernel, "stride": stride, "pad": pad}
        ours = run("Pooling", data, "pooling_param", **settings, **({} if ceil else {"round_mode": "FLOOR"}))
        theirs = pooled_by_loops(data.numpy(), method, (kernel, kernel), (stride, stride), (pad, pad), ceil)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_pooling_takes_a_height_and_a_width_of_its_own() -> None:
    data = picture()
    settings = {"kernel_h": 3, "kernel_w": 2, "stride_h": 1, "stride_w": 2, "pad_h": 0, "pad_w": 1}
    for method in ("MAX", "AVE"):
        theirs = pooled_by_loops(data.numpy(), method, (3, 2), (1, 2), (0, 1), True)
        np.testing.assert_allclose(run("Pooling", data, "pooling_param", pool=method, **settings), theirs, rtol=1e-12)


def test_caffe_rounds_the_number_of_windows_up_and_divides_the_last_by_what_is_left_of_it() -> None:
    row = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64).expand(1, 1, 4, 4)
    assert run("Pooling", row, "pooling_param", kernel_size=3, stride=2)[0, 0, 0].tolist() == [3, 4]
    assert run("Pooling", row, "pooling_param", kernel_size=3, stride=2, pool="AVE")[0, 0, 0].tolist() == [2, 3.5]
    for floor in ({"round_mode": "FLOOR"}, {"ceil_mode": False}):
        assert run("Pooling", row, "pooling_param", kernel_size=3, stride=2, **floor)[0, 0, 0].tolist() == [3]
    assert run("Pooling", row, "pooling_param", kernel_size=3, stride=2, ceil_mode=True)[0, 0, 0].tolist() == [3, 4]
    assert run("Pooling", row, "pooling_param", global_pooling=True, pool="AVE").tolist() == [[[[2.5]]]]
    assert run("Pooling", row, "pooling_param", global_pooling=True).tolist() == [[[[4.0]]]]


def test_normalisation_across_channels_divides_alpha_by_the_number_of_channels_and_adds_k() -> None:
    data = picture(2, 7, 2, 3)
    theirs = np.empty_like(data.numpy())
    for channel in range(7):
        window = data[:, max(0, channel - 1) : channel + 2].numpy()
        theirs[:, channel] = data[:, channel].numpy() / (2 + 0.6 / 3 * (window**2).sum(1)) ** 0.5
    np.testing.assert_allclose(run("LRN", data, "lrn_param", local_size=3, alpha=0.6, beta=0.5, k=2.0), theirs, rtol=1e-12)


def test_normalisation_within_a_channel_takes_the_mean_square_of_a_window_and_adds_one_whatever_k_is() -> None:
    data = picture(1, 2, 5, 6)
    squares = np.pad(data.numpy() ** 2, ((0, 0), (0, 0), (1, 1), (1, 1)))
    mean = sum(squares[:, :, row : row + 5, column : column + 6] for row in range(3) for column in range(3)) / 9
    settings = {"local_size": 3, "alpha": 0.6, "beta": 0.5, "k": 7.0, "norm_region": "WITHIN_CHANNEL"}
    np.testing.assert_allclose(run("LRN", data, "lrn_param", **settings), data.numpy() / (1 + 0.6 * mean) ** 0.5, rtol=1e-12)


def test_absent_settings_are_the_defaults_of_caffe_proto() -> None:
    data = picture(2, 7, 5, 6)
    stated = {
        ("LRN", "lrn_param"): {"local_size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0, "norm_region": "ACROSS_CHANNELS"},
        ("BatchNorm", "batch_norm_param"): {"eps": 1e-5, "use_global_stats": True},
        ("Softmax", "softmax_param"): {"axis": 1},
        ("Flatten", "flatten_param"): {"axis": 1, "end_axis": -1},
        ("Scale", "scale_param"): {"axis": 1, "num_axes": 1, "bias_term": False},
        ("PReLU", "prelu_param"): {"channel_shared": False},
    }
    for (kind, message), settings in stated.items():
        assert torch.equal(run(kind, data), run(kind, data, message, **settings)), kind
    least = {"kernel_size": 3}
    whole = {**least, "pool": "MAX", "stride": 1, "pad": 0, "round_mode": "CEIL"}
    assert torch.equal(run("Pooling", data, "pooling_param", **least), run("Pooling", data, "pooling_param", **whole))
    least = {"kernel_size": [3], "num_output": 4}
    whole = {**least, "stride": [1], "pad": [0], "dilation": [1], "group": 1, "bias_term": True, "axis": 1}
    for kind in ("Convolution", "Deconvolution"):
        made = run(kind, data, "convolution_param", **least)
        assert torch.equal(made, run(kind, data, "convolution_param", **whole))


RESHAPES = [
    ((2, 12), {"dim": [0, 3, 2, 2]}, {}, (2, 3, 2, 2), (5, 3, 2, 2)),
    ((2, 12), {"dim": [2, 3, 2, 2]}, {}, (2, 3, 2, 2), (5, 3, 2, 2)),
    ((2, 12), {"dim": [-1, 3, 2, 2]}, {}, (2, 3, 2, 2), (5, 3, 2, 2)),
    ((2, 12), {"dim": [2, -1, 2]}, {}, (2, 6, 2), (5, 6, 2)),
    ((1, 12), {"dim": [1, -1]}, {}, (1, 12), (5, 12)),
    ((2, 1, 1), {"dim": [2, -1]}, {}, (2, 1), (5, 1)),
    ((1, 12), {"dim": [1, -1, 12]}, {}, (1, 1, 12), (1, 5, 12)),
    ((2, 3, 4), {"dim": [0, 0, 2, 2]}, {}, (2, 3, 2, 2), (5, 3, 2, 2)),
    ((2, 3, 4), {"dim": [2, 2]}, {"axis": 2}, (2, 3, 2, 2), (5, 3, 2, 2)),
    ((2, 3, 4), {"dim": [-1]}, {"axis": -3}, (2, 12), (5, 12)),
    ((2, 3, 4), {"dim": [3, 1]}, {"axis": 1, "num_axes": 1}, (2, 3, 1, 4), (5, 3, 1, 4)),
    ((2, 3, 4), {"dim": [1]}, {"axis": 1, "num_axes": 0}, (2, 1, 3, 4), (5, 1, 3, 4)),
]


@pytest.mark.parametrize(("declared", "shape", "more", "made", "of_five"), RESHAPES)
def test_reshape_copies_infers_and_keeps_whatever_batch_is_given(declared, shape, more, made, of_five) -> None:
    net = network(layer("Reshape", message="reshape_param", shape=shape, **more), data=declared)
    assert net.shapes["top"] == made
    data = picture(5, *declared[1:])
    assert tuple(net(data).shape) == of_five
    assert torch.equal(net(data).flatten(), data.flatten())


def test_layers_that_move_numbers_move_them_where_caffe_does() -> None:
    data = picture()
    assert torch.equal(run("Flatten", data), data.reshape(2, -1))
    assert torch.equal(run("Flatten", data, "flatten_param", axis=2), data.reshape(2, 4, -1))
    assert torch.equal(run("Flatten", data, "flatten_param", axis=-3, end_axis=-2), data.reshape(2, 24, 7))
    for settings in ({"axis": 2}, {"concat_dim": 2}):
        joined = network(layer("Concat", "data data", message="concat_param", **settings))(data)
        assert torch.equal(joined, torch.cat([data, data], 2))
    halves = network(layer("Slice", tops="a b"), layer("Concat", "b a"))(data)
    assert torch.equal(halves, torch.cat([data[:, 2:], data[:, :2]], 1))
    first = network(layer("Slice", tops="a b c", message="slice_param", slice_point=[1, 3], axis=3), output="b")(data)
    assert torch.equal(first, data[..., 1:3])
    doubled = network(layer("Split", tops="a b"), layer("Eltwise", "a b"))(data)
    assert torch.equal(doubled, 2 * data)


def test_functions_of_each_number_are_those_of_caffe_proto() -> None:
    data = picture()
    assert torch.equal(run("ReLU", data, "relu_param", negative_slope=0.3), torch.where(data > 0, data, 0.3 * data))
    assert torch.equal(run("ReLU", data), data.clamp(min=0))
    assert torch.equal(run("AbsVal", data), data.abs())
    torch.testing.assert_close(run("Sigmoid", data), 1 / (1 + (-data).exp()))
    torch.testing.assert_close(run("TanH", data), data.tanh())
    torch.testing.assert_close(run("Power", data, "power_param", power=2.0, scale=3.0, shift=1.0), (1 + 3 * data) ** 2)
    assert torch.equal(run("Power", data), data)
    assert torch.equal(run("Dropout", data, "dropout_param", dropout_ratio=0.3), data)
    torch.testing.assert_close(run("Dropout", data, "dropout_param", dropout_ratio=0.3, scale_train=False), 0.7 * data)
    torch.testing.assert_close(run("Softmax", data, "softmax_param", axis=-1), data.exp() / data.exp().sum(3, keepdim=True))
    other = picture() + 1
    for settings, wanted in (
        ({}, data + other),
        ({"operation": "SUM", "coeff": [2.0, -1.0]}, 2 * data - other),
        ({"operation": "PROD"}, data * other),
        ({"operation": "MAX"}, torch.maximum(data, other)),
    ):
        net = network(layer("Eltwise", "data other", message="eltwise_param", **settings), data=PICTURE, other=PICTURE)
        torch.testing.assert_close(net({"data": data, "other": other}), wanted)


def test_prelu_scales_what_is_negative_by_channel_or_by_one_number() -> None:
    data = picture()
    net = network(layer("PReLU"))
    slope = net.layers["PReLU_of_top"].weight
    torch.testing.assert_close(net(data), torch.where(data > 0, data, slope[None, :, None, None] * data))
    net = network(layer("PReLU", message="prelu_param", channel_shared=True))
    torch.testing.assert_close(net(data), torch.where(data > 0, data, net.layers["PReLU_of_top"].weight * data))


def test_inner_products_flatten_from_their_axis_and_may_be_transposed() -> None:
    data = picture()
    plain = network(layer("InnerProduct", message="inner_product_param", num_output=3))
    weight, bias = plain.parameters()
    torch.testing.assert_close(plain(data), data.reshape(2, -1) @ weight.T + bias)
    turned = network(layer("InnerProduct", message="inner_product_param", num_output=3, transpose=True, axis=-1, bias_term=False))
    (weight,) = turned.parameters()
    assert tuple(weight.shape) == (7, 3)
    torch.testing.assert_close(turned(data), data @ weight)


def test_convolutions_are_sums_over_groups_and_holes() -> None:
    data = picture(1, 4, 7, 7)
    settings = {"num_output": 2, "kernel_size": [3], "pad": [1], "stride": [2], "dilation": [2], "group": 2}
    net = network(layer("Convolution", message="convolution_param", **settings), data=(1, 4, 7, 7))
    weight, bias = (values.detach().numpy() for values in net.parameters())
    padded = np.pad(data.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    made = np.zeros((1, 2, 3, 3))
    for out, row, column in np.ndindex(2, 3, 3):
        window = padded[0, 2 * out : 2 * out + 2, 2 * row : 2 * row + 5 : 2, 2 * column : 2 * column + 5 : 2]
        made[0, out, row, column] = (window * weight[out]).sum() + bias[out]
    np.testing.assert_allclose(net(data).detach(), made, rtol=1e-12)


def test_deconvolution_is_the_transpose_of_the_convolution_of_the_same_numbers() -> None:
    sizes = {"kernel_h": 4, "kernel_w": 3, "stride_h": 2, "stride_w": 1, "pad_h": 1, "pad_w": 0, "group": 2, "bias_term": False}
    up = network(layer("Deconvolution", message="convolution_param", num_output=6, **sizes))
    made = up.shapes["top"]
    down = network(layer("Convolution", message="convolution_param", num_output=4, **sizes), data=made)
    next(iter(down.parameters())).data = next(iter(up.parameters())).data
    code, image = picture(), picture(*made)
    torch.testing.assert_close((up(code) * image).sum(), (code * down(image)).sum())


def test_scale_and_bias_cover_the_axes_they_name() -> None:
    data = picture()
    net = network(layer("Scale", message="scale_param", bias_term=True))
    scale, bias = (values[None, :, None, None] for values in net.parameters())
    torch.testing.assert_close(net(data), data * scale + bias)
    net = network(layer("Scale", message="scale_param", axis=2, num_axes=-1))
    (scale,) = net.parameters()
    assert tuple(scale.shape) == (6, 7)
    torch.testing.assert_close(net(data), data * scale)
    net = network(layer("Scale", "data factor", message="scale_param", axis=0), data=PICTURE, factor=(2, 4))
    factor = picture(2, 4)
    torch.testing.assert_close(net({"data": data, "factor": factor}), data * factor[..., None, None])
    net = network(layer("Bias", "data shift"), data=PICTURE, shift=(4, 6))
    shift = picture(4, 6)
    torch.testing.assert_close(net({"data": data, "shift": shift}), data + shift[..., None])
    net = network(layer("Bias", message="bias_param", axis=-1))
    torch.testing.assert_close(net(data), data + next(iter(net.parameters())))


def test_batch_norm_divides_what_was_recorded_by_its_factor_and_takes_nothing_recorded_as_zero() -> None:
    data = picture()
    net = network(layer("BatchNorm", message="batch_norm_param", eps=0.01))
    mean, variance, factor = (values.data for values in net.parameters())
    wanted = (data - (mean / factor)[None, :, None, None]) / ((variance / factor)[None, :, None, None] + 0.01).sqrt()
    torch.testing.assert_close(net(data), wanted)
    factor.zero_()
    torch.testing.assert_close(net(data), data / 0.1)
    torch.testing.assert_close(run("BatchNorm", picture(3, 4)).shape, torch.Size([3, 4]))


def test_embedding_picks_rows_and_adds_its_bias() -> None:
    net = network(layer("Embed", message="embed_param", input_dim=9, num_output=5), data=(3, 2))
    weight, bias = net.parameters()
    words = torch.tensor([[0, 8], [3, 3], [1, 7]])
    for given in (words, words.double()):
        torch.testing.assert_close(net(given), weight.detach()[words] + bias, check_dtype=False)
    with pytest.raises(ValueError, match=re.escape("layer 'Embed_of_top': it got words from 3 to 9, expected 0 to 8")):
        net(torch.tensor([[3, 9]]))


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def lstm_by_loops(x: np.ndarray, cont: np.ndarray, static: np.ndarray | None, blobs: list[np.ndarray]) -> np.ndarray:
    """One unit of one sequence at one time after another; gates in the order i, f, o, g."""
    w_x, b, w_h = blobs[0], blobs[1], blobs[-1]
    units = w_h.shape[1]
    made = np.zeros((*x.shape[:2], units))
    for sequence in range(x.shape[1]):
        h, c = np.zeros(units), np.zeros(units)
        for time in range(x.shape[0]):
            keep = cont[time, sequence]
            gates = w_x @ x[time, sequence].ravel() + b + w_h @ (keep * h)
            if static is not None:
                gates = gates + blobs[2] @ static[sequence].ravel()
            i, f, o, g = (gates[place * units : (place + 1) * units] for place in range(4))
            c = keep * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            made[time, sequence] = h
    return made


@pytest.mark.parametrize("static", [False, True])
def test_lstm_equals_loops_over_sequences_of_different_lengths(static: bool) -> None:
    shapes = {"data": (4, 3, 2, 5), "cont": (4, 3), **({"static": (3, 2, 3)} if static else {})}
    net = network(layer("LSTM", " ".join(shapes), message="recurrent_param", num_output=6), **shapes)
    for weights in net.parameters():
        weights.data -= 0.6
    given = {name: picture(*shape) for name, shape in shapes.items()}
    given["cont"] = torch.tensor([[0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=torch.float64)
    blobs = [values.detach().numpy() for values in net.parameters()]
    assert [blob.shape for blob in blobs] == [(24, 10), (24,), *([(24, 6)] if static else []), (24, 6)]
    theirs = lstm_by_loops(*(given[name].numpy() if name in given else None for name in ("data", "cont", "static")), blobs)
    np.testing.assert_allclose(net(given).detach(), theirs, rtol=1e-10)


def test_an_lstm_that_exposes_its_state_continues_where_it_stopped() -> None:
    shapes = {"data": (4, 2, 3), "cont": (4, 2), "h": (1, 2, 5), "c": (1, 2, 5)}
    net = network(
        layer("LSTM", "data cont h c", "top h_end c_end", "recurrent_param", num_output=5, expose_hidden=True), **shapes
    )
    words, cont, zeros = picture(4, 2, 3), torch.ones(4, 2, dtype=torch.float64), torch.zeros(1, 2, 5, dtype=torch.float64)
    whole = net.blobs({"data": words, "cont": cont, "h": zeros, "c": zeros})
    first = net.blobs({"data": words[:3], "cont": cont[:3], "h": zeros, "c": zeros})
    last = net.blobs({"data": words[3:], "cont": cont[3:], "h": first["h_end"], "c": first["c_end"]})
    torch.testing.assert_close(torch.cat([first["top"], last["top"]]), whole["top"])
    torch.testing.assert_close(last["c_end"], whole["c_end"])


GRADIENTS = {
    "BNLL": {}, "ELU": {}, "Exp": {}, "MVN": {}, "Reduction": {"message": "reduction_param", "axis": 1, "operation": "SUMSQ"},
    "DepthwiseConvolution": {"message": "convolution_param", "num_output": 4, "kernel_size": [3]},
    "AbsVal": {}, "BatchNorm": {}, "Bias": {}, "Dropout": {}, "Flatten": {}, "PReLU": {}, "Sigmoid": {}, "Softmax": {},
    "TanH": {},
    "Concat": {"bottoms": "data data"}, "Eltwise": {"bottoms": "data data", "message": "eltwise_param", "operation": "PROD"},
    "Convolution": {"message": "convolution_param", "num_output": 2, "kernel_size": [3], "group": 2},
    "Deconvolution": {"message": "convolution_param", "num_output": 2, "kernel_size": [3], "stride": [2]},
    "InnerProduct": {"message": "inner_product_param", "num_output": 3},
    "LRN": {"message": "lrn_param", "local_size": 3, "alpha": 0.5},
    "Pooling": {"message": "pooling_param", "kernel_size": 3, "stride": 2, "pad": 1},
    "Power": {"message": "power_param", "power": 2.0, "scale": 0.5, "shift": 1.0},
    "ReLU": {"message": "relu_param", "negative_slope": 0.3},
    "Reshape": {"message": "reshape_param", "shape": {"dim": [0, -1]}},
    "Scale": {"message": "scale_param", "bias_term": True},
    "Slice": {"tops": "top other"},
    "Split": {"tops": "top other"},
}  # fmt: skip


@pytest.mark.parametrize("kind", GRADIENTS)
def test_gradients_to_the_data_are_those_of_finite_differences(kind: str) -> None:
    net = network(layer(kind, **GRADIENTS[kind]), data=(1, 2, 4, 4))
    assert torch.autograd.gradcheck(net.requires_grad_(False), picture(1, 2, 4, 4).requires_grad_())


@pytest.mark.parametrize("across", [False, True])
def test_a_constant_map_has_no_variance_and_a_finite_gradient(across: bool) -> None:
    net = network(layer("MVN", message="mvn_param", across_channels=across), data=(2, 2, 4, 4))
    data = picture(2, 2, 4, 4)
    data[0] = 0.0
    data.requires_grad_()
    value = net(data)
    value[:, :, 0].sum().backward()
    assert data.grad is not None and bool(data.grad.isfinite().all()) and bool((value[0] == 0).all())
    dead = network(layer("ReLU"), layer("MVN", "top", "top2", message="mvn_param"), data=(1, 1, 4, 4))
    below = torch.full((1, 1, 4, 4), -1.0, dtype=torch.float64, requires_grad=True)
    dead(below)[:, :, 0].sum().backward()
    assert below.grad is not None and bool((below.grad == 0).all())


def test_gradients_of_a_recurrent_network_are_those_of_finite_differences() -> None:
    shapes = {"data": (3, 2, 2), "cont": (3, 2), "static": (2, 2)}
    net = network(layer("LSTM", "data cont static", message="recurrent_param", num_output=3), **shapes).requires_grad_(False)
    cont = torch.tensor([[0, 0], [1, 0], [1, 1]], dtype=torch.float64)
    inputs = picture(3, 2, 2).requires_grad_(), picture(2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda data, static: net({"data": data, "cont": cont, "static": static}), inputs)


def test_layers_in_place_leave_what_came_before_them_to_the_gradient_and_to_the_caller() -> None:
    net = network(
        layer("Sigmoid", tops="a"),
        layer("ReLU", "a", "a", "relu_param", negative_slope=0.5),
        layer("TanH", "a", "a"),
        layer("Power", "a"),
    )
    data = picture(1, 2, 3, 3).requires_grad_()
    assert torch.autograd.gradcheck(net, data)
    torch.testing.assert_close(net.blobs(data)["a"], data.sigmoid().tanh())
    torch.testing.assert_close(net.tops(data)["Sigmoid_of_a"], data.sigmoid())
    assert list(net.blobs(data)) == ["data", "a", "top"]


def test_a_blob_read_before_and_after_an_in_place_layer_is_read_as_it_stood() -> None:
    net = network(layer("Power", tops="a"), layer("AbsVal", "a", "b"), layer("ReLU", "a", "a"), layer("Eltwise", "a b"))
    data = picture()
    torch.testing.assert_close(net(data), data.clamp(min=0) + data.abs())


TRAINED = (
    layer("InnerProduct", "data", "fc", "inner_product_param", num_output=3),
    layer("ReLU", "fc", "fc"),
    layer("InnerProduct", "fc", "score", "inner_product_param", num_output=2),
    layer("SoftmaxWithLoss", "score label", "loss"),
    layer("Accuracy", "score label", "accuracy"),
)


def test_losses_and_accuracies_are_left_out_and_their_labels_not_asked_for() -> None:
    net = network(*TRAINED, data=(1, 4), label=(1,))
    assert (net.output, net.wanted) == ("score", ["data"])
    assert net(picture(5, 4)).shape == (5, 2)


def test_a_named_output_builds_and_runs_only_what_it_needs() -> None:
    net = network(*TRAINED, layer("Python", "fc", "unknown"), output="fc", data=(1, 4), label=(1,))
    assert list(net.layers) == ["InnerProduct_of_fc", "ReLU_of_fc"]
    assert len(net.state_dict()) == 2
    assert (net(picture(5, 4)) >= 0).all()


def test_names_that_modules_cannot_have_are_changed_and_kept_apart() -> None:
    layers = [layer("Scale", top, f"{top}s") for top in ("data", "datas", "datass", "datasss")]
    for made, name in zip(layers, ("conv.1", "conv_1", "keys", ""), strict=True):
        made["name"] = name
    net = network(*layers)
    assert list(net.layers) == ["conv_1", "conv_1_", "keys_", "_"]
    assert list(net.tops(picture())) == ["conv.1", "conv_1", "keys", ""]


def small() -> dict[str, Any]:
    convolution = layer("Convolution", "data", "conv", "convolution_param", num_output=3, kernel_size=[3])
    return definition(
        convolution,
        layer("BatchNorm", "conv", "conv"),
        layer("PReLU", "conv", "conv"),
        layer("InnerProduct", "conv", "top", "inner_product_param", num_output=2),
        data=(1, 2, 5, 5),
    )


def small_blobs() -> dict[str, list[np.ndarray]]:
    """As an old file holds them: shapes of four numbers."""
    shapes = {
        "Convolution_of_conv": [(3, 2, 3, 3), (1, 1, 1, 3)],
        "BatchNorm_of_conv": [(1, 1, 1, 3), (1, 1, 1, 3), (1, 1, 1, 1)],
        "PReLU_of_conv": [(1, 1, 1, 3)],
        "InnerProduct_of_top": [(1, 1, 2, 27), (1, 1, 1, 2)],
    }
    random = np.random.default_rng(0)
    return {name: [random.random(shape, np.float32) for shape in rows] for name, rows in shapes.items()}


def test_a_network_built_without_memory_is_filled_by_old_blobs_and_by_its_own_state_dict() -> None:
    config = CaffeNetworkConfig(small())
    with torch.device("meta"):
        net, again = CaffeNetwork(config), networks.build("caffe", {"definition": json.loads(json.dumps(small())), "output": ""})
    assert all(weights.is_meta for weights in net.parameters())
    blobs = small_blobs()
    blobs["PReLU_of_conv"][0].flags.writeable = False
    net.load_blobs(blobs)
    again.load_state_dict(net.state_dict(), strict=True, assign=True)
    here = CaffeNetwork(config)
    assert not any(weights.any() for weights in here.parameters())
    here.load_blobs(blobs)
    data = picture(3, 2, 5, 5).float()
    made = net.eval().requires_grad_(False)(data)
    assert torch.equal(made, again(data))
    assert torch.equal(made, here(data))
    conv = net.layers["Convolution_of_conv"]
    assert np.shares_memory(conv.weight.numpy(), blobs["Convolution_of_conv"][0])
    assert not made.requires_grad


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda blobs: blobs.pop("PReLU_of_conv"), "layer 'PReLU_of_conv' got no blobs, expected [(3,)]"),
        (lambda blobs: blobs["InnerProduct_of_top"].pop(), "layer 'InnerProduct_of_top' got blobs of shapes [(1, 1, 2, 27)]"),
        (lambda blobs: blobs.update(PReLU_of_conv=[np.zeros(4, np.float32)]), "layer 'PReLU_of_conv' got blobs of shapes [(4,)]"),
        (lambda blobs: blobs.update(InnerProduct_of_top=[np.zeros((27, 2)), np.zeros(2)]), "expected [(2, 27), (2,)]"),
    ],
)
def test_blobs_that_are_missing_or_do_not_fit_are_named_and_nothing_is_filled(change, said: str) -> None:
    net, blobs = CaffeNetwork(CaffeNetworkConfig(small())), small_blobs()
    change(blobs)
    with pytest.raises(ValueError, match=re.escape(said)):
        net.load_blobs(blobs)
    assert not any(weights.any() for weights in net.parameters())


def faulty(kind: str, message: str = "", bottoms: str = "data", tops: str = "top", **settings: Any) -> dict[str, Any]:
    return definition(layer("AbsVal", tops="unused"), layer(kind, bottoms, tops, message, **settings))


FAULTS = [
    (
        faulty("Permute"),
        "layer 'Permute_of_top' (Permute, number 2 of 2): this type is not supported, expected one of AbsVal, BNLL, BatchNorm",
    ),
    (faulty("TanH", bottoms="dada"), "(TanH, number 2 of 2): it reads 'dada', which nothing before it makes"),
    (faulty("TanH", bottoms="data data"), "it has 2 bottom blobs, expected 1"),
    (faulty("Eltwise"), "it has 1 bottom blobs, expected 2 or more"),
    (faulty("Pooling", "pooling_param", tops="top mask", kernel_size=2), "it has 2 top blobs, expected 1"),
    (faulty("Pooling", "pooling_param", pool="STOCHASTIC", kernel_size=2), "pool is STOCHASTIC, expected MAX or AVE"),
    (faulty("Pooling", "pooling_param"), "kernel_size is [None], expected one or two numbers of at least 1"),
    (faulty("Pooling", "pooling_param", kernel_size=2, pad=2), "pad is (2, 2), expected less than the kernel"),
    (faulty("Pooling", "pooling_param", kernel_size=1, stride=7), "windows of 1 every 7 do not fit 6 pixels"),
    (faulty("Pooling", "pooling_param", kernel_size=9), "windows of 9 every 1 do not fit 6 pixels"),
    (faulty("Convolution", "convolution_param", kernel_size=[3]), "num_output is absent, expected at least 1"),
    (faulty("Convolution", "convolution_param", num_output=2, kernel_size=[0]), "kernel_size is [0], expected one or two"),
    (faulty("Convolution", "convolution_param", num_output=2, kernel_h=3), "kernel_size is [3, 0], expected one or two"),
    (
        faulty("Convolution", "convolution_param", num_output=2, kernel_size=[1, 1, 1]),
        "kernel_size is [1, 1, 1], expected one or two",
    ),
    (
        faulty("Convolution", "convolution_param", num_output=3, kernel_size=[3], group=2),
        "group is 2, expected a divisor of its 4",
    ),
    (faulty("Convolution", "convolution_param", num_output=2, kernel_size=[8]), "its kernel covers [8, 8], its bottom [6, 7]"),
    (faulty("Convolution", "convolution_param", num_output=2, kernel_size=[3], axis=2), "axis is 2, expected 1"),
    (faulty("LRN", "lrn_param", local_size=4), "local_size is 4, expected an odd number"),
    (faulty("Softmax", "softmax_param", axis=4), "axis 4 is outside a blob of 4 axes"),
    (faulty("Reshape", "reshape_param", shape={"dim": [0, 5, -1]}), "does not fit its shape [2, 5, -1]"),
    (faulty("Reshape", "reshape_param", shape={"dim": [-1, -1]}), "its shape is [-1, -1], expected sizes, 0, and at most one -1"),
    (faulty("Reshape", "reshape_param", shape={"dim": [1, 1, 1, 1, 0]}), "copies an axis that its bottom [2, 4, 6, 7] lacks"),
    (faulty("Reshape", "reshape_param", axis=3, num_axes=2), "its 2 axes from 3 on pass the 4 axes of its bottom"),
    (faulty("Flatten", "flatten_param", axis=3, end_axis=1), "its axis 3 comes after its end_axis 1"),
    (faulty("Slice", tops="a b c"), "its bottom [2, 4, 6, 7] cannot be cut into 3 along axis 1"),
    (
        faulty("Slice", "slice_param", tops="a b", slice_point=[1, 2]),
        "slice_point is [1, 2], expected 1 growing numbers for 2 tops",
    ),
    (
        faulty("Eltwise", "eltwise_param", "data unused", coeff=[1.0]),
        "operation is SUM with 1 coeff, expected SUM, PROD, MAX, and",
    ),
    (faulty("Eltwise", "eltwise_param", "data unused", coeff=[1.0, 1.0], operation="MAX"), "operation is MAX with 2 coeff"),
    (faulty("Pooling", "pooling_param", global_pooling=True, pad=1), "pad is (1, 1), expected less than the kernel, and 0 with"),
    (faulty("LSTM", "recurrent_param", num_output=2), "it has 1 bottom blobs, expected 2 to 5"),
    (definition(layer("Slice", tops="a b"), layer("PReLU", "c")), "(PReLU, number 2 of 2): it reads 'c'"),
    (definition(layer("PReLU"), data=(3,)), "axis 1 is outside a blob of 1 axes"),
    (
        definition(layer("LSTM", "data cont", "a b", "recurrent_param", num_output=2), data=(1, 1, 1), cont=(1, 1)),
        "it makes 1 blobs",
    ),
    ([], "the definition is [], expected a dictionary of input and layers"),
    (faulty("Scale", "scale_param", num_axes=4), "num_axes is 4, more than the axes of [2, 4, 6, 7] from 1 on"),
    (faulty("Bias", "bias_param", "data unused"), "its bottom is [2, 4, 6, 7], expected [2, 4, 6, 7] from axis 1 on"),
    (faulty("BatchNorm", "batch_norm_param", use_global_stats=False), "use_global_stats is false"),
    (faulty("LSTM", "recurrent_param", "data unused", num_output=2), "expected x and cont of as many steps and sequences"),
    (faulty("Embed", "embed_param", num_output=2), "input_dim is absent, expected at least 1"),
    (faulty("InnerProduct", "inner_product_param", num_output=2**62), "(InnerProduct, number 2 of 2): "),
    (definition(layer("SoftmaxWithLoss")), "the definition 'test' has no layers that make a blob"),
    (definition(layer("TanH"), data=(1, 0)), "input 'data' has the shape [1, 0], expected sizes of at least 1"),
    (definition({"name": "nameless"}), "layer number 1 is {'name': 'nameless'}, expected a layer with a type"),
]


@pytest.mark.parametrize(("defined", "said"), FAULTS)
def test_a_definition_that_cannot_be_built_is_refused_in_a_sentence_that_says_why(defined: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as caught, torch.device("meta"):
        CaffeNetwork(CaffeNetworkConfig(defined))
    assert "\n" not in str(caught.value)


def test_an_output_that_no_layer_makes_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=re.escape("no layer makes a blob 'fc9', expected one of fc, score: choose one of them")):
        network(*TRAINED, output="fc9", data=(1, 4))


def test_inputs_of_other_sizes_run_where_no_weight_depends_on_them_and_are_refused_by_name_elsewhere() -> None:
    full = small()
    whole, maps = CaffeNetwork(CaffeNetworkConfig(full)), CaffeNetwork(CaffeNetworkConfig(full, "conv"))
    assert maps(torch.zeros(4, 2, 9, 8)).shape == (4, 3, 7, 6)
    for data, said in (
        (torch.zeros(1, 2, 9, 8), "layer 'InnerProduct_of_top': its bottom is [1, 3, 7, 6], expected 27 numbers from axis 1 on"),
        (torch.zeros(1, 3, 5, 5), "layer 'Convolution_of_conv': its bottom is [1, 3, 5, 5], expected [n, 2, height, width]"),
        (torch.zeros(1, 2, 2, 5), "layer 'Convolution_of_conv': its kernel covers [3, 3], its bottom [2, 5] with (0, 0)"),
        (torch.zeros(2, 5, 5), "input 'data' is [2, 5, 5], expected axes as ['n', 2, 5, 5]: add the batch"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            whole(data)


def test_several_inputs_are_given_by_name() -> None:
    net = network(layer("Eltwise", "left right"), left=(1, 2), right=(1, 2))
    torch.testing.assert_close(net({"left": picture(3, 2), "right": picture(3, 2), "unused": picture(1)}), 2 * picture(3, 2))
    for given in (picture(3, 2), {"left": picture(3, 2)}):
        with pytest.raises(ValueError, match="'top' needs the inputs left, right, got .*: give a dictionary of them"):
            net(given)
    with pytest.raises(
        ValueError, match=re.escape("layer 'Eltwise_of_top': its bottoms are [[3, 2], [3, 1]], expected equal shapes")
    ):
        net({"left": picture(3, 2), "right": picture(3, 1)})


def test_every_chain_is_the_same_alone_and_in_a_batch() -> None:
    net = network(*small()["layers"], data=(1, 2, 5, 5))
    data = picture(3, 2, 5, 5)
    torch.testing.assert_close(net(data), torch.cat([net(one) for one in data.split(1)]), rtol=1e-12, atol=0)


def test_a_logarithm_is_that_of_shift_plus_scale_times_x_to_its_base() -> None:
    data = picture(1, 2, 3, 3).abs() + 0.5
    assert torch.equal(run("Log", data), data.log())
    torch.testing.assert_close(run("Log", data, "log_param", base=2.0, scale=3.0, shift=1.0), (1 + 3 * data).log2())
    for base, said in ((1.0, "base 1"), (-2.0, r"base -2.0, expected -1 for e, or a positive base: correct log_param")):
        with pytest.raises(ValueError, match=said):
            run("Log", data, "log_param", base=base)


def test_a_reduction_is_the_sum_over_all_axes_from_one_on_and_never_over_the_batch() -> None:
    data = picture(2, 3, 4, 5)
    rows = data.flatten(1)
    sums = {"SUM": rows.sum(1), "ASUM": rows.abs().sum(1), "SUMSQ": (rows**2).sum(1), "MEAN": rows.mean(1)}
    for operation, wanted in sums.items():
        torch.testing.assert_close(
            run("Reduction", data, "reduction_param", operation=operation, axis=1, coeff=-2.0), -2 * wanted
        )
    assert run("Reduction", data, "reduction_param", axis=-1).shape == (2, 3, 4)
    with pytest.raises(ValueError, match="axis is 0, expected at least 1, as the output would mix the pictures"):
        run("Reduction", data)


def test_a_crop_beyond_its_bottom_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"holds no part of \[2, 4, 6, 7\] from \[1, 1\] on, expected a larger one"):
        network(layer("Crop", "data data", message="crop_param", offset=[1]))
    with pytest.raises(ValueError, match=r"offset is \[1, 2, 3\], expected one number, or 2, one per axis"):
        network(layer("Crop", "data data", message="crop_param", offset=[1, 2, 3]))


def test_a_network_that_ends_in_the_number_of_its_largest_score_ends_in_the_scores() -> None:
    net = network(layer("TanH", tops="scores"), layer("ArgMax", "scores", "best", "argmax_param", top_k=1))
    assert net.output == "scores" and torch.equal(net(picture()), picture().tanh())
