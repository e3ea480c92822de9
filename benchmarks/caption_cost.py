"""What a step of a caption costs, against one of a class seen by networks of the same trunks.

    python benchmarks/caption_cost.py

Sixteen chains of products64 by one thread, the caption eight words long; runs of `--steps` steps in alternation, medians of
`--repeats`. First one opinion each (captioner, encoder's head), then as shipped (two captioners; head and classifier).
"""

from __future__ import annotations

import argparse
import dataclasses
import platform
import statistics
import time
from typing import Any

import torch

import ppgn
from ppgn import recipes
from ppgn.conditions import Caption

CAPTION = "a pair of black casual shoes for women"
SECOND = ("classifier", "second_captioner")


def seconds(bundle: ppgn.Bundle, condition: Any, settings: recipes.Settings, chains: int, start: torch.Tensor) -> float:
    """Of one step."""
    begun = time.perf_counter()
    for _ in recipes.run(bundle, condition, range(chains), settings, start):
        pass
    return (time.perf_counter() - begun) / settings.steps


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="products64")
    options.add_argument("--chains", type=int, default=16)
    options.add_argument("--steps", type=int, default=5, help="of a run (default: 5)")
    options.add_argument("--repeats", type=int, default=7, help="runs of each (default: 7)")
    given = options.parse_args()
    torch.set_num_threads(1)
    shipped = ppgn.load(given.bundle)
    alone = dataclasses.replace(shipped, parts={name: one for name, one in shipped.parts.items() if name not in SECOND})
    start = torch.rand(given.chains, *shipped.code_shape, generator=torch.Generator().manual_seed(0))
    print(
        f"{CAPTION!r}, {given.chains} chains, {platform.processor() or platform.machine()}, torch {torch.__version__}, one thread"
    )
    print("| opinions | class, s a step | caption, s a step | ratio |\n| --- | --- | --- | --- |")
    for name, bundle in {"one": alone, "two, as shipped": shipped}.items():
        asked = {"class": [0] * given.chains, "caption": Caption(bundle.parts["captioner"], CAPTION)}
        taken: dict[str, list[float]] = {kind: [] for kind in asked}
        for _ in range(given.repeats + 1):  # the first of each is not counted
            for kind, condition in asked.items():
                settings = recipes.settings_for(bundle, kind=kind, steps=given.steps)
                taken[kind].append(seconds(bundle, condition, settings, given.chains, start))
        one, other = (statistics.median(taken[kind][1:]) for kind in ("class", "caption"))
        print(f"| {name} | {one:.4f} | {other:.4f} | {other / one:.2f} |")


if __name__ == "__main__":
    main()
