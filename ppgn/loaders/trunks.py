"""The convolutions of a bundle's encoder as a network for pictures of any size."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from ppgn.bundle import Bundle
from ppgn.networks import TrunkConfig
from ppgn.probe import Preprocessed


def trunk(bundle: Bundle) -> Preprocessed:
    """The trunk of the bundle's encoder, with the layer names of the encoder ("trunk.block4"), for images at their own size.

    Raises ValueError for a bundle whose encoder has no trunk (`networks.TrunkConfig`).
    """
    encoder = bundle.encoder
    inner = getattr(encoder, "network", encoder)
    config = getattr(inner, "config", None)
    if not isinstance(config, TrunkConfig) or not isinstance(getattr(inner, "trunk", None), nn.Module):
        raise ValueError(f"the bundle {bundle.name} has no encoder with a trunk, expected one: name a network")
    layers = nn.Sequential(OrderedDict(trunk=inner.trunk))
    return Preprocessed(layers, None, config.mean, config.std, config.bgr, grey_channels=config.channels)


def trunk_source(bundle: Bundle) -> str:
    """The name of the network whose trained layers the trunk of the bundle's encoder has, such as "lite:0"; "" where unknown."""
    encoder = bundle.encoder
    named = str(getattr(getattr(getattr(encoder, "network", encoder), "config", None), "trunk", ""))
    return f"lite:{named[-1]}" if named.startswith("efficientnet_lite") else ""
