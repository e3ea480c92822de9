"""The architectures we train and those we import, each an `nn.Module` described by one dataclass.

Every network carries `architecture` (its name in `build`) and `config` (a dataclass that JSON can hold), which is all a
bundle needs to rebuild it. Pixels are RGB (or any channel count) in [0, 1]; normalisation happens inside the networks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from torch import nn

from ppgn.networks.caffe import (
    CaffeCaptioner,
    CaffeCaptionerConfig,
    CaffeEncoder,
    CaffeEncoderConfig,
    CaffeGenerator,
    CaffeGeneratorConfig,
    CaffeNetwork,
    CaffeNetworkConfig,
)
from ppgn.networks.captioner import Captioner, CaptionerConfig
from ppgn.networks.codes import CodeDenoiser, CodeDenoiserConfig, RectifiedGaussian, RectifiedGaussianConfig
from ppgn.networks.encoder import Fc6Encoder, Fc6EncoderConfig
from ppgn.networks.generator import IdentityGenerator, IdentityGeneratorConfig, ImageGenerator, ImageGeneratorConfig
from ppgn.networks.levels import NoiseLevelDenoiser, NoiseLevelDenoiserConfig
from ppgn.networks.pixels import PixelDenoiser, PixelDenoiserConfig

ARCHITECTURES: dict[str, tuple[type[nn.Module], type[Any]]] = {
    Fc6Encoder.architecture: (Fc6Encoder, Fc6EncoderConfig),
    ImageGenerator.architecture: (ImageGenerator, ImageGeneratorConfig),
    CodeDenoiser.architecture: (CodeDenoiser, CodeDenoiserConfig),
    RectifiedGaussian.architecture: (RectifiedGaussian, RectifiedGaussianConfig),
    NoiseLevelDenoiser.architecture: (NoiseLevelDenoiser, NoiseLevelDenoiserConfig),
    PixelDenoiser.architecture: (PixelDenoiser, PixelDenoiserConfig),
    Captioner.architecture: (Captioner, CaptionerConfig),
    CaffeNetwork.architecture: (CaffeNetwork, CaffeNetworkConfig),
    CaffeGenerator.architecture: (CaffeGenerator, CaffeGeneratorConfig),
    CaffeEncoder.architecture: (CaffeEncoder, CaffeEncoderConfig),
    CaffeCaptioner.architecture: (CaffeCaptioner, CaffeCaptionerConfig),
    IdentityGenerator.architecture: (IdentityGenerator, IdentityGeneratorConfig),
}


def build(architecture: str, config: dict[str, Any]) -> nn.Module:
    """The network named `architecture` from a JSON-like `config`; raises ValueError for unknown names or keys."""
    if architecture not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {architecture!r}: this version knows {', '.join(ARCHITECTURES)}")
    network, settings = ARCHITECTURES[architecture]
    unknown = set(config) - {field.name for field in dataclasses.fields(settings)}
    if unknown:
        raise ValueError(f"{architecture} has no setting {', '.join(sorted(unknown))}: was it made by a newer ppgn?")
    return network(settings(**{key: _tuples(value) for key, value in config.items()}))


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen configurations hold."""
    return tuple(_tuples(item) for item in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
