"""Does a chain excite a unit of a plugged-in network as much when that network runs in bfloat16?

    python benchmarks/network_precision.py --network torchvision:squeezenet1_0 --weights squeezenet1_0.pth --bgr \\
        --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 \\
        --layers features.3 features.5 features.7 features.10 features.12

Units are drawn by a seed. Chains of imagenette64 run by the recipe for plugged-in networks, with the same seeds each way: all in
float32, the network in bfloat16, and the bundle's networks too. "reached" is the mean activation of the last pictures, computed
in float32. "agreement" is the cosine between the unit's gradients in both precisions at two starts (`loaders.in_precision`
requires 0.9 for the whole layer).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

import torch
from plugged import add_input, plugged
from timing import table
from tqdm import tqdm

import ppgn
from ppgn import acceleration, loaders
from ppgn.conditions import Unit
from ppgn.probe import Preprocessed, Probe

WAYS = {"float32": ("float32", "float32"), "network": ("bfloat16", "float32"), "all": ("bfloat16", "bfloat16")}
"""Way -> precision of the network, and of the bundle's networks."""


def of_unit(bundle: Any, seen: Preprocessed, layer: str, unit: int, count: int, steps: int) -> dict[str, Any]:
    """Way -> the activation reached and the seconds taken; and the agreement of both precisions."""
    address = f"{layer}:{unit}"
    plain, starts = Unit(seen, address), loaders.two_images(bundle)
    quick = loaders.in_precision(seen, starts, "bfloat16")
    gradients = [acceleration.gradient(Unit(network, address), starts) for network in (seen, quick)]
    found: dict[str, Any] = {"layer": layer, "unit": unit, "agreement": acceleration.agreement(*gradients)}
    for way, (network_precision, bundle_precision) in WAYS.items():
        request = ppgn.unit(seen if network_precision == "float32" else quick, address)
        begun = time.perf_counter()
        samples = ppgn.sample(bundle, request, count=count, steps=steps, precision=bundle_precision)
        seconds = time.perf_counter() - begun
        with torch.no_grad():
            found[way] = {"reached": float(plain(samples.images).mean()), "seconds": seconds}
    return found


def report(rows: list[dict[str, Any]]) -> str:
    """The table, with medians below it."""
    columns = ["layer", "unit", "agreement", "reached, float32", "bfloat16 / float32", "all bfloat16 / float32"]
    columns += ["time", "time, all"]
    cells = []
    for row in rows:
        first, *others = (row[way] for way in WAYS)
        shares = [[other[key] / first[key] if first[key] else math.nan for other in others] for key in ("reached", "seconds")]
        cells.append([row["layer"], row["unit"], row["agreement"], first["reached"], *shares[0], *shares[1]])
    medians = [statistics.median(values) for values in list(zip(*cells, strict=True))[4:]]
    return table(columns, [*cells, ["median", None, None, None, *medians]])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", required=True, help="as in `ppgn sample`")
    add_input(options)
    options.add_argument("--layers", nargs="+", required=True, help="layers of the units")
    options.add_argument("--units", type=int, default=3, help="units of each layer (default: 3)")
    options.add_argument("--count", type=int, default=8, help="chains of each unit (default: 8)")
    options.add_argument("--steps", type=int, default=40, help="steps of each chain (default: 40)")
    given = options.parse_args()
    torch.set_num_threads(1)
    bundle, seen, rows = ppgn.load("imagenette64"), plugged(given, given.layers), []
    with torch.no_grad():
        values = Probe(seen, given.layers)(loaders.two_images(bundle))
    for layer in tqdm(given.layers, "layers"):
        order = torch.randperm(values[layer].shape[1], generator=torch.Generator().manual_seed(0))
        for unit in order[: given.units].tolist():
            rows.append(of_unit(bundle, seen, layer, unit, given.count, given.steps))
    print(report(rows))


if __name__ == "__main__":
    main()
