"""Do samples excite a hidden unit more than any real picture does? And a sheet of units for every layer, first to last.

    python benchmarks/units.py --real imagenette64/val --json units_encoder.json
    python benchmarks/units.py --real imagenette64/val --network torchvision:squeezenet1_0 --weights squeezenet1_0.pth \\
        --bgr --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 --json units_squeezenet1_0.json

What is counted is the unit's activation averaged over its map, as `Unit(network, "layer:unit")` takes it. A seed orders the
units of each layer; those that no real picture makes positive are left out. The first of each layer go into the table with
`--count` samples each, sixteen into the layer's sheet with the sample of seed 0 each. No sample is selected by eye.
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
from plugged import add_input, plugged
from runs import add_settings, exit_on_mistake, recipe_of
from torch import Tensor, nn
from tqdm import tqdm

import ppgn
from ppgn import images
from ppgn.conditions import UnitAddress, vector_at
from ppgn.probe import Preprocessed, Probe
from ppgn.types import Evaluation

Network: TypeAlias = nn.Module | Preprocessed
Row: TypeAlias = dict[str, Any]
ENCODER = "encoder"
LAYERS = {  # after a ReLU, from the first to the last; fc6 alone is looked at before it
    ENCODER: tuple(f"trunk.{index}" for index in (1, 3, 4, 6, 7, 9, 10, 11, 12)) + ("fc6",),
    "torchvision:squeezenet1_0": tuple(f"features.{index}" for index in (1, 3, 4, 5, 7, 8, 9, 10, 12)) + ("classifier.2",),
}
SHEET = 16
"""Units in the sheet of a layer."""
REAL_SHOWN = 3
"""Real pictures beside the samples of a unit."""


def network_of(given: argparse.Namespace, bundle: ppgn.Bundle) -> Network:
    """The network of the units: the bundle's encoder, or the plugged-in network."""
    if given.network == ENCODER:
        return bundle.encoder
    seen = plugged(given)
    seen.network.to(memory_format=torch.channels_last)  # the same values, twice as fast on a CPU
    return seen


def real_pictures(root: Path, size: images.Size) -> Tensor:
    """All pictures of the folders of classes in `root`, `[picture, 3, height, width]`. Raises ValueError where there are none."""
    files = sorted(path for path in root.glob("*/*") if path.is_file())
    if not files:
        raise ValueError(f"no pictures in {root}, expected a folder for each class: give the folder that holds them")
    return torch.stack([images.load_image(path, size) for path in tqdm(files, "reading")])


@torch.no_grad()
def responses(network: Network, layers: Sequence[str], pictures: Tensor) -> dict[str, Tensor]:
    """Layer -> each unit's activation averaged over its map, `[picture, unit]`, in one pass over the pictures."""
    probe = Probe(network, layers)
    means: list[dict[str, Tensor]] = []
    for batch in tqdm(pictures.split(16), "real pictures"):
        means.append({layer: vector_at(value, None, None, layer) for layer, value in probe(batch).items()})
    return {layer: torch.cat([of_batch[layer] for of_batch in means]) for layer in layers}


def ordered_units(peak: Tensor, count: int, generator: torch.Generator) -> tuple[list[int], int]:
    """(the first `count` units in a random order that some picture makes positive; how many were passed over)."""
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
    """`total` units spread over the layers; the first layers get the remainder."""
    return [total // layers + (index < total % layers) for index in range(layers)]


def sample_layer(
    bundle: ppgn.Bundle, network: Network, layer: str, chains: Sequence[tuple[int, int]], batch: int, recipe: ppgn.Recipe
) -> tuple[Tensor, Tensor]:
    """A chain for each (unit, seed): (pictures `[chain, 3, height, width]`, the activations `[chain]` that they end with)."""
    units, seeds = zip(*chains, strict=True)
    request = ppgn.unit(network, UnitAddress(layer, units))
    with tqdm(total=recipe.steps * -(-len(units) // batch), desc=layer, leave=False) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.update()

        samples = ppgn.sample(bundle, request, seed=seeds, batch=batch, watch=watch, recipe=recipe)
    return samples.images, samples.log_prob


def figures(layer: str, unit: int, real: Tensor, sampled: Tensor) -> Row:
    """The row of a unit, from its activations on real pictures `[picture]` and on samples `[chain]`."""
    best, mean = float(real.max()), float(sampled.mean())
    return {
        "unit": f"{layer}:{unit}",
        "real_median": float(real.median()),
        "real_best": best,
        "samples": sampled.tolist(),
        "samples_mean": mean,
        "samples_best": float(sampled.max()),
        "ratio": mean / best,
    }


def tiles_of(row: Row, real: Tensor, pictures: Tensor, samples: Tensor) -> tuple[list[Tensor], list[str]]:
    """(tiles, labels): the real pictures that excite the unit most, then its samples, with the activations."""
    top = real.topk(REAL_SHOWN)
    labels = [f"{row['unit']}\nreal {value:.3g}" for value in top.values.tolist()]
    labels += [f"sample\n{value:.3g}" for value in row["samples"]]
    return [*pictures[top.indices], *samples], labels


def measure(given: argparse.Namespace, bundle: ppgn.Bundle, recipe: ppgn.Recipe) -> dict[str, Any]:
    """Sample all units, write the sheets, and return the numbers."""
    network, layers = network_of(given, bundle), given.layers or LAYERS[given.network]
    pictures = real_pictures(given.real, bundle.image.size)
    real = responses(network, layers, pictures)
    generator = torch.Generator().manual_seed(given.seed)
    rows, tiles, labels, passed, begun = [], [], [], 0, time.perf_counter()
    for layer, share in zip(tqdm(layers, "layers"), shares(given.units, len(layers)), strict=True):
        units, without = ordered_units(real[layer].amax(0), SHEET, generator)
        passed += without
        chains = [(unit, seed) for unit in units[:share] for seed in range(given.count)]
        chains += [(unit, 0) for unit in units[share:]]
        samples, values = sample_layer(bundle, network, layer, chains, given.batch, recipe)
        for index, unit in enumerate(units[:share]):
            of_unit = slice(index * given.count, (index + 1) * given.count)
            rows.append(figures(layer, unit, real[layer][:, unit], values[of_unit]))
            shown = tiles_of(rows[-1], real[layer][:, unit], pictures, samples[of_unit])
            tiles, labels = tiles + shown[0], labels + shown[1]
        first = [index for index, (_, seed) in enumerate(chains) if seed == 0]
        names = [f"{chains[index][0]}" for index in first]
        save(images.grid(samples[first], names, columns=8, scale=2), given, layer)
    save(images.grid(tiles, labels, columns=REAL_SHOWN + given.count, scale=2), given, "table")
    seconds = time.perf_counter() - begun
    return {"pictures": len(pictures), "passed_over": passed, "units": rows, "seconds": seconds}


def save(picture: Any, given: argparse.Namespace, name: str) -> None:
    """Write a picture into the network's folder under --out."""
    folder = images.make_folder(given.out / given.network.rpartition(":")[2])
    images.save_image(picture, folder / f"{name}.jpg")


def report(result: dict[str, Any]) -> None:
    """Print the table of docs/units.md and its summary."""
    rows = result["units"]
    print("| unit | real, median | real, best | samples, mean | samples, best | mean / best real |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        values = " | ".join(f"{row[key]:.3g}" for key in ("real_median", "real_best", "samples_mean", "samples_best"))
        print(f"| {row['unit']} | {values} | {row['ratio']:.2f} |")
    ratios = [row["ratio"] for row in rows]
    mean, best = (sum(row[key] > row["real_best"] for row in rows) for key in ("samples_mean", "samples_best"))
    print(
        f"\nof {len(rows)} units, the mean sample excites {mean} more than the best of {result['pictures']} real pictures does, "
        f"the best sample {best}; the ratio is {min(ratios):.2f} to {max(ratios):.2f}, median {statistics.median(ratios):.2f}"
    )
    print(f"{result['passed_over']} units that no real picture excites were passed over; sampling took {result['seconds']:.0f} s")


def options() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="imagenette64")
    parser.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    parser.add_argument("--network", default=ENCODER, help="as in `ppgn sample` (default: the bundle's encoder)")
    add_input(parser)
    parser.add_argument("--layers", nargs="+", help="layers of the units (default: a list in this file)")
    parser.add_argument("--units", type=int, default=20, help="units of the table, spread over the layers (default: 20)")
    parser.add_argument("--count", type=int, default=4, help="samples of each unit, seeds 0, 1, ... (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order of the units (default: 0)")
    parser.add_argument("--batch", type=int, default=22, help="chains that run at once (default: 22)")
    add_settings(parser)
    parser.add_argument("--out", type=Path, default=Path("docs/units"), help="folder for the sheets (default: docs/units)")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    return parser


def main() -> None:
    parser = options()
    given = parser.parse_args()
    if given.layers is None and given.network not in LAYERS:
        parser.error(f"no list of layers for {given.network}: name some with --layers, `ppgn layers` lists them")
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        recipe = recipe_of(bundle, dict(given.set), "plugged")
        result = measure(given, bundle, recipe)
    report(result)
    if given.json:
        about = {"bundle": bundle.name, "network": given.network, "recipe": recipe.to_json(), "seed": given.seed}
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        given.json.write_text(json.dumps({**about, **machine, **result}, indent=2))


if __name__ == "__main__":
    main()
