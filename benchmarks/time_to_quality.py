"""Seconds until 100 samples are judged right: the time to 80 % of held-out accuracy, by ppgn and by the released structure.

    python benchmarks/time_to_quality.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv

Ten samples of each class of imagenette64, seeds 0 to 9, by the bundle's recipe in float32 and bfloat16, and by the released rule
and constants (noiseless_joint_ppgn_h_released). The time of the latter is that of one chain at a time, as released: E(G(h)) for
the prior, then G and C again. A chain's picture after k steps is judged for all k in `AFTER`; the time to it includes the choice
of starting codes. The judge is that of heldout.py.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from heldout import Judge, judge_indices
from runs import evaluations, recipe_of
from steps import released
from timing import alternating, table
from torch import Tensor
from tqdm import tqdm
from worlds import of_bundle

import ppgn

AFTER = (1, 2, 3, 5, 8, 10, 15, 20, 25, 50, 100, 200)
ENOUGH = 0.8
BATCH = 50


def course(bundle: ppgn.Bundle, seeds: list[int], classes: list[int], changes: dict[str, Any]) -> dict[int, tuple[float, Tensor]]:
    """Steps -> (seconds until then over all chains, their pictures `[chain, 3, height, width]`)."""
    recipe = recipe_of(bundle, changes)
    pictures: dict[int, list[Tensor]] = {}
    seconds: dict[int, float] = {}
    for first in tqdm(range(0, len(seeds), BATCH), str(changes), leave=False):
        begun = time.perf_counter()
        chains = slice(first, first + BATCH)
        for step, evaluation in enumerate(evaluations(bundle, classes[chains], seeds[chains], recipe), 1):
            if step in AFTER:
                pictures.setdefault(step, []).append(evaluation.image)
                seconds[step] = seconds.get(step, 0.0) + time.perf_counter() - begun
    return {step: (seconds[step], torch.cat(pictures[step])) for step in seconds}


def measure(judge: Path, labels: Path, repeats: int = 3) -> list[dict[str, Any]]:
    """A row for each way and number of steps: accuracy, and seconds for 100 samples."""
    bundle = ppgn.load("imagenette64")
    network = Judge(judge, judge_indices(labels, bundle.classes))
    classes = [index for index in range(len(bundle.classes)) for _ in range(10)]
    seeds = [seed for _ in bundle.classes for seed in range(10)]
    step = alternating({"released": released(of_bundle(), 1, 4)}, repeats)["released"] / 4
    ways: dict[str, dict[str, Any]] = {
        "default, float32": {"precision": "float32"},
        "default, bfloat16": {"precision": "bfloat16"},
        "released": {"recipe": "noiseless_joint_ppgn_h_released"},
    }
    rows = []
    for name, changes in ways.items():
        for steps, (seconds, pictures) in course(bundle, seeds, classes, changes).items():
            with torch.no_grad():
                logits = torch.cat([network(batch)[0] for batch in pictures.split(BATCH)])
            right = float((logits.argmax(1) == torch.tensor(classes)).float().mean())
            taken = len(seeds) * steps * step if name == "released" else seconds
            rows.append({"way": name, "steps": steps, "accuracy": right, "seconds": taken})
    return rows


def report(rows: list[dict[str, Any]]) -> str:
    """The table of steps and seconds to ENOUGH, and the whole course."""
    summary = []
    for way in dict.fromkeys(row["way"] for row in rows):
        of_way = [row for row in rows if row["way"] == way]
        first = next((row for row in of_way if row["accuracy"] >= ENOUGH), None)
        best = max(of_way, key=lambda row: row["accuracy"])
        summary.append([way, first and first["steps"], first and first["seconds"]])
        summary[-1] += [best["accuracy"], best["steps"], best["seconds"]]
    columns = ["way", f"steps to {ENOUGH}", f"s to {ENOUGH}", "best accuracy", "after steps", "s"]
    curve = [[row["way"], row["steps"], row["accuracy"], row["seconds"]] for row in rows]
    return table(columns, summary) + "\n\n" + table(["way", "steps", "accuracy", "s for 100 samples"], curve)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--judge", type=Path, required=True, help="SqueezeNet 1.0 weights, torchvision's keys")
    options.add_argument("--labels", type=Path, required=True, help="index, wnid and name of the judge's 1000 classes")
    given = options.parse_args()
    torch.set_num_threads(1)
    print(report(measure(given.judge, given.labels)))


if __name__ == "__main__":
    main()
