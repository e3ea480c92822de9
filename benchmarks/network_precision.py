"""Is a unit of a plugged-in network excited as far when that network runs in bfloat16?

    python benchmarks/network_precision.py --network torchvision:squeezenet1_0 --weights squeezenet1_0.pth --bgr \\
        --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 \\
        --layers features.3 features.5 features.7 features.10 features.12

Units drawn by a seed, chains of imagenette64 with the settings for plugged-in networks, the same seeds each way: all in float32,
the network in bfloat16, and the bundle's networks too. What is reached is the mean activation of the last pictures, taken in
float32; "agreement" is the cosine between the unit's gradients in both precisions at two starts (`named.quick` asks for 0.9 of
its whole layer's).
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from typing import Any

import torch
from timing import table
from tqdm import tqdm

import ppgn
from ppgn import named
from ppgn.cli.arguments import numbers, size
from ppgn.conditions import Unit
from ppgn.named import precisions
from ppgn.probe import Probe, Seen

WAYS = {"float32": ("float32", "float32"), "network": ("bfloat16", "float32"), "all": ("bfloat16", "bfloat16")}
"""Way -> precision of the network, and of the bundle's own."""


def of_unit(bundle: Any, seen: Seen, layer: str, unit: int, count: int, steps: int) -> dict[str, Any]:
    """What is reached each way, and in how many seconds."""
    plain, starts = Unit(seen, f"{layer}:{unit}"), named.two_images(bundle)
    quick = named.quick(seen, starts, "bfloat16")
    gradients = [precisions.gradient(Unit(one, f"{layer}:{unit}"), starts) for one in (seen, quick)]
    told: dict[str, Any] = {"layer": layer, "unit": unit, "agreement": precisions.agreement(*gradients)}
    for way, (network, own) in WAYS.items():
        asked = plain if network == "float32" else Unit(quick, f"{layer}:{unit}")
        begun = time.perf_counter()
        samples = ppgn.sample(bundle, asked, count=count, steps=steps, precision=own)
        seconds = time.perf_counter() - begun
        with torch.no_grad():
            told[way] = {"reached": float(plain(samples.images).mean()), "seconds": seconds}
    return told


def report(rows: list[dict[str, Any]]) -> str:
    columns = [
        "layer",
        "unit",
        "agreement",
        "reached, float32",
        "bfloat16 / float32",
        "all bfloat16 / float32",
        "time",
        "time, all",
    ]
    told = []
    for row in rows:
        first, *others = (row[way] for way in WAYS)
        shares = [[other[key] / first[key] if first[key] else math.nan for other in others] for key in ("reached", "seconds")]
        told.append([row["layer"], row["unit"], row["agreement"], first["reached"], *shares[0], *shares[1]])
    middle = [statistics.median(values) for values in list(zip(*told, strict=True))[4:]]
    return table(columns, [*told, ["median", None, None, None, *middle]])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", required=True)
    options.add_argument("--weights")
    options.add_argument("--size", type=size)
    options.add_argument("--mean", type=numbers)
    options.add_argument("--std", type=numbers)
    options.add_argument("--bgr", action="store_true")
    options.add_argument("--layers", nargs="+", required=True)
    options.add_argument("--units", type=int, default=3, help="of each layer (default: 3)")
    options.add_argument("--count", type=int, default=8, help="chains of each unit (default: 8)")
    options.add_argument("--steps", type=int, default=40)
    given = options.parse_args()
    torch.set_num_threads(1)
    bundle, about = ppgn.load("imagenette64"), {name: getattr(given, name) for name in ("size", "mean", "std", "bgr")}
    seen = named.network(given.network, given.weights, **about, layers=given.layers)
    rows = []
    with torch.no_grad():
        values = Probe(seen, given.layers)(named.two_images(bundle))
    for layer in tqdm(given.layers, "layers"):
        order = torch.randperm(values[layer].shape[1], generator=torch.Generator().manual_seed(0))
        for unit in order[: given.units].tolist():
            rows.append(of_unit(bundle, seen, layer, unit, given.count, given.steps))
    print(report(rows))


if __name__ == "__main__":
    main()
