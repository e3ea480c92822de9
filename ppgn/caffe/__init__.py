"""Networks as Caffe released them: definitions (`.prototxt`) and weights (`.caffemodel`), read and run without Caffe.

Reading files needs NumPy and protobuf. The layers need torch and are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ppgn.caffe.caffemodel import read_weights as read_weights
from ppgn.caffe.fields import ENUMS as ENUMS
from ppgn.caffe.prototxt import read_definition as read_definition
from ppgn.caffe.schema import CaffeError as CaffeError
from ppgn.caffe.schema import message as message
from ppgn.caffe.upgrade import V0_TYPES as V0_TYPES
from ppgn.caffe.upgrade import V1_TYPES as V1_TYPES

if TYPE_CHECKING:
    from ppgn.caffe.captioner import CaffeCaptioner as CaffeCaptioner
    from ppgn.caffe.captioner import CaffeCaptionerConfig as CaffeCaptionerConfig
    from ppgn.caffe.layers import MEASURES as MEASURES
    from ppgn.caffe.network import CaffeNetwork as CaffeNetwork
    from ppgn.caffe.network import CaffeNetworkConfig as CaffeNetworkConfig
    from ppgn.caffe.pictures import MEAN as MEAN
    from ppgn.caffe.pictures import CaffeEncoder as CaffeEncoder
    from ppgn.caffe.pictures import CaffeEncoderConfig as CaffeEncoderConfig
    from ppgn.caffe.pictures import CaffeGenerator as CaffeGenerator
    from ppgn.caffe.pictures import CaffeGeneratorConfig as CaffeGeneratorConfig

_WHERE = {
    "CaffeCaptioner": "captioner",
    "CaffeCaptionerConfig": "captioner",
    "CaffeEncoder": "pictures",
    "CaffeEncoderConfig": "pictures",
    "CaffeGenerator": "pictures",
    "CaffeGeneratorConfig": "pictures",
    "CaffeNetwork": "network",
    "CaffeNetworkConfig": "network",
    "MEAN": "pictures",
    "MEASURES": "layers",
}
"""Name that is imported on first use -> the module that defines it."""


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'ppgn.caffe' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ppgn.caffe.{_WHERE[name]}"), name)
