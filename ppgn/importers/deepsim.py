"""PyTorch ports of the generators of DeePSiM, DGN-AM and PPGN (fc6, fc7, fc8, pool5) -> the part that Caffe's files give.

The layout is that of `upconvGAN` in torch-lucent (`lucent.optvis.param.gan`) and circuit_toolkit (`GAN_utils`): the layers of the
released prototxt under its names, in an `nn.Sequential` called G.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ppgn.caffe import MEAN, CaffeGenerator, CaffeGeneratorConfig

FULL = ("defc7", "defc6", "defc5")
MAPS = {"Rconv6": 1, "Rconv7": 1, "Rconv8": 0}
"""Convolutions of the pool5 generator, and their padding."""
UP = ("deconv5", "conv5_1", "deconv4", "conv4_1", "deconv3", "conv3_1", "deconv2", "deconv1", "deconv0")
SLOPE = 0.3
MAP_SIZE = 6
"""Side of CaffeNet's pool5."""


def read_state(state: Mapping[str, Tensor], mean: Sequence[float] = MEAN) -> CaffeGenerator:
    """The generator of a state dict of `upconvGAN` or of its G, frozen and in evaluation mode.

    Sizes are those of the weights, the rest is as published (facts of the released networks). Keys may begin with "G." and may
    have the ".1" that older files of circuit_toolkit have ("deconv5.1.weight"). Raises ValueError for any other layout.
    """
    named = {re.sub(r"^G\.", "", key).replace(".1.", "."): value for key, value in state.items()}
    first = (*FULL, *UP) if "defc7.weight" in named else (*MAPS, *UP)
    expected = [f"{layer}.{kind}" for layer in first for kind in ("weight", "bias")]
    odd = [f"lacks {key}" for key in expected if key not in named] + [f"has {key}" for key in named if key not in expected]
    if odd:
        raise ValueError(
            f"the state dict {odd[0]}, expected the {len(expected)} values of upconvGAN's fc6, fc7, fc8 or pool5 generator, "
            f"{expected[0]} to {expected[-1]}: give such a file"
        )
    with torch.device("meta"):
        part = CaffeGenerator(CaffeGeneratorConfig(_definition(named), mean=tuple(mean)))
    part.load_blobs({layer: [_array(named[f"{layer}.{kind}"]) for kind in ("weight", "bias")] for layer in first})
    return part.eval().requires_grad_(False)


def _array(value: Tensor) -> Any:
    return value.detach().float().contiguous().numpy()


def _definition(named: Mapping[str, Tensor]) -> dict[str, Any]:
    """The definition whose layers the weights fill."""
    full, layers = "defc7.weight" in named, []
    width = named["defc7.weight" if full else "Rconv6.weight"].shape[1]
    blob, shape = "feat", [1, width] if full else [1, width, MAP_SIZE, MAP_SIZE]
    for layer in FULL if full else ():
        settings = {"num_output": len(named[f"{layer}.weight"])}
        layers += _with_relu(layer, "InnerProduct", blob, {"inner_product_param": settings})
        blob = layer
    if full:
        channels = len(named["deconv5.weight"])
        side = math.isqrt(len(named["defc5.weight"]) // channels)
        sizes = {"reshape_param": {"shape": {"dim": [1, channels, side, side]}}}
        layers.append({"name": "reshape", "type": "Reshape", "bottom": [blob], "top": ["reshape"], **sizes})
        blob = "reshape"
    for layer, padding in ({} if full else MAPS).items():
        layers += _with_relu(layer, "Convolution", blob, _convolution(len(named[f"{layer}.weight"]), 3, 1, padding))
        blob = layer
    for layer in UP:
        window = (4, 2, 1) if layer.startswith("deconv") else (3, 1, 1)
        layers += _with_relu(layer, "Deconvolution", blob, _convolution(named[f"{layer}.weight"].shape[1], *window))
        blob = layer
    return {"name": "generator", "input": [{"name": "feat", "shape": shape}], "layers": layers[:-1]}  # the picture has no ReLU


def _convolution(outputs: int, kernel: int, stride: int, padding: int) -> dict[str, Any]:
    sizes = {"kernel_size": [kernel], "stride": [stride], "pad": [padding]}
    return {"convolution_param": {"num_output": outputs, **sizes}}


def _with_relu(name: str, kind: str, bottom: str, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    relu = {"name": f"relu_{name}", "type": "ReLU", "bottom": [name], "top": [name], "relu_param": {"negative_slope": SLOPE}}
    return [{"name": name, "type": kind, "bottom": [bottom], "top": [name], **settings}, relu]
