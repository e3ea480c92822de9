"""Retraining with a class of pictures that fool: does it help? Part of benchmarks/fooling.py."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ppgn import illumination as il
from ppgn import images
from training import FOOLING, LeNet, accuracy, as_bytes, fit, read_digits, save_digits, with_fooling

DIGITS = 10
FOOLS = 0.5
"""A picture fools where the confidence of a digit is above this."""


class Watched(nn.Module):
    """A network that keeps the pictures of which it takes one for a digit, as bytes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.fooled = network, []

    def forward(self, pictures: Tensor) -> Tensor:
        logits = self.network(pictures)
        sure = logits.softmax(1)[:, :DIGITS].amax(1) > FOOLS
        self.fooled.append(as_bytes(pictures[sure]))
        return logits


def rounds(
    network: LeNet,
    encoding: Callable[[], Any],
    data: tuple[TensorDataset, TensorDataset],
    out: Path,
    *,
    count: int,
    added: int,
    epochs: int,
    generations: int,
    population: int,
    seed: int,
) -> list[dict[str, Any]]:
    """A row for the network and for each of `count` retrainings of it, and the elites of each in the folder.

    Each retraining goes on from the network before it, on MNIST and on `added` random pictures of each search so far that
    fooled, which are class 11. A round that is done is not run again.
    """
    file = images.make_folder(out) / "rounds.json"
    rows = json.loads(file.read_text()) if file.is_file() else []
    train, test = data
    for number in range(len(rows), count + 1):
        begun = time.monotonic()
        earlier = [load_file(out / f"round{one:02d}.safetensors") for one in range(number)]
        if number:
            extended = with_fooling(train, torch.cat([one["added"] for one in earlier]))
            folder = out / f"network{number:02d}"
            names = [str(digit) for digit in range(DIGITS)] + [FOOLING]
            last = network if number == 1 else read_digits(out / f"network{number - 1:02d}")
            made = fit(extended, len(names), epochs, seed + number, start=last)
            save_digits(made, folder, names, epochs=epochs, seed=seed + number)
            network = read_digits(folder)
        trained = time.monotonic()
        watched = Watched(network)
        found = il.illuminate(
            watched, encoding(), classes=range(DIGITS), generations=generations, population=population, seed=seed + number
        )
        fooled = torch.cat(watched.fooled)
        order = torch.randperm(len(fooled), generator=torch.Generator().manual_seed(seed + number))
        kept = {"added": fooled[order[:added]], "elites": as_bytes(found.images()), "confidences": found.confidences}
        images.write_atomically(out / f"round{number:02d}.safetensors", lambda path, held=kept: save_file(held, path))
        row: dict[str, Any] = {"round": number, "median": found.median, "lowest": float(found.confidences.min())}
        row |= {"digits above 0.99": found.share(0.99), "pictures that fooled": len(fooled) / (generations * population)}
        row |= {"accuracy": accuracy(network, test), "earlier ones known": known(network, earlier)}
        row |= {"seconds of training": round(trained - begun), "of the search": round(time.monotonic() - trained)}
        rows.append(row)
        print(row, flush=True)
        images.write_atomically(file, lambda path: path.write_text(json.dumps(rows, indent=2) + "\n"))
    return rows


def known(network: nn.Module, earlier: list[dict[str, Tensor]]) -> float | str:
    """The share of the elites of all rounds before that the network puts into the class of pictures that fool."""
    if not earlier:
        return ""
    elites = torch.cat([one["elites"] for one in earlier])
    with torch.no_grad():
        return float((network(elites.float() / 255).argmax(1) == DIGITS).double().mean())


def rounds_figure(out: Path, count: int) -> Any:
    """The elites of each network: a row for each digit, a column for each round."""
    read = [load_file(out / f"round{number:02d}.safetensors")["elites"] for number in range(count + 1)]
    by_digit = torch.stack(read, 1).flatten(0, 1).float() / 255
    labels = [""] * (len(by_digit) - len(read)) + [f"round {number}" for number in range(len(read))]
    return images.grid(by_digit, labels, columns=len(read), scale=2)


def medians(rows: list[dict[str, Any]]) -> float:
    """The median of the medians of all rounds after the first."""
    return statistics.median(row["median"] for row in rows[1:])
