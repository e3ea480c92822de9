"""Which settings suit classes of natural128? Accuracy by a judge that is not reported, against diversity: a table.

    python benchmarks/natural_settings.py --judge efficientnet-lite1.pth --labels imagenet1000_labels.tsv

EfficientNet-Lite1 judges six samples of each of ten classes; seeds begin at 5000, which no reported figure uses. Diversity is in
its features. The setting with the highest accuracy among those of at least `--least` diversity is the choice.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import torch
from heldout import diversity, judge_indices
from natural import TEN, over
from natural_judges import Lite
from runs import exit_on_mistake

import ppgn
from ppgn import images


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="natural128")
    options.add_argument("--judge", type=Path, required=True)
    options.add_argument("--labels", type=Path, required=True)
    options.add_argument("--count", type=int, default=6)
    options.add_argument("--seed", type=int, default=5000)
    options.add_argument("--guidance", type=float, nargs="+", default=[4, 6, 8, 12])
    options.add_argument("--draws", type=int, nargs="+", default=[1, 4, 8])
    options.add_argument("--steps", type=int, nargs="+", default=[10, 25])
    options.add_argument("--out", type=Path, required=True, help="folder for table and pictures")
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
    judge, columns = Lite(given.judge, 1), judge_indices(given.labels, TEN)
    classes = torch.arange(10).repeat_interleave(given.count)
    targets = [bundle.classes.index(f"object:{TEN[index]}") for index in classes]
    print("| guidance | draws | steps | accuracy, Lite1 | lowest class | diversity, Lite1 | seconds |\n|" + " --- |" * 7)
    for steps, draws, guidance in itertools.product(given.steps, given.draws, given.guidance):
        begun = time.perf_counter()
        changes = {"start_guidance": guidance, "draws": draws, "steps": steps}
        made = ppgn.sample(bundle, targets, seed=list(range(given.seed, given.seed + len(targets))), batch=20, **changes).images
        seconds = time.perf_counter() - begun
        right = (over(lambda batch: judge(batch)[0][:, columns], made).argmax(1) == classes).float()
        lowest = min(float(right[classes == index].mean()) for index in range(10))
        varied = diversity(over(lambda batch: judge(batch)[1], made), classes)
        print(
            f"| {guidance:g} | {draws} | {steps} | {right.mean():.3f} | {lowest:.2f} | {varied:.3f} | {seconds:.0f} |", flush=True
        )
        name = f"{guidance:g}_{draws}_{steps}"
        images.save_image(images.grid(made, columns=given.count, scale=1), given.out / f"{name}.png")
        found = {**changes, "accuracy": float(right.mean()), "lowest": lowest, "diversity": varied, "seconds": seconds}
        (given.out / f"{name}.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
