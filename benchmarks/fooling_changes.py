"""What small changes do: repeated elements blanked, pixels changed, another network asked. Part of benchmarks/fooling.py."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from fooling_networks import confidences
from torch import Tensor

from ppgn import illumination as il
from ppgn import images

Network = Callable[[Tensor], Tensor]
KEPT = (1, 2, 4, 8)
"""Copies of a repeated element that stay."""


def transferred(pictures: Tensor, classes: Tensor, own: Tensor, second: Network, least: float) -> dict[str, Any]:
    """How a network that took no part sees pictures: those of which the fooled one was sure by at least `least`."""
    chosen = own >= least
    row: dict[str, Any] = {"confidence": "all" if least == 0 else f"at least {least}", "pictures": int(chosen.sum())}
    if not row["pictures"]:
        return row
    scores, wanted = confidences(second, pictures[chosen]), classes[chosen]
    mine = scores[torch.arange(len(wanted)), wanted]
    better = (scores > mine[:, None]).sum(1)
    return row | {
        "same class": float((better == 0).double().mean()),
        "among its five": float((better < 5).double().mean()),
        "its median confidence": float(mine.median()),
        "its median in what it sees": float(scores.amax(1).median()),
    }


def ablated(network: Network, pictures: Tensor, classes: Tensor) -> dict[str, Any]:
    """The confidences left when only some copies of the repeated element stay: medians over the pictures that repeat."""
    found = [il.repetition(network, picture, int(label)) for picture, label in zip(pictures, classes, strict=True)]
    several = [one for one in found if one.copies > 1]
    row: dict[str, Any] = {"pictures": len(found), "repeat": len(several) / len(found)}
    if not several:
        return row
    row["median copies"] = statistics.median(one.copies for one in several)
    row["all copies"] = statistics.median(one.rows[-1][1] for one in several)
    for kept in KEPT:  # where a picture has fewer copies, all of them
        row[f"{kept} left"] = statistics.median(dict(one.rows).get(kept, one.rows[-1][1]) for one in several)
    row["one alone is as good"] = sum(one.kept_by_one >= 1 for one in several) / len(several)
    return row


def attacked(
    network: Network, pictures: Tensor, classes: Tensor, file: Path, *, pixels: int, population: int, iterations: int, seed: int
) -> dict[str, Any]:
    """The share of pictures, of those named rightly, whose class changes with few pixels. Pictures done stay in the file."""
    done = json.loads(file.read_text()) if file.is_file() else []
    for number in range(len(done), len(pictures)):
        label = int(classes[number])
        right = int(confidences(network, pictures[number : number + 1])[0].argmax()) == label
        one: dict[str, Any] = {"number": number, "label": label, "right": right}
        if right:
            found = il.one_pixel(
                network, pictures[number], label, pixels=pixels, population=population, iterations=iterations, seed=seed + number
            )
            one |= {"fooled": found.fooled, "now": found.label, "before": found.before, "confidence": found.confidence}
            one |= {"changes": found.changes, "asked": found.asked}
        done.append(one)
        images.write_atomically(file, lambda path: path.write_text(json.dumps(done) + "\n"))
    tried = [one for one in done if one["right"]]
    fooled = [one for one in tried if one["fooled"]]
    return {
        "pictures": len(done), "named rightly": len(tried), "pixels": pixels, "fooled": len(fooled) / len(tried),
        "asked for each at most": population * (iterations + 1), "median asked": statistics.median(one["asked"] for one in tried),
        "confidence left": statistics.median(one["confidence"] for one in tried),
    }  # fmt: skip


def attack_figure(pictures: Tensor, names: Callable[[int], str], file: Path, most: int = 10) -> Any:
    """The first pictures that fooled: as they were, and below them with their pixels changed."""
    fooled = [one for one in json.loads(file.read_text()) if one.get("fooled")][:most]
    if not fooled:
        return None
    before = torch.stack([pictures[one["number"]] for one in fooled])
    after = before.clone()
    for place, one in enumerate(fooled):
        for y, x, levels in one["changes"]:
            after[place, :, y, x] = torch.tensor(levels) / 255
    labels = [names(one[which])[:14] for which in ("label", "now") for one in fooled]
    return images.grid(torch.cat([before, after]), labels, columns=len(fooled), scale=1 if pictures.shape[-1] > 100 else 3)
