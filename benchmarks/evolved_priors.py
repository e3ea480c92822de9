"""One unit under several priors: what CMA-ES finds for it in pixels, and in the codes of each bundle, with the same budget.

    python benchmarks/evolved_priors.py --network torchvision:squeezenet1_0 --weights FILE --unit features.12:7 features.9:20 \\
        --bgr --mean 0.40784,0.45882,0.48235 --std 0.0039216 --size 227 --out docs/evolved_priors.jpg

Pixels are 32x32 and independent, each from N(0.5, 0.2^2), and the search is the separable form. Printed are the responses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from plugged import add_input, plugged
from runs import exit_on_mistake

import ppgn
from ppgn import images, recipes
from ppgn.conditions import UnitAddress
from ppgn.experiment import evolve, unit_score
from ppgn.generators import IdentityGenerator, IdentityGeneratorConfig

PIXELS, SIDE, SHOWN = "pixels", 32, 128


def bundle_of(name: str) -> ppgn.Bundle:
    """A bundle by its name, or one whose codes are pixels."""
    if name != PIXELS:
        return ppgn.load(name)
    generator = IdentityGenerator(IdentityGeneratorConfig(3, SIDE, SIDE))
    return ppgn.Bundle.of(generator, (3, SIDE, SIDE), name=PIXELS, low=0.0, high=1.0, mean=0.5, std=0.2)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--network", required=True)
    add_input(options)
    options.add_argument("--unit", nargs="+", required=True, metavar="LAYER:UNIT")
    options.add_argument("--bundles", nargs="+", default=[PIXELS, "imagenette64", "products64", "natural128"])
    options.add_argument("--budget", type=int, default=2000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("evolved_priors.jpg"))
    given = options.parse_args()
    tiles, labels = [], []
    for unit in given.unit:
        for name in given.bundles:
            bundle = bundle_of(name)
            request = ppgn.unit(plugged(given), UnitAddress.parse(unit))
            setup = recipes.prepare(bundle, recipes.recipe_for(bundle, request.kind, precision="float32"), request)
            settings = {"covariance": "separable"} if name == PIXELS else {}
            about = {"budget": given.budget, "seed": given.seed, "settings": settings, "units": request.names}
            found = evolve(bundle, unit_score(setup, request), **about)
            tiles.append(images.resize(found.images, SHOWN)[0].clamp(0, 1))
            labels.append(f"{unit}, {name}\n{found.responses[0]:.3g}")
            print(f"{unit} under {name}: {found.responses[0]:.4g}", flush=True)
    images.save_image(images.grid(torch.stack(tiles), labels, columns=len(given.bundles)), given.out)


if __name__ == "__main__":
    with exit_on_mistake():
        main()
