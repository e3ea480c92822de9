"""The architectures that we train, DCGAN's, and encoders that others trained: `nn.Module`s that a frozen dataclass describes.

Every network carries `architecture` (its name in `build`) and `config` (a dataclass that JSON can hold): with its weights that
is all a bundle needs to rebuild it. Pixels are in [0, 1], of any channel count, height and width; networks normalise inside.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

from torch import nn

from ppgn.networks.beam_search import ScoredCaption as ScoredCaption
from ppgn.networks.beam_search import beam_search as beam_search
from ppgn.networks.captioner import Captioner as Captioner
from ppgn.networks.captioner import CaptionerConfig as CaptionerConfig
from ppgn.networks.code_models import CodeDenoiser as CodeDenoiser
from ppgn.networks.code_models import CodeDenoiserConfig as CodeDenoiserConfig
from ppgn.networks.code_models import RectifiedGaussian as RectifiedGaussian
from ppgn.networks.code_models import RectifiedGaussianConfig as RectifiedGaussianConfig
from ppgn.networks.dcgan_generator import DcganGenerator as DcganGenerator
from ppgn.networks.dcgan_generator import DcganGeneratorConfig as DcganGeneratorConfig
from ppgn.networks.efficientnet_lite import EfficientNetLite as EfficientNetLite
from ppgn.networks.efficientnet_lite import efficientnet_lite0 as efficientnet_lite0
from ppgn.networks.efficientnet_lite import from_released as from_released
from ppgn.networks.encoder import Fc6Encoder as Fc6Encoder
from ppgn.networks.encoder import Fc6EncoderConfig as Fc6EncoderConfig
from ppgn.networks.frozen_encoder import CODES as CODES
from ppgn.networks.frozen_encoder import FrozenEncoder as FrozenEncoder
from ppgn.networks.frozen_encoder import FrozenEncoderConfig as FrozenEncoderConfig
from ppgn.networks.generator import ImageGenerator as ImageGenerator
from ppgn.networks.generator import ImageGeneratorConfig as ImageGeneratorConfig
from ppgn.networks.lstm import Lstm as Lstm
from ppgn.networks.map_denoiser import MapDenoiser as MapDenoiser
from ppgn.networks.map_denoiser import MapDenoiserConfig as MapDenoiserConfig
from ppgn.networks.modulated_generator import ModulatedGenerator as ModulatedGenerator
from ppgn.networks.modulated_generator import ModulatedGeneratorConfig as ModulatedGeneratorConfig
from ppgn.networks.noise_level_denoiser import NoiseLevelDenoiser as NoiseLevelDenoiser
from ppgn.networks.noise_level_denoiser import NoiseLevelDenoiserConfig as NoiseLevelDenoiserConfig
from ppgn.networks.pixel_denoiser import PixelDenoiser as PixelDenoiser
from ppgn.networks.pixel_denoiser import PixelDenoiserConfig as PixelDenoiserConfig
from ppgn.networks.published import PUBLISHED as PUBLISHED
from ppgn.networks.published import NetworkSource as NetworkSource
from ppgn.networks.published import timm_network as timm_network
from ppgn.networks.trunk import TrunkConfig as TrunkConfig
from ppgn.networks.trunk import build_trunk as build_trunk
from ppgn.networks.trunk import trunk_maps as trunk_maps
from ppgn.networks.vocabulary import END as END
from ppgn.networks.vocabulary import MARKS as MARKS
from ppgn.networks.vocabulary import PADDING as PADDING
from ppgn.networks.vocabulary import UNKNOWN as UNKNOWN
from ppgn.networks.vocabulary import tokens as tokens
from ppgn.networks.wiener_denoiser import WienerDenoiser as WienerDenoiser
from ppgn.networks.wiener_denoiser import WienerDenoiserConfig as WienerDenoiserConfig

ARCHITECTURES: dict[str, tuple[type[nn.Module], type[Any]]] = {
    network.architecture: (network, config)
    for network, config in (
        (Fc6Encoder, Fc6EncoderConfig),
        (FrozenEncoder, FrozenEncoderConfig),
        (ImageGenerator, ImageGeneratorConfig),
        (ModulatedGenerator, ModulatedGeneratorConfig),
        (DcganGenerator, DcganGeneratorConfig),
        (CodeDenoiser, CodeDenoiserConfig),
        (RectifiedGaussian, RectifiedGaussianConfig),
        (NoiseLevelDenoiser, NoiseLevelDenoiserConfig),
        (WienerDenoiser, WienerDenoiserConfig),
        (MapDenoiser, MapDenoiserConfig),
        (PixelDenoiser, PixelDenoiserConfig),
        (Captioner, CaptionerConfig),
    )
}
ELSEWHERE = {
    "caffe": "ppgn.caffe:CaffeNetwork",
    "caffe_generator": "ppgn.caffe:CaffeGenerator",
    "caffe_encoder": "ppgn.caffe:CaffeEncoder",
    "caffe_captioner": "ppgn.caffe:CaffeCaptioner",
    "latent_generator": "ppgn.latent_diffusion:LatentGenerator",
    "latent_encoder": "ppgn.latent_diffusion:LatentEncoder",
    "latent_score": "ppgn.latent_diffusion:LatentScore",
}
"""Architectures of other rooms, imported when a bundle needs one; the configuration of `Network` is called `NetworkConfig`."""


MOST_BLOCKS = 1024
"""Each block is built before any weight is compared."""


def architecture(name: str) -> tuple[type[nn.Module], type[Any]]:
    """The network class and the configuration class of an architecture. Raises ValueError for an unknown name."""
    if name in ELSEWHERE:
        room, network = ELSEWHERE[name].split(":")
        module = importlib.import_module(room)
        return getattr(module, network), getattr(module, f"{network}Config")
    if name not in ARCHITECTURES:
        known = ", ".join((*ARCHITECTURES, *ELSEWHERE))
        raise ValueError(f"got the unknown architecture {name!r}, expected one of {known}: correct it, or install a newer ppgn")
    return ARCHITECTURES[name]


def described(name: str, config: dict[str, Any]) -> tuple[type[nn.Module], Any]:
    """The class of an architecture and its settings, from a configuration as JSON holds it. ValueError as `build`."""
    network, settings = architecture(name)
    unknown = set(config) - {field.name for field in dataclasses.fields(settings)}
    if unknown:
        known = ", ".join(field.name for field in dataclasses.fields(settings))
        raise ValueError(f"{name} has no setting {', '.join(sorted(unknown))}, expected some of {known}: install a newer ppgn")
    if config.get("blocks", 0) > MOST_BLOCKS:
        raise ValueError(f"{name} got {config['blocks']} blocks, expected at most {MOST_BLOCKS}: correct it")
    return network, settings(**{key: _tuples(value) for key, value in config.items()})


def build(name: str, config: dict[str, Any]) -> nn.Module:
    """The network of an architecture from a configuration as JSON holds it. Raises ValueError for an unknown name or key."""
    network, settings = described(name, config)
    return network(settings)


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that frozen configurations hold."""
    return tuple(_tuples(item) for item in value) if isinstance(value, Sequence) and not isinstance(value, str) else value
