"""The layers of a network, or of a bundle's encoder, by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ppgn.bundle import Bundle, load_bundle
from ppgn.errors import BundleError, ProbeError, one_line
from ppgn.images import Size, height_and_width
from ppgn.loaders.bundles import is_stored
from ppgn.loaders.networks import network
from ppgn.loaders.presets import preset
from ppgn.loaders.sources import BUNDLE_CLASSIFIER, build, input_channels
from ppgn.probe import LayerInfo, Preprocessed, list_layers


def layers(name: str, size: Size | None = None) -> list[LayerInfo]:
    """The layers that a pass over an image uses, in the order in which they first finish; weights need not be there.

    Those of a `preset` say how deep they are. name: of a network as `network` reads it, or the name or folder of a bundle. size:
    of the input, (height, width) or the side of a square, by default the library's. Raises ValueError for an unknown name, for a
    network whose size nobody states or that fails on an image of that size, and where no layer has a name.
    """
    if name == BUNDLE_CLASSIFIER:
        raise ValueError(f"got {name} without a bundle, expected the bundle's own name: give that name instead")
    if is_stored(name):
        bundle = _stored(name)
        found = list_layers(network(BUNDLE_CLASSIFIER, bundle=bundle), size or bundle.image.size, bundle.image.channels)
    else:
        built = build(name)
        shown = built.size if size is None else size
        if shown is None:
            raise ValueError(
                f"{name} does not say the size of its input, expected what it was trained on: give size=(HEIGHT, WIDTH)"
            )
        seen = Preprocessed(built.module, height_and_width(shown), 0.0, 1.0)
        found = _marked(_listed(name, seen, shown, [*dict.fromkeys((input_channels(built.module), 3))]), seen)
    if not found:
        raise ValueError(f"{name} has no layers that a name reaches, expected some: return a network made of modules")
    return found


def _stored(name: str) -> Bundle:
    try:
        return load_bundle(name)
    except BundleError as fault:
        from torchvision import models  # deferred: only a mistake needs it

        if name not in models.list_models(module=models):
            raise
        raise BundleError(f"no bundle {name!r}, but a network of torchvision: write torchvision:{name}") from fault


def _marked(found: list[LayerInfo], network: Preprocessed) -> list[LayerInfo]:
    """The layers, those of the network's preset with their depth and an example of an address."""
    usual = preset(network)
    if usual is None:
        return found
    examples = dict(zip(usual.layers, usual.addresses(), strict=True))
    return [replace(one, depth=usual.depths.get(one.name, ""), example=examples.get(one.name, "")) for one in found]


def _listed(name: str, seen: Preprocessed, size: Size, channels: Sequence[int]) -> list[LayerInfo]:
    """The layers of a pass over an image with the first of these numbers of channels that the network takes: one that makes grey
    itself begins with a convolution of one channel and takes three."""
    faults: list[Exception] = []
    for count in channels:
        try:
            return list_layers(seen, size, count)
        except ProbeError:
            raise
        except Exception as fault:  # a user's network can raise anything
            faults.append(fault)
    height, width = height_and_width(size)
    raise ValueError(
        f"{name} fails on an image of {height}x{width} pixels ({one_line(faults[0])}), expected layers: correct the size, or the "
        f"network"
    ) from faults[0]
