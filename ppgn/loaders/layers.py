"""The layers of a network, or of a bundle's encoder, by its name."""

from __future__ import annotations

from ppgn.bundle import load_bundle
from ppgn.images import Size, height_and_width
from ppgn.loaders.bundles import is_stored
from ppgn.loaders.networks import network
from ppgn.loaders.sources import BUNDLE_CLASSIFIER, build, input_channels
from ppgn.probe import LayerInfo, Preprocessed, list_layers


def layers(name: str, size: Size | None = None) -> list[LayerInfo]:
    """The layers that a pass over an image uses, in the order in which they first finish; weights need not be there.

    name: of a network as `network` reads it, or the name or folder of a bundle. size: of the input, (height, width) or the side
    of a square, by default the library's. Raises ValueError for an unknown name, for a network whose size nobody states, and
    where no layer has a name.
    """
    if name == BUNDLE_CLASSIFIER:
        raise ValueError(f"got {name} without a bundle, expected the bundle's own name: give that name instead")
    if is_stored(name):
        bundle = load_bundle(name)
        found = list_layers(network(BUNDLE_CLASSIFIER, bundle=bundle), size or bundle.image.size, bundle.image.channels)
    else:
        built = build(name)
        shown = built.size if size is None else size
        if shown is None:
            raise ValueError(
                f"{name} does not say the size of its input, expected what it was trained on: give size=(HEIGHT, WIDTH)"
            )
        seen = Preprocessed(built.module, height_and_width(shown), 0.0, 1.0)
        try:
            found = list_layers(seen, shown, input_channels(built.module))
        except Exception:  # a network that makes grey itself has a convolution of one channel and may need three
            found = list_layers(seen, shown)
    if not found:
        raise ValueError(f"{name} has no layers that a name reaches, expected some: return a network made of modules")
    return found
