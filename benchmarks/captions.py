"""Do samples show what their caption says? Held-out classifiers of type and colour judge them, and a second captioner does.

    python benchmarks/captions.py --root fashion_products64 --judge JUDGE.ckpt JUDGE_CONVNET.ckpt --captioner CAPTIONER_JUDGE.ckpt

Each caption names a colour and a type, as "red handbags" and "handbags in red" in turn. 70 of 100 name a pair that training saw,
30 a pair that no training picture shows. Each is sampled `--samples` times with the bundle's captioner, seeds 0, 1, ... The
judges are those of composition.py. The second captioner (training/configs/products64_captioner_judge.yaml: another trunk, width
and seed) ranks the right caption among `--among` captions of other pairs in the same phrasing, by log p(caption | picture). No
sample is selected by eye.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from composition import (
    BATCH,
    Groups,
    Pair,
    drawn,
    held_out,
    judged,
    mistakes,
    options_for,
    pairs_of,
    read_judge,
    run,
    score,
    short,
    table_for,
)
from torch import Tensor
from tqdm import tqdm

import ppgn
from ppgn import images, requests
from ppgn.conditions import PADDING
from ppgn.types import Evaluation
from training import phrasings, read_network

PHRASINGS = 2
"""The first of `phrasings`, which every type has: "red handbags", "handbags in red"."""
SHOWN = 12
"""Captions in the grid."""


def caption(names: Sequence[str], pair: Pair, phrasing: int) -> str:
    """A caption of a (type, colour) pair."""
    kind, colour = (short(names[number]) for number in pair)
    return phrasings(kind, colour)[phrasing % PHRASINGS]


def sampled(bundle: ppgn.Bundle, captions: Sequence[str], seeds: Sequence[int], recipe: ppgn.Recipe) -> Tensor:
    """A picture of each caption and seed, `[picture, channel, height, width]` in [0, 1]."""
    with tqdm(total=recipe.steps * math.ceil(len(captions) / BATCH), desc="sampling", mininterval=1.0) as bar:

        def watch(step: int, evaluation: Evaluation) -> None:
            bar.total = max(bar.total, bar.n + 1)  # chains that begin anew were not counted
            bar.update()

        request = requests.captions(bundle, captions)
        return ppgn.sample(bundle, request, seed=seeds, batch=BATCH, watch=watch, recipe=recipe).images.clamp(0, 1)


@torch.no_grad()
def ranks(
    captioner: Any, pictures: Tensor, pairs: Sequence[Pair], phrased: Sequence[int], names: Any, among: int, seed: int
) -> Tensor:
    """How many of `among` - 1 captions of other pairs are at least as likely as the right one, `[picture]`; 0 is best."""
    every, draw, found = sorted(set(pairs)), random.Random(seed), []
    for picture, pair, phrasing in zip(tqdm(pictures, "ranking"), pairs, phrased, strict=True):
        others = draw.sample([other for other in every if other != pair], among - 1)
        rows = [torch.tensor(captioner.words_of(caption(names, listed, phrasing))) for listed in (pair, *others)]
        words = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PADDING)
        vector = captioner.image_vector(picture[None]).expand(among, -1)
        values = captioner.word_log_probs(vector, words).sum(1)
        found.append(int((values[1:] >= values[0]).sum()))
    return torch.tensor(found)


def measure(given: argparse.Namespace, bundle: ppgn.Bundle, recipe: ppgn.Recipe) -> dict[str, Any]:
    """Sample, judge, rank, write the grid, and return the numbers."""
    table, names, groups = table_for(bundle, given.root), bundle.classes, bundle.class_groups
    judges = [read_judge(path, bundle) for path in given.judge]
    second = read_network(given.captioner, "captioner")
    present, absent = pairs_of(label for _, label in table.training)
    unseen = round(0.3 * given.captions)
    chosen = drawn(present, given.captions - unseen, given.seed) + drawn(absent, unseen, given.seed)
    captions = [caption(names, pair, number) for number, pair in enumerate(chosen)]
    repeats = [number for number in range(len(chosen)) for _ in range(given.samples)]
    begun = time.perf_counter()
    seeds = list(range(given.samples)) * len(chosen)
    pictures = sampled(bundle, [captions[number] for number in repeats], seeds, recipe)
    seconds = time.perf_counter() - begun
    wanted = torch.tensor([chosen[number] for number in repeats])
    found = judged(judges, pictures, groups)
    rank = ranks(second, pictures, [chosen[number] for number in repeats], repeats, names, given.among, given.seed)
    first = len([number for number in repeats if number < len(chosen) - unseen])
    rows = {}
    for name, part in {"pairs in training": slice(first), "absent pairs": slice(first, None), "all": slice(None)}.items():
        scores = score(wanted[part], found[part], groups)
        rows[f"samples, {name}"] = {**scores, "ranked first": float((rank[part] == 0).float().mean())}
    real, real_pairs = held_out(table, bundle)
    pairs = [tuple(pair) for pair in real_pairs.tolist()]
    real_rank = ranks(second, real, pairs, range(len(pairs)), names, given.among, given.seed)
    scores = score(real_pairs, judged(judges, real, groups), groups)
    rows["real held-out pictures"] = {**scores, "ranked first": float((real_rank == 0).float().mean())}
    if given.grid:
        show(given.grid, pictures, captions, given.samples)
    return {"rows": rows, "mistakes": mistakes(wanted, found, names, groups), "seconds": seconds, "captions": captions}


def show(path: Path, pictures: Tensor, captions: Sequence[str], samples: int) -> None:
    """Write SHOWN captions, evenly spread over those of pairs in training and absent ones, with all samples of each in a row."""
    step = len(captions) / min(SHOWN, len(captions))
    numbers = [int(place * step) for place in range(min(SHOWN, len(captions)))]
    tiles = [pictures[number * samples + sample] for number in numbers for sample in range(samples)]
    labels = [captions[number] for number in numbers for _ in range(samples)]
    images.save_image(images.grid(tiles, labels, columns=2 * samples, scale=2), path)


def report(result: dict[str, Any], groups: Groups) -> None:
    """Print the table and the most frequent mistakes."""
    columns = [name for name in next(iter(result["rows"].values())) if name != "pictures"]
    print(f"| pictures | number | {' | '.join(columns)} |\n| --- | --- |{' --- |' * len(columns)}")
    for name, row in result["rows"].items():
        print(f"| {name} | {row['pictures']} | {' | '.join(f'{row[column]:.3f}' for column in columns)} |")
    for group in groups:
        print(f"{group}: " + ", ".join(f"{a} judged {b} {times}" for a, b, times in result["mistakes"][group]))
    print(f"sampling took {result['seconds']:.0f} s")


def main() -> None:
    options = options_for(__doc__)
    options.add_argument("--captioner", type=Path, required=True, help="checkpoint of a second captioner")
    options.add_argument("--captions", type=int, default=100, help="number of captions (default: 100)")
    options.add_argument("--samples", type=int, default=4, help="samples of each caption (default: 4)")
    options.add_argument("--among", type=int, default=20, help="captions that are ranked (default: 20)")
    run(options.parse_args(), measure, report, kind="caption")


if __name__ == "__main__":
    main()
