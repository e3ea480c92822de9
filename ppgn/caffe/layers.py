"""The table of layers: `type` of a prototxt -> the module that computes it, and the message of its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ppgn.caffe.elementwise import Elu, Exp, Log, Pointwise, Power
from ppgn.caffe.recurrent import Embed, Lstm
from ppgn.caffe.reductions import Mvn, Reduction
from ppgn.caffe.settings import Shape
from ppgn.caffe.shapes import Concat, Crop, Flatten, Reshape, Slice, Split
from ppgn.caffe.spatial import Convolution, Deconvolution, DepthwiseConvolution, Lrn, Pooling
from ppgn.caffe.units import BatchNorm, Bias, Dropout, Eltwise, InnerProduct, Prelu, Relu, Scale, Softmax

ANY = 1_000_000
"""Stands for any number of bottoms or tops."""


class Kind(NamedTuple):
    """A type of layers: its constructor, the message of its settings, and the least and largest number of bottoms and tops.

    make: called with the settings, the shapes of the bottoms and, where any number of tops is allowed, the number of tops.
    """

    make: Callable[..., nn.Module]
    settings: str
    bottoms: tuple[int, int] = (1, 1)
    tops: tuple[int, int] = (1, 1)


KINDS = {
    "AbsVal": Kind(partial(Pointwise, torch.abs), ""),
    "BNLL": Kind(partial(Pointwise, functional.softplus), ""),
    "BatchNorm": Kind(BatchNorm, "batch_norm_param"),
    "Bias": Kind(Bias, "bias_param", bottoms=(1, 2)),
    "Concat": Kind(Concat, "concat_param", bottoms=(1, ANY)),
    "Convolution": Kind(Convolution, "convolution_param"),
    "ConvolutionDepthwise": Kind(DepthwiseConvolution, "convolution_param"),
    "Crop": Kind(Crop, "crop_param", bottoms=(2, 2)),
    "Deconvolution": Kind(Deconvolution, "convolution_param"),
    "DepthwiseConvolution": Kind(DepthwiseConvolution, "convolution_param"),
    "Dropout": Kind(Dropout, "dropout_param"),
    "ELU": Kind(Elu, "elu_param"),
    "Eltwise": Kind(Eltwise, "eltwise_param", bottoms=(2, ANY)),
    "Embed": Kind(Embed, "embed_param"),
    "Exp": Kind(Exp, "exp_param"),
    "Flatten": Kind(Flatten, "flatten_param"),
    "InnerProduct": Kind(InnerProduct, "inner_product_param"),
    "LRN": Kind(Lrn, "lrn_param"),
    "LSTM": Kind(Lstm, "recurrent_param", bottoms=(2, 5), tops=(1, 3)),
    "Log": Kind(Log, "log_param"),
    "MVN": Kind(Mvn, "mvn_param"),
    "PReLU": Kind(Prelu, "prelu_param"),
    "Pooling": Kind(Pooling, "pooling_param"),
    "Power": Kind(Power, "power_param"),
    "ReLU": Kind(Relu, "relu_param"),
    "Reduction": Kind(Reduction, "reduction_param"),
    "Reshape": Kind(Reshape, "reshape_param"),
    "Scale": Kind(Scale, "scale_param", bottoms=(1, 2)),
    "Sigmoid": Kind(partial(Pointwise, torch.sigmoid), "sigmoid_param"),
    "Slice": Kind(Slice, "slice_param", tops=(1, ANY)),
    "Softmax": Kind(Softmax, "softmax_param"),
    "Split": Kind(Split, "", tops=(1, ANY)),
    "TanH": Kind(partial(Pointwise, torch.tanh), "tanh_param"),
}

MEASURES = frozenset(
    {
        "Accuracy", "ArgMax", "ContrastiveLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss",
        "SigmoidCrossEntropyLoss", "Silence", "SoftmaxWithLoss",
    }
)  # fmt: skip
"""Types of layers that compare a blob with labels, keep the number of its largest value, or discard it. No gradient runs through
them; a network leaves them out."""


def kind_of(layer: Mapping[str, Any]) -> Kind:
    """The row of the table for a layer of a definition. Raises ValueError for a type that is not in the table."""
    kind = KINDS.get(layer["type"])
    if kind is None:
        raise ValueError(f"this type is not supported, expected one of {', '.join(KINDS)}: name an output that does not need it")
    return kind


def build_layer(layer: Mapping[str, Any], shapes: Sequence[Shape]) -> nn.Module:
    """The module of a definition's layer whose bottoms have these shapes. Raises ValueError where it cannot be built."""
    kind = kind_of(layer)
    for ends, (least, most) in (("bottom", kind.bottoms), ("top", kind.tops)):
        if not least <= len(layer.get(ends, ())) <= most:
            wanted = str(least) if least == most else f"{least} or more" if most == ANY else f"{least} to {most}"
            raise ValueError(f"it has {len(layer.get(ends, ()))} {ends} blobs, expected {wanted}: correct the prototxt")
    settings = layer.get(kind.settings, {})
    return kind.make(settings, shapes, len(layer["top"])) if kind.tops[1] == ANY else kind.make(settings, shapes)
