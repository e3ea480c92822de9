"""The cost of a step with a caption, beside that of a class seen by networks with the same trunks.

    python benchmarks/caption_cost.py

Sixteen chains of products64 on one thread, a caption of eight words; runs of `--steps` steps in alternation, medians of
`--repeats`. First with one opinion each (the captioner, the encoder's head), then as shipped (two captioners; the head and a
classifier).
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import time
from typing import Any

import torch
from runs import evaluations, recipe_of

import ppgn
from ppgn import requests

CAPTION = "a pair of black casual shoes for women"
SECOND = ("classifier", "second_captioner")
"""Parts that give a second opinion."""


def seconds(bundle: ppgn.Bundle, wanted: Any, recipe: ppgn.Recipe, chains: int, code: torch.Tensor) -> float:
    """Seconds of a step, averaged over a run that begins at `code`."""
    begun = time.perf_counter()
    for _ in evaluations(bundle, wanted, range(chains), recipe, code):
        pass
    return (time.perf_counter() - begun) / recipe.steps


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="products64")
    options.add_argument("--chains", type=int, default=16, help="(default: 16)")
    options.add_argument("--steps", type=int, default=5, help="steps of a run (default: 5)")
    options.add_argument("--repeats", type=int, default=7, help="runs of each that count (default: 7)")
    given = options.parse_args()
    torch.set_num_threads(1)
    shipped = ppgn.load(given.bundle)
    alone = dataclasses.replace(shipped, parts={name: part for name, part in shipped.parts.items() if name not in SECOND})
    code = torch.rand(given.chains, *shipped.code.shape, generator=torch.Generator().manual_seed(0))
    processor = platform.processor() or platform.machine()
    print(f"{CAPTION!r}, {given.chains} chains, {processor}, torch {torch.__version__}, one thread")
    print("| opinions | class, s a step | caption, s a step | ratio |\n| --- | --- | --- | --- |")
    for name, bundle in {"one": alone, "two, as shipped": shipped}.items():
        wanted = {"class": [0] * given.chains, "caption": requests.captions(bundle, CAPTION)}
        taken: dict[str, list[float]] = {kind: [] for kind in wanted}
        for _ in range(given.repeats + 1):  # the first run of each is a warm-up
            for kind, request in wanted.items():
                recipe = recipe_of(bundle, {"steps": given.steps}, kind)
                taken[kind].append(seconds(bundle, request, recipe, given.chains, code))
        of_class, of_caption = (statistics.median(taken[kind][1:]) for kind in ("class", "caption"))
        print(f"| {name} | {of_class:.4f} | {of_caption:.4f} | {of_caption / of_class:.2f} |")


if __name__ == "__main__":
    main()
