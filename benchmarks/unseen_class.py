"""A class that a GAN was never trained on, found by a network that knows it: BigGAN-AM with a small conditional GAN.

    python scripts/train_digits.py --out runs/lenet0 --root data --epochs 1
    python scripts/train_digits.py --out runs/lenet1 --root data --epochs 1 --seed 1
    python benchmarks/unseen_class.py --gan runs/unseen_digit/gan/checkpoints/last.ckpt --class 8 \\
        --network runs/lenet0 --judge runs/lenet1 --docs docs
    python benchmarks/unseen_class.py --gan runs/unseen/gan/checkpoints/last.ckpt --class church --docs /tmp

The GANs are those of training/configs/digits_unseen_gan.yaml and imagenette64_unseen_gan.yaml. One network leads the search,
another, which took no part, judges. Every figure is over `--count` embeddings (one a seed) of TEN latents that no search has
seen. Prints a table and writes unseen_class.jpg, seed by seed, nothing chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from runs import add_settings, exit_on_mistake
from timing import machine
from torch import Tensor
from torch.nn import functional

import ppgn
from ppgn import images, loaders, seeds
from training import one_hot, read_conditional_gan, read_digits

TEN = 10
UNSEEN_DRAW = 1_000_000
"""The number of a draw of latents to which no search comes."""
COLUMNS, SHOWN = 8, 3
"""Pictures of an embedding, and found embeddings, in the picture."""
FREE = {"weight_decay": 0.0}
"""The released decay, 0.9, holds embeddings of a small GAN near 0: its gradients are weaker than BigGAN's."""
SEARCHES: dict[str, dict[str, Any]] = {
    "BigGAN-AM as released": {"start": "mean", "draws": 1},
    "without decay": {"start": "mean", "draws": 1, **FREE},
    "from a likely class": {"start": "codes", "draws": 9, **FREE},
}
SHOWN_SEARCH = 1
"""The search whose embeddings are in the picture."""
Scores = Callable[[Tensor], Tensor]


class Row(NamedTuple):
    """Pictures `[embedding, latent, channel, height, width]` and the judge's probabilities `[embedding, latent]`."""

    name: str
    pictures: Tensor
    judged: Tensor


def classifier(name: str, class_name: str) -> Scores:
    """Images -> log p(class), `[chain]`, by a bundle's classifier, a network such as lite:0, or a folder of train_digits.py.

    Raises ValueError for a class that it does not know.
    """
    if (Path(name) / "lenet.safetensors").is_file():
        network, names = read_digits(Path(name)), tuple(str(digit) for digit in range(10))
    elif ":" in name:
        network, names = loaders.network(name), loaders.class_names(name)
    else:
        bundle = ppgn.load(name)
        network, names = loaders.network("bundle:classifier", bundle=bundle), bundle.classes
    if class_name not in names:
        raise ValueError(f"{name} does not know the class {class_name!r}, expected one of its {len(names)}: correct it")
    target = names.index(class_name)
    return lambda image: functional.log_softmax(network(image), 1)[:, target]


class Look:
    """Shows embeddings with latents that no search has seen, and says what both networks see there."""

    def __init__(self, bundle: ppgn.Bundle, count: int, leads: Scores, judges: Scores) -> None:
        self.bundle, self.networks = bundle, (leads, judges)
        self.latents = seeds.normal(range(count), UNSEEN_DRAW, (TEN, bundle.generator.latent_units))

    def __call__(self, name: str, embeddings: Tensor) -> Row:
        """Prints and returns the row of embeddings `[embedding, unit]`."""
        codes = torch.cat([self.latents, embeddings[:, None].expand(-1, TEN, -1)], 2)
        with torch.no_grad():
            made = self.bundle.generator(codes.flatten(0, 1))
            led, judged = (torch.cat([scores(some) for some in made.split(20)]).exp() for scores in self.networks)
        row = Row(name, made.unflatten(0, codes.shape[:2]), judged.unflatten(0, codes.shape[:2]))
        means = row.judged.mean(1)
        apart = torch.stack([functional.pdist(one.flatten(1)).mean() for one in row.pictures]).mean() / made[0].numel() ** 0.5
        print(f"| {name} | {led.mean():.3f} | {means.mean():.3f} | {means.min():.3f} to {means.max():.3f} | {apart:.3f} |")
        return row


def look_at_all(look: Look, class_names: Sequence[str], count: int, leads: Scores, changes: dict[str, Any]) -> list[Row]:
    """The rows of the picture: random embeddings, the best known class, the embeddings of `SHOWN_SEARCH`."""
    bundle = look.bundle
    known, units = bundle.generator.embeddings, bundle.generator.embeddings.shape[1]
    noise = seeds.normal(range(count), UNSEEN_DRAW, (units,), stream=seeds.Stream.START)
    random = look("random", known.mean(0) + known.std(0) * noise)
    of_classes = [look(name, row.expand(count, -1)) for name, row in zip(class_names, known, strict=True)]
    found = []
    diverse = {**SEARCHES["without decay"], "diversity": 0.1 * 5 * 2 * 224 / max(bundle.image.size)}  # the released weight
    for name, settings in {**SEARCHES, "without decay, with diversity": diverse}.items():
        begun = time.monotonic()
        made = ppgn.sample(bundle, leads, count=count, **{**settings, **changes})
        found.append(look(f"{name}, {time.monotonic() - begun:.0f} s", made.codes[:, -units:]))
    return [random, max(of_classes, key=lambda row: float(row.judged.mean())), found[SHOWN_SEARCH]]


def draw(rows: list[Row], path: Path) -> None:
    """Writes the picture: a random embedding for each tile, then a line for each embedding, seed by seed."""
    random, known, found = rows
    lines = [
        (random.pictures[:, 0], random.judged[:, 0]),
        (known.pictures[0], known.judged[0]),
        *((found.pictures[seed], found.judged[seed]) for seed in range(min(SHOWN, len(found.pictures)))),
    ]
    columns = min(COLUMNS, *(len(pictures) for pictures, _ in lines))
    tiles = [picture for pictures, _ in lines for picture in pictures[:columns]]
    labels = [f"{value:.2f}" for _, values in lines for value in values[:columns]]
    images.save_image(images.grid(tiles, labels, columns, scale=max(1, 96 // found.pictures.shape[-1])), path)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--gan", type=Path, required=True, help="last.ckpt of scripts/train_conditional_gan.py")
    options.add_argument("--class", dest="class_", default="church", help="that the GAN does not know (default: church)")
    options.add_argument(
        "--network", default="imagenette64", help="that leads: a bundle, lite:0, a LeNet (default: imagenette64)"
    )
    options.add_argument("--judge", default="lite:0", help="that judges (default: lite:0)")
    options.add_argument("--count", type=int, default=TEN, help="embeddings of each row (default: 10)")
    options.add_argument("--docs", type=Path, default=Path("docs"), help="folder for the picture (default: docs)")
    add_settings(options, "those of each search")
    given = options.parse_args()
    torch.set_num_threads(1)
    with exit_on_mistake():
        gan = read_conditional_gan(given.gan)
        if given.class_ in gan.class_names:
            raise ValueError(f"the GAN was trained on {given.class_}, expected a class that it does not know: choose another")
        leads, judges = classifier(given.network, given.class_), classifier(given.judge, given.class_)
    classes = one_hot(torch.arange(len(gan.class_names)), len(gan.class_names))
    bundle = loaders.class_conditional(gan.generator.network, classes)
    print(f"{machine()}; {given.class_}, led by {given.network}, judged by {given.judge}; {given.count} seeds of {TEN} latents")
    print("| embedding | p, leads | p, judges | judge, by seed | pictures apart |\n| --- | --- | --- | --- | --- |")
    look = Look(bundle, given.count, leads, judges)
    draw(look_at_all(look, gan.class_names, given.count, leads, dict(given.set)), given.docs / "unseen_class.jpg")


if __name__ == "__main__":
    main()
