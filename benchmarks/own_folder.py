"""How good is a bundle that scripts/train_bundle.py made of a folder? By a classifier trained on the same folder, and by Lite2.

    python benchmarks/own_folder.py --bundle mine --train pictures --real imagenette128/val --squeezenet squeezenet1_0.pth \\
        --lite efficientnet-lite2.pth --labels imagenet1000_labels.tsv

The first judge is multinomial logistic regression on SqueezeNet 1.0's maps of the training pictures at the bundle's size; the
second is EfficientNet-Lite2 among the folder's classes, which ImageNet must know. Neither took part in training or in the search
for settings. Samples have the default settings and seeds from `--seed` on; real pictures are others than those trained on.
Diversity is the mean cosine distance of two pictures of a class. Clipped is the share of values that are black or white.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from heldout import judge_indices, real_pictures, score
from natural_judges import Lite, linear_judge
from runs import exit_on_mistake
from torch import Tensor

import ppgn
from ppgn import images


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", required=True)
    for name in ("train", "real", "squeezenet", "lite", "labels", "out"):
        options.add_argument(f"--{name}", type=Path, required=True)
    options.add_argument("--count", type=int, default=40, help="samples, and real pictures, of each class (default: 40)")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
    names = list(bundle.classes)
    trained, order = linear_judge(given.squeezenet, given.train, given.out / f"judge{bundle.image.size[0]}.pt", bundle.image.size)
    places = [order.index(name.replace("_", " ").lower()) for name in names]
    lite2, columns = Lite(given.lite), judge_indices(given.labels, names)

    def by_trained(pictures: Tensor) -> tuple[Tensor, Tensor]:
        return trained(pictures)[:, places], trained.features(pictures)

    def by_lite2(pictures: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = lite2(pictures)
        return logits[:, columns], features

    classes = torch.arange(len(names)).repeat_interleave(given.count)
    seeds = list(range(given.seed, given.seed + len(classes)))
    samples = ppgn.sample(bundle, classes.tolist(), seed=seeds).images
    images.save_image(images.grid(samples, columns=given.count, scale=1), given.out / "samples.png")
    real = real_pictures(given.real, names, given.count, bundle.image.size)
    scores: dict[str, Any] = {}
    print("| judge | pictures | accuracy | diversity | clipped |\n|" + " --- |" * 5)
    for judge, function in (("trained on the folder", by_trained), ("Lite2", by_lite2)):
        for kind, pictures, of in (("real", *real), ("samples", samples, classes)):
            with torch.no_grad():
                found = scores[f"{judge}, {kind}"] = score(function, bundle.encoder, pictures, of)
            print(
                f"| {judge} | {kind} | {found['accuracy']:.3f} | {found['diversity']:.3f} | {found['clipped']:.4f} |", flush=True
            )
    (given.out / "scores.json").write_text(json.dumps({"classes": names, **scores}, indent=1))


if __name__ == "__main__":
    main()
