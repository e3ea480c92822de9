"""The picture of docs/generators.md: a face DCGAN of the package index, asked for brightness, a unit, and by evolution.

    ppgn import-gan gan-face-generate --out checkpoints/faces
    python benchmarks/faces.py --docs docs

Rows: faces as drawn; the same brighter; the likeliest of 16 draws made likelier for Lite0's unit "sunglasses"; the best of
every seventh generation of an evolution for its unit "cowboy hat". Writes faces.jpg; prints brightness, activations, norms of
the codes and seconds.
"""

from __future__ import annotations

import time

import torch
from runs import exit_on_mistake, picture_options
from timing import machine
from torch import Tensor

import ppgn
from ppgn import experiment, images, recipes, requests

NETWORK = "lite:0"
SUNGLASSES, COWBOY_HAT = "classifier:837", "classifier:515"
COUNT, BUDGET = 8, 1000


def brighter(image: Tensor) -> Tensor:
    """50 times the mean brightness of each image, `[chain]`."""
    return 50 * image.mean((1, 2, 3))


def told(name: str, samples: ppgn.Samples, values: Tensor, begun: float) -> None:
    """Prints what there is to say of some samples."""
    norms = samples.codes.flatten(1).norm(dim=1)
    print(f"{name}: mean {values.mean():.3f}, lowest {values.min():.3f}, highest {values.max():.3f}; norm of the codes "
          f"{norms.min():.2f} to {norms.max():.2f}; {time.monotonic() - begun:.0f} s")  # fmt: skip


def evolved(bundle: ppgn.Bundle, seed: int) -> tuple[list[Tensor], list[str]]:
    """The best pictures of COUNT generations from the first to the last, and their activations."""
    request = requests.parse(bundle, unit=COWBOY_HAT, network=requests.Plugged(NETWORK))
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, "plugged", precision="float32"), request)
    best: list[tuple[float, Tensor]] = []

    def watch(generation: experiment.Generation, rows: list[list[float]]) -> None:
        responses = torch.tensor([row[0] for row in rows])
        best.append((float(responses.max()), generation.codes[responses.argmax()]))

    ppgn.evolve(bundle, score=experiment.unit_score(setup, request), units=request.names, budget=BUDGET, seed=seed, watch=watch)
    chosen = [best[round(number * (len(best) - 1) / (COUNT - 1))] for number in range(COUNT)]
    print("evolved, best of a generation: " + ", ".join(f"{response:.2f}" for response, _ in chosen))
    return [bundle.generator(code[None])[0] for _, code in chosen], [f"hat {response:.1f}" for response, _ in chosen]


def main() -> None:
    given = picture_options(__doc__, "faces").parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; seed {given.seed}")
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
    tiles: list[Tensor] = []
    labels: list[str] = []
    for name, steps in (("drawn", 1), ("brighter", None)):
        begun = time.monotonic()
        made = ppgn.sample(bundle, brighter, count=COUNT, seed=given.seed, steps=steps)
        brightness = made.images.mean((1, 2, 3))
        told(name, made, brightness, begun)
        tiles, labels = [*tiles, *made.images], [*labels, *(f"{value:.2f}" for value in brightness)]
    begun = time.monotonic()
    request = requests.parse(bundle, unit=SUNGLASSES, network=requests.Plugged(NETWORK))
    made = ppgn.sample(bundle, request, count=COUNT, seed=given.seed, steps=40, draws=16)
    told("sunglasses", made, made.log_prob, begun)
    tiles, labels = [*tiles, *made.images], [*labels, *(f"sunglasses {value:.1f}" for value in made.log_prob)]
    found, responses = evolved(bundle, given.seed)
    picture = images.grid([*tiles, *found], [*labels, *responses], COUNT, scale=2)
    images.save_image(picture, given.docs / "faces.jpg")


if __name__ == "__main__":
    main()
