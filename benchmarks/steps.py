"""The cost of a step: ours, the floor, the released structure, and what ppgn chooses automatically.

    python benchmarks/steps.py
    python benchmarks/steps.py --networks erhan_2009 simonyan_2013 yosinski_2015 mahendran_2015 lucid maco

The floor is the least that a step can do: one pass of the generator, one of each condition network, one backward pass to the
code, weights frozen, written by hand, on the networks as trained. The released structure is that of the released sampler:
E(G(h)) for the prior, then G and C again for the condition, one chain at a time. All alternate in the same run. The recipes
without a learned generator run at 224 px, with a resnet18 of random weights; their floors are those of pixel_floors.py, and none
was released with a structure of its own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from pixel_floors import RECIPES, PixelWorld
from timing import alternating, table
from torch import Tensor
from worlds import SCALES, WORLDS, World, targets

from ppgn import chain

CHAINS = (1, 8, 64)
MOST_OF_RECIPES, STEPS_OF_RECIPES = 8, 4
"""Chains of the recipes of pixel_floors.py, whose passes at 224 px gain nothing from more; and the least steps of a call, one of
which is blurred in yosinski_2015."""
NETWORKS: dict[str, Callable[[], World | PixelWorld]] = {**WORLDS, **RECIPES}


def ours(world: World | PixelWorld, chains: int, steps: int, automatic: bool = False) -> Callable[[], None]:
    """The steps in ppgn's loop: on the networks as they are, or in batches as ppgn sets them up by itself."""
    make, at_once = (world.automatic, world.at_once) if automatic and world.automatic else (world.stage, chains)
    batches = [range(first, min(first + at_once, chains)) for first in range(0, chains, at_once)]
    stages, code = [make(len(batch)) for batch in batches], world.code(chains)

    def call() -> None:
        for (sampler, objective), batch in zip(stages, batches, strict=True):
            for _ in chain.run(sampler, objective, sampler.init(code[batch.start : batch.stop], batch), steps):
                pass

    return call


def updated(code: Tensor, direction: Tensor, gradient: Tensor) -> Tensor:
    """The code after a step of Eq. 11."""
    noise = torch.randn_like(code)
    moved = code + SCALES["prior_scale"] * direction + SCALES["condition_scale"] * gradient + SCALES["noise_scale"] * noise
    return moved.clamp(0, 30)


def floor(world: World, chains: int, steps: int) -> Callable[[], None]:
    """The steps written by hand."""
    begin, wanted = world.code(chains), torch.tensor(targets(chains))[:, None]

    def call() -> None:
        code = begin
        for _ in range(steps):
            leaf = code.requires_grad_(True)
            image = world.generator(leaf)
            with torch.set_grad_enabled(world.classifier is None):
                again = world.encoder(image)
            logits = world.classifier(image) if world.classifier else world.encoder.logits_from_code(again)
            log_prob = logits.log_softmax(1).gather(1, wanted).sum()
            gradient = torch.autograd.grad(log_prob, leaf)[0]
            code = updated(leaf.detach(), again.detach() - leaf.detach(), gradient)

    return call


def released(world: World, chains: int, steps: int) -> Callable[[], None]:
    """One chain after the other, with two passes of G in a step, and E and C apart."""
    begin = world.code(chains)

    def call() -> None:
        for number in range(chains):
            code = begin[number : number + 1]
            for _ in range(steps):
                with torch.no_grad():
                    direction = world.encoder(world.generator(code)) - code
                leaf = code.detach().requires_grad_(True)
                log_prob = world.logits(world.generator(leaf)).log_softmax(1)[0, number % 10]
                code = updated(code, direction, torch.autograd.grad(log_prob, leaf)[0])

    return call


def measure(
    repeats: int = 5,
    names: tuple[str, ...] = tuple(NETWORKS),
    counts: tuple[int, ...] = CHAINS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """A row for each world and number of chains: the milliseconds of a step, by way."""
    rows = []
    for name in names:
        world = NETWORKS[name]()
        for chains in counts:
            if isinstance(world, PixelWorld) and chains > MOST_OF_RECIPES:
                continue
            steps = max(STEPS_OF_RECIPES if isinstance(world, PixelWorld) else 1, 8 // chains)
            taken = {way: 1000 * value / steps for way, value in alternating(_ways(world, chains, steps), repeats, clock).items()}
            rows.append({"networks": world.name, "chains": chains, **taken})
    return rows


def _ways(world: World | PixelWorld, chains: int, steps: int) -> dict[str, Callable[[], object]]:
    """Name -> the steps in that way."""
    ways: dict[str, Callable[[], object]] = {"ours": ours(world, chains, steps)}
    if isinstance(world, PixelWorld):
        ways["floor"] = world.floor(chains, steps)
    else:
        ways |= {"floor": floor(world, chains, steps), "released": released(world, 1, steps)}
    return ways | ({"automatic": ours(world, chains, steps, automatic=True)} if world.automatic else {})


def report(rows: list[dict[str, Any]]) -> str:
    """The table; the released structure is counted once for each chain."""
    columns = ["networks", "chains", "ours, ms", "ours / floor", "automatic / floor"]
    columns += [f"released / {way}, per chain" for way in ("ours", "automatic")]
    cells = []
    for row in rows:
        automatic, alone = row.get("automatic"), row["released"] * row["chains"] if "released" in row else None
        cells.append([row["networks"], row["chains"], row["ours"], row["ours"] / row["floor"]])
        cells[-1] += [
            automatic and automatic / row["floor"],
            alone and alone / row["ours"],
            automatic and alone and alone / automatic,
        ]
    return table(columns, cells)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    options.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS), metavar="NAME",
                         help=f"some of {', '.join(NETWORKS)} (default: all)")  # fmt: skip
    options.add_argument("--chains", type=int, nargs="+", default=list(CHAINS), help="numbers of chains (default: 1 8 64)")
    options.add_argument("--processor-time", action="store_true", help="count the processor's time: for a busy machine")
    given = options.parse_args()
    torch.set_num_threads(1)
    clock = time.process_time if given.processor_time else time.perf_counter
    print(report(measure(given.repeats, tuple(given.networks), tuple(given.chains), clock)))


if __name__ == "__main__":
    main()
