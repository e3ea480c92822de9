"""`ppgn facets`: the kinds of pictures that excite a unit, and a picture for each."""

from __future__ import annotations

import argparse

from ppgn import images, methods, requests
from ppgn.bundle import Bundle
from ppgn.cli import network_flags, request_flags, terminal
from ppgn.requests import Request

EXAMPLES = """examples:
  ppgn facets imagenette/train/church --class church
  ppgn facets my_pictures --unit trunk.block10:17 --clusters 6 --most 200
  ppgn facets my_pictures --network timm:resnet18 --weights resnet18.pth --unit fc:497 --features global_pool
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command."""
    parser.description = (
        "Multifaceted feature visualisation (Nguyen et al. 2016): the pictures of a folder that excite a unit are clustered,\n"
        "and each cluster's mean is the start of a picture that excites it more."
    )
    parser.epilog = EXAMPLES
    parser.add_argument("folder", help="real pictures, such as those of a class")
    parser.add_argument("--class", dest="class_", metavar="CLASS", help="of the network: its name or number")
    parser.add_argument("--unit", metavar="LAYER:UNIT", help="of the network (see `ppgn layers`)")
    parser.add_argument(
        "--features", metavar="LAYER", help="by whose values pictures are compared (default: trunk.block15 of natural128)"
    )
    parser.add_argument("--clusters", type=int, default=8, help="how many facets (default: %(default)s)")
    parser.add_argument("--most", type=int, metavar="N", help="of the pictures, the most exciting (default: all)")
    network_flags.add_arguments(
        parser,
        "facets.png",
        "mean pictures, and below them the facets",
        "of the clustering and of the first facet",
        "whose encoder and head is climbed",
        "is climbed, in the place of the bundle's",
    )


def run(given: argparse.Namespace) -> int:
    """Checks everything that can fail, finds the facets, and writes the grid."""
    network_flags.check(given, "clusters", "most")
    bundle = terminal.load(given)
    request = _request(given, bundle)
    if given.features is None and given.network is not None:
        raise ValueError(f"which layer of {given.network} compares pictures? add --features (see `ppgn layers`)")
    features = given.features or methods.layers_of(bundle).features
    network = request_flags.plugged(given).loaded(bundle, (features,))
    options = {"clusters": given.clusters, "most": given.most, "seed": given.seed}
    with terminal.stops_without_warning(), terminal.progress(given.clusters * methods.MULTIFACETED_STEPS, "value") as watch:
        found = methods.multifaceted(network, request, given.folder, features=features, watch=watch, **options)
    starts = images.resize(found.starts, (found.images.shape[-2], found.images.shape[-1]))
    counts = [f"{int((found.facets.facet == facet).sum())} pictures" for facet in range(given.clusters)]
    labels = [*counts, *(f"{value:.3g}" for value in found.activations.tolist())]
    images.save_image(images.grid([*starts.cpu(), *found.images.cpu()], labels, given.clusters), given.out)
    print(f"wrote {given.out}: {given.clusters} facets of {request.names[0]} in {len(found.facets.chosen)} pictures")
    return 0


def _request(given: argparse.Namespace, bundle: Bundle) -> Request:
    """The unit or class of the network, a single one."""
    if (given.class_ is None) == (given.unit is None):
        raise ValueError("got both or none of --class and --unit, expected one of them: say what the facets are of")
    plugged = request_flags.plugged(given)
    if given.unit is not None:
        return requests.network_units(bundle, plugged, given.unit)
    return requests.network_classes(bundle, plugged, [given.class_])
