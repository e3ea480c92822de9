"""The layers that are used where none is named, by the architecture of a bundle's trunk."""

from __future__ import annotations

from dataclasses import dataclass

from ppgn.bundle import Bundle

BUNDLE = "natural128"
"""The bundle whose trunk looks at pictures where no network is named."""


@dataclass(frozen=True)
class Layers:
    """Layers of a trunk: one to amplify, one whose values are content, those whose Gram matrices are style, and one whose values
    tell facets apart."""

    dream: str
    content: str
    style: tuple[str, ...]
    features: str


USUAL = {
    "efficientnet_lite0": Layers(
        dream="trunk.block10",
        content="trunk.block4.expand",
        style=("trunk.block0", "trunk.block1.expand", "trunk.block2.expand", "trunk.block4.expand", "trunk.block7.expand"),
        features="trunk.block15",
    )
}
"""Architecture of a trunk -> its layers, chosen by eye."""


def layers_of(bundle: Bundle) -> Layers:
    """The usual layers of a bundle's trunk. Raises ValueError for a trunk that has none here."""
    config = getattr(getattr(bundle.encoder, "network", bundle.encoder), "config", None)
    name = getattr(config, "trunk", None)
    if name not in USUAL:
        raise ValueError(f"the bundle {bundle.name} has no trunk with usual layers ({', '.join(USUAL)}): name the layers")
    return USUAL[name]
