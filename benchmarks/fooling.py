"""Fooling images and innovation engines (Nguyen, Yosinski & Clune 2015) against LeNet and SqueezeNet: docs/fooling.md.

    python scripts/train_digits.py --out runs/digits0 --root data --download true
    python scripts/train_digits.py --out runs/digits1 --root data --seed 1
    python benchmarks/fooling.py mnist --digits runs/digits0
    python benchmarks/fooling.py retraining --digits runs/digits0 --mnist data
    python benchmarks/fooling.py imagenet --weights squeezenet1_0_deepcompression_fp16.pth --labels imagenet1000_labels.tsv
    python benchmarks/fooling.py transfer --digits runs/digits0 --second runs/digits1 --weights FILE --labels FILE
    python benchmarks/fooling.py ascent --weights FILE --labels FILE
    python benchmarks/fooling.py repetition --digits runs/digits0 --weights FILE --labels FILE
    python benchmarks/fooling.py one_pixel --digits runs/digits0 --mnist data --weights FILE --labels FILE --imagenette imagenette128

Each goes on where it was when the same command is given again, prints its table, and leaves a JSON file and figures in `--out`.
Confidence is the softmax of the network. The run of `imagenet` with CPPNs is the innovation engine: MAP-Elites over 1000 classes.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from fooling_networks import SQUEEZENET_SIZE, confidences, digits, imagenet_names, lite0, squeezenet
from runs import exit_on_mistake

from ppgn import illumination as il
from ppgn import images

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
POPULATION = 200
SURE = (0.5, 0.9, 0.99)
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
        network, bred, names=names, population=given.population, seed=given.seed, folder=folder, watch=watch, **about
    )


def search_row(given: argparse.Namespace, of: str, encoding: str, found: il.Illuminated) -> Row:
    """What a search has reached, beside the published median."""
    shares = {f"above {least}": found.share(least) for least in SURE}
    pictures = len(found.curve) * given.population
    return {"set": of, "encoding": encoding, "pictures": pictures, "generations": len(found.curve), "median": found.median,
            **shares, "published": PUBLISHED[of, encoding]}  # fmt: skip


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
        figure(curve(found, given.population), given.out / f"imagenet_{encoding}_curve.png")
    return rows
