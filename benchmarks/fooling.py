"""Fooling images and innovation engines (Nguyen, Yosinski & Clune 2015) against LeNet and SqueezeNet: docs/fooling.md.

    python scripts/train_digits.py --out runs/digits0 --root data --download true
    python scripts/train_digits.py --out runs/digits1 --root data --seed 1
    python benchmarks/fooling.py mnist --digits runs/digits0
    python benchmarks/fooling.py retraining --digits runs/digits0 --mnist data
    python benchmarks/fooling.py imagenet --weights squeezenet1_0_deepcompression_fp16.pth --labels imagenet1000_labels.tsv
    python benchmarks/fooling.py transfer --digits runs/digits0 --second runs/digits1 --weights FILE --labels FILE
    python benchmarks/fooling.py ascent --weights FILE --labels FILE
    python benchmarks/fooling.py repetition --digits runs/digits0 --weights FILE --labels FILE
    python benchmarks/fooling.py one_pixel --digits runs/digits0 --mnist data --weights FILE --labels FILE \\
        --imagenette imagenette128

Each goes on where it was when the same command is given again, prints its table, and leaves a JSON file and figures in `--out`.
Confidence is the softmax of the network. The run of `imagenet` with CPPNs is the innovation engine: MAP-Elites over 1000 classes.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from fooling_changes import ablated, attack_figure, attacked, transferred
from fooling_networks import SQUEEZENET_SIZE, confidences, digits, imagenet_names, squeezenet
from fooling_rounds import medians, rounds, rounds_figure
from heldout import judge_indices, real_pictures
from lite import lite0
from runs import exit_on_mistake

import ppgn
from ppgn import illumination as il
from ppgn import images
from ppgn.conditions import ClassLogProb
from ppgn.experiment import line_plot
from training import read_mnist

Row = dict[str, Any]
ENCODINGS: dict[str, Callable[..., Any]] = {"direct": il.Direct, "CPPN": il.Cppn}
GENERATIONS = 200
"""Of MNIST, as published."""
PUBLISHED = {
    ("mnist", "direct"): "99.99 % (200 generations)",
    ("mnist", "CPPN"): "99.99 % (200 generations)",
    ("imagenet", "direct"): "21.59 % (20,000 generations)",
    ("imagenet", "CPPN"): "88.11 % (5000 generations)",
}
POPULATION = {"mnist": 200, "imagenet": 100}
"""Pictures of a generation. Of 1000 classes fewer, so that children have newer parents."""
SURE = (0.5, 0.9, 0.99)
PLAIN = 0.999
"""Median confidence from which a set counts as fooled."""
ASCENDED = 5
MOST_ABLATED = 60
SHOWN = 40
"""Classes of ImageNet in the figure, evenly spread."""


def searched(given: argparse.Namespace, of: str, encoding: str, network: Any = None) -> il.Illuminated:
    """The search of a set of classes by an encoding, which is run where it is not done."""
    if of == "mnist":
        network = digits(given.digits) if network is None else network
        about = {"generations": given.generations}
        bred, names = ENCODINGS[encoding](size=28, channels=1), None
    else:
        network = squeezenet(given.weights) if network is None else network
        about = {"budget": given.budget}
        bred, names = ENCODINGS[encoding](size=SQUEEZENET_SIZE, channels=3), imagenet_names(given.labels)
    begun = time.monotonic()

    def watch(generation: int, row: il.CurveRow) -> None:
        if generation % 10 == 0:
            print(f"{of} {encoding} {generation} {row} {time.monotonic() - begun:.0f} s", flush=True)

    folder = given.out / f"{of}_{encoding}"
    return il.illuminate(
        network, bred, names=names, population=population(given, of), seed=given.seed, folder=folder, watch=watch, **about
    )


def population(given: argparse.Namespace, of: str) -> int:
    """Pictures of a generation."""
    return given.population or POPULATION[of]


def search_row(given: argparse.Namespace, of: str, encoding: str, found: il.Illuminated) -> Row:
    """What a search has reached, beside the published median."""
    shares = {f"above {least}": found.share(least) for least in SURE}
    pictures = len(found.curve) * population(given, of)
    reached = next((row.generation + 1 for row in found.curve if row.median >= PLAIN), "")
    return {"set": of, "encoding": encoding, "pictures": pictures, "generations": len(found.curve), "median": found.median,
            **shares, f"median of {shortened(PLAIN)} at": reached, "published": PUBLISHED[of, encoding]}  # fmt: skip


def mnist(given: argparse.Namespace) -> list[Row]:
    """Ten digits by both encodings."""
    rows, tiles, labels = [], [], []
    for encoding in ENCODINGS:
        found = searched(given, "mnist", encoding)
        rows.append(search_row(given, "mnist", encoding, found))
        tiles.append(found.images())
        labels += [f"{name}: {shortened(value)}" for name, value in zip(found.names, found.confidences.tolist(), strict=True)]
    figure(images.grid(torch.cat(tiles), labels, columns=10, scale=3), given.out / "mnist.png")
    return rows


def imagenet(given: argparse.Namespace) -> list[Row]:
    """1000 classes of ImageNet by `--encodings`; that of CPPNs is the innovation engine."""
    rows = []
    for encoding in given.encodings:
        found = searched(given, "imagenet", encoding)
        rows.append(search_row(given, "imagenet", encoding, found))
        chosen = images.spread(len(found.names), SHOWN)
        labels = [f"{found.names[one][:18]}\n{shortened(float(found.confidences[one]))}" for one in chosen]
        small = images.resize(found.images(chosen), 112)
        figure(images.grid(small, labels, columns=8, scale=1), given.out / f"imagenet_{encoding}.png")
        figure(curve(found, population(given, "imagenet")), given.out / f"imagenet_{encoding}_curve.png")
    return rows


def retraining(given: argparse.Namespace) -> list[Row]:
    """LeNet with a class of pictures that fool, round after round; the first encoding given."""
    data, encoding = read_mnist(given.mnist), given.encodings[0]
    place = given.out / f"retraining_{encoding}"
    about = {"count": given.rounds, "added": given.added, "epochs": given.epochs, "seed": given.seed}
    search = {"generations": given.generations, "population": population(given, "mnist")}
    rows = rounds(digits(given.digits), lambda: ENCODINGS[encoding](size=28, channels=1), data, place, **about, **search)
    figure(rounds_figure(place, given.rounds), given.out / f"retraining_{encoding}.png")
    print(f"published: 99.99 % after 15 rounds; here the median over the rounds is {medians(rows):.4%}")
    return rows


def elites(given: argparse.Namespace, of: str, encoding: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Any]:
    """(pictures, their classes, confidences, the network) of a search that is done, as far as its folder holds it."""
    network = digits(given.digits) if of == "mnist" else squeezenet(given.weights)
    found = searched(given, of, encoding, network)
    return found.images(), torch.tensor(found.classes), found.confidences, network


def sets_of(given: argparse.Namespace) -> list[tuple[str, str]]:
    """The searches whose networks are given."""
    return [(of, name) for of, needed in (("mnist", given.digits), ("imagenet", given.weights)) if needed
            for name in given.encodings]  # fmt: skip


def transfer(given: argparse.Namespace) -> list[Row]:
    """What a second network, on which nothing was tuned, sees in the elites."""
    rows = []
    for of, encoding in sets_of(given):
        pictures, classes, own, _ = elites(given, of, encoding)
        second = digits(given.second) if of == "mnist" else lite0()
        for least in (0.0, 0.9):
            rows.append({"set": of, "encoding": encoding, **transferred(pictures, classes, own, second, least)})
    return rows


def ascent(given: argparse.Namespace) -> list[Row]:
    """Gradient ascent on the softmax of ASCENDED classes, from grey noise, by the recipe of Simonyan et al. 2013."""
    network, names = squeezenet(given.weights), imagenet_names(given.labels)
    second, chosen = lite0(), images.spread(len(names), ASCENDED)
    request = ppgn.requests.function(ClassLogProb(network, chosen), len(chosen))
    begun = time.monotonic()
    samples = ppgn.sample(ppgn.load(f"pixels:{SQUEEZENET_SIZE}"), request, recipe="simonyan_2013", seed=given.seed)
    seconds = time.monotonic() - begun
    pictures = (samples.images.clamp(0, 1) * 255).round() / 255
    own, other = confidences(network, pictures), confidences(second, pictures)
    here = torch.arange(len(chosen)), torch.tensor(chosen)
    rows = [
        {"class": names[one], "confidence": mine, "second network": its, "it sees": names[seen]}
        for one, mine, its, seen in zip(chosen, own[here].tolist(), other[here].tolist(), other.argmax(1).tolist(), strict=True)
    ]
    labels = [f"{row['class'][:24]} {shortened(row['confidence'])}" for row in rows]
    figure(images.grid(pictures, labels, columns=ASCENDED, scale=1), given.out / "ascent.png")
    print(f"median {own[here].median():.4%} after {samples.recipe.steps} steps, {seconds:.0f} seconds for all")
    return rows


def repetition(given: argparse.Namespace) -> list[Row]:
    """What blanking the copies of repeated elements leaves, for elites above 0.5, at most MOST_ABLATED of a search."""
    rows = []
    for of, encoding in sets_of(given):
        pictures, classes, own, network = elites(given, of, encoding)
        sure = torch.nonzero(own > 0.5).flatten()
        sure = sure[images.spread(len(sure), MOST_ABLATED)] if len(sure) else sure
        if len(sure):
            rows.append({"set": of, "encoding": encoding, **ablated(network, pictures[sure], classes[sure])})
    return rows


def one_pixel(given: argparse.Namespace) -> list[Row]:
    """Few pixels of real pictures changed: test pictures of MNIST, and val pictures of Imagenette at 128 px."""
    rows = []
    if given.digits:
        network, (_, test) = digits(given.digits), read_mnist(given.mnist)
        pictures, labels = test.tensors[0][: given.attacked].float() / 255, test.tensors[1][: given.attacked]
        for pixels in (1, 5):
            file = given.out / f"one_pixel_mnist_{pixels}.json"
            about = {"pixels": pixels, "population": 100, "iterations": 20, "seed": given.seed}
            rows.append({"set": "mnist", **attacked(network, pictures, labels, file, **about)})
            show(attack_figure(pictures, str, file), file)
    if given.weights:
        network, names = squeezenet(given.weights), imagenet_names(given.labels)
        of_folder = sorted(path.name for path in (given.imagenette / "val").iterdir() if path.is_dir())
        pictures, places = real_pictures(given.imagenette / "val", of_folder, given.attacked // 20, 128)
        labels = torch.tensor(judge_indices(given.labels, of_folder))[places]
        file = given.out / "one_pixel_imagenette.json"
        about = {"pixels": 1, "population": 40, "iterations": 5, "seed": given.seed}
        rows.append({"set": "imagenette", **attacked(network, pictures, labels, file, **about)})
        show(attack_figure(pictures, names.__getitem__, file), file)
    return rows


def show(picture: Any, file: Path) -> None:
    """Saves a figure beside a file, where there is one."""
    if picture is not None:
        figure(picture, file.with_suffix(".png"))


def curve(found: il.Illuminated, pictures: int) -> Any:
    """The shares of classes above 0.5, 0.9 and 0.99, and the median confidence, against the generation."""
    rows = found.curve
    series = {
        "above 0.5": [row.above_half for row in rows],
        "above 0.9": [row.above_ninety for row in rows],
        "above 0.99": [row.above_ninety_nine for row in rows],
        "median": [row.median for row in rows],
    }
    return line_plot(series, f"generation of {pictures} pictures", "share of classes; median confidence")


def shortened(confidence: float) -> str:
    """ "99.99 %", rounded downwards, so that nothing is sure."""
    return f"{int(confidence * 1e4) / 100:.2f} %"


def figure(picture: Any, file: Path) -> None:
    """Saves a figure as PNG to look at and as JPEG for docs."""
    images.save_image(picture, file)
    images.save_image(picture, file.with_suffix(".jpg"))


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table of Markdown; shares in percent where a number lies between 0 and 1."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(cell(row.get(name, '')) for name in columns)} |" for row in rows)])


def cell(value: Any) -> str:
    """A value of a table."""
    if not isinstance(value, float):
        return str(value)
    return shortened(value) if 0 <= value <= 1 else f"{value:.3g}"


EXPERIMENTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "mnist": mnist, "retraining": retraining, "imagenet": imagenet, "transfer": transfer, "ascent": ascent,
    "repetition": repetition, "one_pixel": one_pixel,
}  # fmt: skip


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("experiment", choices=EXPERIMENTS)
    options.add_argument("--digits", type=Path, help="folder of the LeNet that is fooled")
    options.add_argument("--second", type=Path, help="folder of a LeNet of another seed, for transfer")
    options.add_argument("--mnist", type=Path, default=Path("data"), help="holds MNIST/raw")
    options.add_argument("--weights", type=Path, help="of SqueezeNet 1.0")
    options.add_argument("--labels", type=Path, help="table of the classes of ImageNet")
    options.add_argument("--imagenette", type=Path, help="folder with Imagenette's val/<class>/<file>")
    options.add_argument("--encodings", nargs="+", choices=ENCODINGS, default=list(ENCODINGS))
    options.add_argument("--generations", type=int, default=GENERATIONS, help="of MNIST")
    options.add_argument("--population", type=int, help="pictures of a generation (default: 200 of MNIST, 100 of ImageNet)")
    options.add_argument("--budget", type=int, default=30_000, help="pictures of ImageNet for each encoding")
    options.add_argument("--rounds", type=int, default=15, help="of retraining")
    options.add_argument("--added", type=int, default=1000, help="pictures that fool, added in a round")
    options.add_argument("--epochs", type=int, default=1, help="of a retraining")
    options.add_argument("--attacked", type=int, default=100, help="pictures of MNIST; half as many of Imagenette")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--out", type=Path, default=Path("runs/fooling"))
    given = options.parse_args()
    images.make_folder(given.out)
    begun = time.monotonic()
    rows = EXPERIMENTS[given.experiment](given)
    machine = f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads, seed {given.seed}"
    about = {"machine": machine, "seconds of this call": round(time.monotonic() - begun), "rows": rows}
    text = json.dumps(about, indent=2) + "\n"
    images.write_atomically(given.out / f"{given.experiment}.json", lambda path: path.write_text(text))
    print(f"{table(rows)}\n\n{machine}")


if __name__ == "__main__":
    with exit_on_mistake():
        main()
