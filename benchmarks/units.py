"""Do samples excite a hidden unit more than any real picture does? And a plate of units for every layer, first to last.

    python benchmarks/units.py --real imagenette64/val --json units_encoder.json
    python benchmarks/units.py --real imagenette64/val --network torchvision:squeezenet1_0 --weights squeezenet1_0.pth \
        --bgr --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 --json units_squeezenet1_0.json

What is counted is the unit's activation averaged over its map, as `Unit(network, "layer:unit")` takes it. A seed orders the
units of each layer; those that no real picture makes positive are left out. The first of each layer go into the table,
`--count` samples each, sixteen into the layer's plate, the sample of seed 0 each. None is selected by eye.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import torch
from heldout import value_of
from torch import Tensor, nn
from tqdm import tqdm

import ppgn
from ppgn import images, named
from ppgn.conditions.units import Unit, UnitAddress, vector_at
from ppgn.probe import Probe, Seen

Network: TypeAlias = nn.Module | Seen
Row: TypeAlias = dict[str, Any]
ENCODER = "encoder"
LAYERS = {  # after a ReLU, from the first to the last, but fc6, which is looked at before it
    ENCODER: tuple(f"trunk.{index}" for index in (1, 3, 4, 6, 7, 9, 10, 11, 12)) + ("fc6",),
    "torchvision:squeezenet1_0": tuple(f"features.{index}" for index in (1, 3, 4, 5, 7, 8, 9, 10, 12)) + ("classifier.2",),
}
PLATE = 16
REAL_SHOWN = 3


def network_of(given: argparse.Namespace, bundle: ppgn.Bundle) -> Network:
    """What the units are in: the bundle's encoder, or the network asked for."""
    if given.network == ENCODER:
        return bundle.encoder
    about = {"size": given.size, "mean": given.mean, "std": given.std, "bgr": given.bgr}
    seen = named.network(given.network, given.weights, **about)
    seen.network.to(memory_format=torch.channels_last)  # the same values, twice as fast on a CPU
    return seen


def real_pictures(root: Path, size: int) -> Tensor:
    """All pictures `[picture, 3, height, width]` of the folders of classes in `root`."""
    files = sorted(path for path in root.glob("*/*") if path.is_file())
    if not files:
        raise SystemExit(f"no pictures in {root}: give the folder that holds a folder for each class")
    return torch.stack([images.load_image(path, size) for path in tqdm(files, "reading")])


@torch.no_grad()
def responses(network: Network, layers: Sequence[str], pictures: Tensor) -> dict[str, Tensor]:
    """By layer, each unit's activation averaged over its map, `[picture, unit]`, in one pass over the pictures."""
    probe = Probe(network, layers)
    means: list[dict[str, Tensor]] = []
    for batch in tqdm(pictures.split(16), "real pictures"):
        means.append({layer: vector_at(value, None, None, layer) for layer, value in probe(batch).items()})
    return {layer: torch.cat([of[layer] for of in means]) for layer in layers}


def ordered_units(peak: Tensor, count: int, generator: torch.Generator) -> tuple[list[int], int]:
    """The first `count` units, in an order by chance, that some picture makes positive; and how many were passed over."""
    chosen, passed = [], 0
    for unit in torch.randperm(len(peak), generator=generator).tolist():
        if len(chosen) == count:
            break
        if peak[unit] > 0:
            chosen.append(unit)
        else:
            passed += 1
    return chosen, passed


def shares(total: int, layers: int) -> list[int]:
    """`total` units spread over the layers, the first ones getting what does not divide."""
    return [total // layers + (index < total % layers) for index in range(layers)]


def sample_layer(
    bundle: ppgn.Bundle, network: Network, layer: str, asked: Sequence[tuple[int, int]], batch: int, changes: dict[str, Any]
) -> tuple[Tensor, Tensor]:
    """One chain for each (unit, seed): pictures `[chain, 3, height, width]` and the activations `[chain]` they end with."""
    parts = []
    for first in tqdm(range(0, len(asked), batch), layer, leave=False):
        units, seeds = zip(*asked[first : first + batch], strict=True)
        condition = Unit(network, UnitAddress(layer, units))
        parts.append(ppgn.sample(bundle, condition, count=len(units), seed=seeds, batch=batch, **changes))
    return torch.cat([part.images for part in parts]), torch.cat([part.log_prob for part in parts])


def figures(layer: str, unit: int, real: Tensor, made: Tensor) -> Row:
    """What one unit's real activations `[picture]` and samples' activations `[chain]` come to."""
    best, mean = float(real.max()), float(made.mean())
    return {
        "unit": f"{layer}:{unit}",
        "real_median": float(real.median()),
        "real_best": best,
        "samples": made.tolist(),
        "samples_mean": mean,
        "samples_best": float(made.max()),
        "ratio": mean / best,
    }


def tiles_of(row: Row, real: Tensor, pictures: Tensor, made: Tensor) -> tuple[list[Tensor], list[str]]:
    """A row of the picture: the real pictures that excite the unit most, then its samples, with the activations."""
    top = real.topk(REAL_SHOWN)
    labels = [f"{row['unit']}\nreal {value:.3g}" for value in top.values.tolist()]
    labels += [f"sample\n{value:.3g}" for value in row["samples"]]
    return [*pictures[top.indices], *made], labels


def measure(given: argparse.Namespace, bundle: ppgn.Bundle, changes: dict[str, Any]) -> dict[str, Any]:
    """Runs everything, writes the pictures, and returns the figures."""
    network, layers = network_of(given, bundle), given.layers or LAYERS[given.network]
    pictures = real_pictures(given.real, bundle.image_size)
    real = responses(network, layers, pictures)
    generator = torch.Generator().manual_seed(given.seed)
    rows, tiles, labels, passed, begun = [], [], [], 0, time.perf_counter()
    for layer, share in zip(tqdm(layers, "layers"), shares(given.units, len(layers)), strict=True):
        units, without = ordered_units(real[layer].amax(0), PLATE, generator)
        passed += without
        asked = [(unit, seed) for unit in units[:share] for seed in range(given.count)]
        asked += [(unit, 0) for unit in units[share:]]
        made, values = sample_layer(bundle, network, layer, asked, given.batch, changes)
        for index, unit in enumerate(units[:share]):
            own = slice(index * given.count, (index + 1) * given.count)
            rows.append(figures(layer, unit, real[layer][:, unit], values[own]))
            shown = tiles_of(rows[-1], real[layer][:, unit], pictures, made[own])
            tiles, labels = tiles + shown[0], labels + shown[1]
        plate = [index for index, (_, seed) in enumerate(asked) if seed == 0]
        names = [f"{asked[index][0]}" for index in plate]
        save(images.grid(made[plate], names, columns=8, scale=2), given, layer)
    save(images.grid(tiles, labels, columns=REAL_SHOWN + given.count, scale=2), given, "table")
    seconds = time.perf_counter() - begun
    return {"pictures": len(pictures), "passed_over": passed, "units": rows, "seconds": seconds}


def save(picture: Any, given: argparse.Namespace, what: str) -> None:
    """Writes a picture into the network's folder under `--out`."""
    folder = images.make_folder(given.out / given.network.rpartition(":")[2])
    images.save_image(picture, folder / f"{what}.jpg")


def report(result: dict[str, Any]) -> None:
    """The table that docs/units.md shows."""
    rows = result["units"]
    print("| unit | real, median | real, best | samples, mean | samples, best | mean / best real |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        values = " | ".join(f"{row[key]:.3g}" for key in ("real_median", "real_best", "samples_mean", "samples_best"))
        print(f"| {row['unit']} | {values} | {row['ratio']:.2f} |")
    ratios = [row["ratio"] for row in rows]
    mean, best = (sum(row[key] > row["real_best"] for row in rows) for key in ("samples_mean", "samples_best"))
    print(
        f"\nof {len(rows)} units, the mean sample excites {mean} more than the best of {result['pictures']} real pictures, ",
        end="",
    )
    print(f"the best sample {best}; the ratio is {min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}")
    print(f"{result['passed_over']} units that no real picture excites were passed over; sampling took {result['seconds']:.0f} s")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--network", default=ENCODER, help="as in `ppgn sample`, by default the bundle's own encoder")
    options.add_argument("--weights", help="file with the network's weights")
    options.add_argument("--size", type=int, help="pixels of the network's input")
    options.add_argument("--mean", type=numbers, help="in the network's own order of channels, of pixels in [0, 1]")
    options.add_argument("--std", type=numbers)
    options.add_argument("--bgr", action="store_true")
    options.add_argument("--layers", nargs="+", help="by default a list of this file")
    options.add_argument("--units", type=int, default=20, help="units of the table, spread over the layers")
    options.add_argument("--count", type=int, default=4, help="samples of each, seeds 0, 1, ...")
    options.add_argument("--seed", type=int, default=0, help="orders the units")
    options.add_argument("--batch", type=int, default=22, help="chains at once")
    options.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings other than the bundle's")
    options.add_argument("--out", type=Path, default=Path("docs/units"))
    options.add_argument("--json", type=Path, help="write the figures here")
    given = options.parse_args()
    if given.layers is None and given.network not in LAYERS:
        options.error(f"no list of layers for {given.network}: name some with --layers, `ppgn layers` lists them")
    bundle = ppgn.load(given.bundle)
    changes = {key: value_of(text) for key, text in (entry.split("=", 1) for entry in given.set)}
    result = measure(given, bundle, changes)
    report(result)
    if given.json:
        about = {"bundle": bundle.name, "network": given.network, "settings": changes, "seed": given.seed}
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        given.json.write_text(json.dumps({**about, **machine, **result}, indent=2))


def numbers(text: str) -> tuple[float, ...]:
    """ "0.4,0.5" -> (0.4, 0.5)."""
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    main()
