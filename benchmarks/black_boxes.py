"""How far does a search get that only sees responses? CMA-ES, XDream's genetic algorithm and random codes on hidden units.

    python benchmarks/black_boxes.py --real imagenette64/val --units 20 --out runs/black_boxes
    python benchmarks/black_boxes.py --real imagenette64/val --units 10 --network torchvision:squeezenet1_0 --weights FILE \\
        --bgr --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 --out runs/black_boxes

Beside them: the best of all real pictures, and the mean of four chains of the bundle's recipe, which follow the gradient. Then
the same with Poisson noise, where the mean real picture evokes `--spikes`; what is found is measured without noise. And do real
pictures nearer to the evolved one evoke more? A search that is done is not run again.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from plugged import add_input
from runs import exit_on_mistake
from torch import Tensor
from units import ENCODER, LAYERS, network_of, ordered_units, real_pictures, responses, shares

import ppgn
from ppgn import images, recipes
from ppgn.conditions import UnitAddress
from ppgn.experiment import Evolved, Noise, evolve, line_plot, predicted, prediction_figure, unit_score

CHAINS = 4
NOISY = {"elite": 2, "population": 40}
"""Plan of a search with noise, found on four units of seed 1: two of the best pictures so far are shown again each time."""
SEARCHES: dict[str, dict[str, Any]] = {
    "CMA-ES": {"method": "cma"},
    "genetic": {"method": "genetic"},
    "random": {"method": "random"},
    "CMA-ES, noise": {"method": "cma", **NOISY, "settings": {"step_size": 1.0}},
    "genetic, noise": {"method": "genetic", **NOISY},
}
"""Name of a search -> its plan."""


def unit_row(
    row: dict[str, Any], given: argparse.Namespace, bundle: ppgn.Bundle, network: Any, real: Tensor, pictures: Tensor
) -> Iterator[dict[str, Any]]:
    """The row of a unit after each thing measured, and its pictures in the folder."""
    layer, _, number = row["unit"].rpartition(":")
    request = ppgn.unit(network, UnitAddress(layer, (int(number),)))
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, request.kind, precision="float32"), request)
    clean = unit_score(setup, request)
    place = given.out / _file(row["unit"])
    if "chain" not in row:
        chains = ppgn.sample(bundle, request.select([0] * CHAINS), seed=given.seed)
        row |= {"real": float(real.max()), "chain": float(chains.log_prob.mean())}
        tiles, labels = [pictures[real.argmax()], chains.images[0]], [f"real {real.max():.3g}", f"chain {chains.log_prob[0]:.3g}"]
        images.save_image(images.grid(torch.stack(tiles), labels, scale=2), place.with_name(f"{place.name}.jpg"))
        yield row
    for name, plan in SEARCHES.items():
        if row.get(name, {}).get("plan") == plan:
            continue
        about = {"budget": given.budget, "units": request.names, "seed": given.seed}
        begun = time.perf_counter()
        gain = given.spikes / float(real.clamp(min=0).mean())
        noise = Noise("poisson", gain, given.seed) if "noise" in name else None
        found = evolve(bundle, unit_score(setup, request, noise), **about, **plan)
        value = float(clean.function(found.images)[0])
        seconds, course = time.perf_counter() - begun, found.highest[:, 0].tolist()
        row[name] = {"plan": plan, "value": value, "seconds": seconds, "highest": course}
        tile = images.grid(found.images, [f"{name} {value:.3g}"], scale=2)
        images.save_image(tile, place.with_name(f"{place.name}_{name}.jpg"))
        if name == "CMA-ES":
            row["prediction"] = prediction(bundle, found, pictures, real, place.with_name(f"{place.name}_prediction.jpg"))
        yield row


def prediction(bundle: ppgn.Bundle, found: Evolved, pictures: Tensor, real: Tensor, file: Path) -> dict[str, Any]:
    """Rank correlations of nearness and response in code space and in the encoder's pool5, with their figure."""
    with torch.no_grad():
        codes = torch.cat([bundle.encoder(some) for some in pictures.split(50)])
        maps = torch.cat([bundle.encoder.maps(some)[-1].flatten(1) for some in pictures.split(50)])
        own = bundle.encoder(found.images)[0], bundle.encoder.maps(found.images)[-1].flatten(1)[0]
    spaces = {"code": predicted(own[0], codes, real), "pool5": predicted(own[1], maps, real)}
    images.save_image(prediction_figure(found.images[0], pictures, real, spaces), file)
    return {name: [one.correlation, one.low, one.high] for name, one in spaces.items()}


def report(rows: list[dict[str, Any]], given: argparse.Namespace) -> None:
    """Print the table of docs/black-boxes.md, and a plot of the mean course."""
    names = list(SEARCHES)
    print(f"| unit | best real | chain | {' | '.join(names)} | nearer evokes more (code) |")
    print("| --- " * (len(names) + 4) + "|")
    for row in rows:
        values = " | ".join(f"{row[name]['value']:.3g}" for name in names)
        rho, low, high = row["prediction"]["code"]
        print(f"| {row['unit']} | {row['real']:.3g} | {row['chain']:.3g} | {values} | {rho:.2f} ({low:.2f} to {high:.2f}) |")
    print()
    for name in names:
        of_real, of_chain = ([row[name]["value"] / row[other] for row in rows] for other in ("real", "chain"))
        print(
            f"{name}: {statistics.median(of_real):.2f} times the best real picture in the median, more than it for "
            f"{sum(one > 1 for one in of_real)} of {len(rows)} units and 1.2 times for {sum(one >= 1.2 for one in of_real)}; "
            f"{statistics.median(of_chain):.2f} of the gradient chain, at least 0.9 for {sum(one >= 0.9 for one in of_chain)}"
        )
    for kind in ("", ", noise"):
        ahead = sum(row[f"genetic{kind}"]["value"] < row[f"CMA-ES{kind}"]["value"] for row in rows)
        print(f"CMA-ES{kind} reaches more than the genetic algorithm{kind} for {ahead} of {len(rows)} units")
    for space in ("code", "pool5"):
        above = sum(row["prediction"][space][0] > 0 for row in rows)
        print(f"rank correlation of nearness in {space} and response above 0 for {above} of {len(rows)} units")
    curves = {}
    for name in names:
        courses = [torch.tensor(row[name]["highest"]).cummax(0).values / row["real"] for row in rows if "noise" not in name]
        if courses:
            curves[name] = torch.stack(courses).median(0).values.tolist()
    images.save_image(line_plot(curves, "generation of 20 pictures", "highest response / best real"), given.out / "course.png")


OPTIONS = ("bundle", "real", "network", "weights", "size", "mean", "std", "bgr", "budget", "spikes", "seed")


def options_of(given: argparse.Namespace) -> dict[str, Any]:
    """What a row depends on beside its unit."""
    return {name: str(getattr(given, name)) for name in OPTIONS}


def _file(unit: str) -> str:
    return unit.replace(":", "_")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--real", type=Path, required=True, help="folders of real pictures, one for each class")
    options.add_argument("--network", default=ENCODER, help="another network; default: the bundle's encoder")
    add_input(options)
    options.add_argument("--units", type=int, default=20)
    options.add_argument("--budget", type=int, default=3000)
    options.add_argument("--spikes", type=float, default=10.0, help="of the mean real picture, with noise")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/black_boxes"))
    given = options.parse_args()
    given.layers = None
    images.make_folder(given.out.parent)
    given.out = images.make_folder(given.out / given.network.rpartition(":")[2])
    bundle = ppgn.load(given.bundle)
    network, layers = network_of(given, bundle), LAYERS[given.network]
    pictures = real_pictures(given.real, bundle.image.size)
    real = responses(network, layers, pictures)
    generator, rows = torch.Generator().manual_seed(given.seed), []
    for layer, share in zip(layers, shares(given.units, len(layers)), strict=True):
        for unit in ordered_units(real[layer].amax(0), share, generator)[0]:
            row: dict[str, Any] = {"unit": f"{layer}:{unit}", "options": options_of(given)}
            file = given.out / f"{_file(row['unit'])}.json"
            if file.is_file() and (known := json.loads(file.read_text())).get("options") == row["options"]:
                row = known
            for so_far in unit_row(row, given, bundle, network, real[layer][:, unit], pictures):
                images.write_atomically(file, lambda path, text=json.dumps(so_far): path.write_text(text))
            rows.append(row)
    report(rows, given)
    print(f"\n{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads, seed {given.seed}")


if __name__ == "__main__":
    with exit_on_mistake():
        main()
