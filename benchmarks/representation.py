"""The picture of docs/generators.md: a decoder of EfficientNet-Lite0's maps, its reconstructions, draws and samples of a class.

    python scripts/train_generator.py fit --config training/configs/imagenette64_representation_generator.yaml
    python scripts/train_noise_level.py fit --config training/configs/imagenette64_representation_noise_level.yaml
    python scripts/export_bundle.py --run runs/representation --name representation --out runs/representation/bundle
    python benchmarks/representation.py --bundle runs/representation/bundle --pictures imagenette64/val --docs docs

Rows: held-out pictures, one of each of eight classes; their reconstructions G(E(x)); codes drawn by the noise-level model;
samples of a class of EfficientNet-Lite0. Writes rae.jpg; prints the error of the reconstructions beside that of the mean
picture, how often Lite0 sees the class in samples, draws and held-out pictures, and seconds.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from runs import exit_on_mistake, picture_options
from timing import machine
from torch import Tensor

import ppgn
from ppgn import images, loaders, requests
from training import ImageData

NETWORK = "lite:0"
COUNT = 8


def held_out(root: Path, size: tuple[int, int]) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Pictures that no training saw, `[picture, channel, height, width]` in [0, 1], their classes, and the names of these."""
    data = ImageData("folder", root, size)
    data.setup()
    pictures: Any = data.validation_pictures
    found, labels = pictures.__getitems__(list(range(len(pictures))))
    return found.float() / 255, labels, data.class_names


def seen_as(network: Any, pictures: Tensor, name: str) -> list[bool]:
    """Of each picture, whether the network finds the class likeliest of all."""
    column = requests.class_index(loaders.class_names(NETWORK), name)
    with torch.no_grad():
        return (network(pictures).argmax(1) == column).tolist()


def main() -> None:
    options = picture_options(__doc__, "runs/representation/bundle")
    options.add_argument("--pictures", type=Path, required=True, help="those that the generator was trained on")
    options.add_argument("--class", dest="wanted", default="church", help="of EfficientNet-Lite0 (default: church)")
    given = options.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; seed {given.seed}")
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        real, labels, names = held_out(given.pictures, bundle.image.size)
    firsts = [int((labels == label).nonzero()[0, 0]) for label in range(COUNT)]
    with torch.no_grad():
        remade = torch.cat([bundle.generator(bundle.encoder(some)).clamp(0, 1) for some in real.split(32)])
    error, of_mean = ((one - real).abs().mean() for one in (remade, real.mean(0)))
    print(f"{len(real)} held-out pictures: mean |G(E(x)) - x| {error:.3f}, of the mean picture {of_mean:.3f}")
    network = loaders.network(NETWORK)
    begun = time.monotonic()
    drawn = ppgn.sample(bundle, lambda image: 0 * image.mean((1, 2, 3)), count=COUNT, seed=given.seed).images.clamp(0, 1)
    print(f"{COUNT} draws: {time.monotonic() - begun:.0f} s")
    begun = time.monotonic()
    request = requests.parse(bundle, class_=given.wanted, network=requests.Plugged(NETWORK))
    made = ppgn.sample(bundle, request, count=COUNT, seed=given.seed)
    print(f"{COUNT} samples of {given.wanted}: {time.monotonic() - begun:.0f} s, mean log-probability {made.log_prob.mean():.2f}")
    rows = {"samples": made.images.clamp(0, 1), "draws": drawn}
    if given.wanted in names:
        own = labels == names.index(given.wanted)
        rows |= {"held-out pictures of it": real[own], "reconstructions of these": remade[own]}
    for name, pictures in rows.items():
        right = seen_as(network, pictures, given.wanted)
        print(f"{NETWORK} sees {given.wanted} in {sum(right)} of {len(right)} {name}")
    shown = [real[firsts], remade[firsts], drawn, rows["samples"]]
    words = [*(names[label] for label in range(COUNT)), *["G(E(x))"] * COUNT, *["drawn"] * COUNT, *[given.wanted] * COUNT]
    images.save_image(images.grid(torch.cat(shown), words, COUNT, scale=2), given.docs / "rae.jpg")


if __name__ == "__main__":
    main()
