"""Networks of the Caffe era, built from a definition: a plain dictionary that a `.prototxt` was read into."""

from ppgn.networks.caffe.captioner import CaffeCaptioner, CaffeCaptionerConfig
from ppgn.networks.caffe.network import CaffeNetwork, CaffeNetworkConfig
from ppgn.networks.caffe.pictures import CaffeEncoder, CaffeEncoderConfig, CaffeGenerator, CaffeGeneratorConfig

__all__ = [
    "CaffeCaptioner",
    "CaffeCaptionerConfig",
    "CaffeEncoder",
    "CaffeEncoderConfig",
    "CaffeGenerator",
    "CaffeGeneratorConfig",
    "CaffeNetwork",
    "CaffeNetworkConfig",
]
