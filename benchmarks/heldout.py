"""Are the samples what was asked for? A network that took no part in training or sampling classifies them and real pictures.

    python benchmarks/heldout.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --real imagenette64/val

The judge is SqueezeNet 1.0 trained on ImageNet with Caffe (BGR, 0..255 less 104, 117, 123; 227 px; its last convolution
padded by 1), restricted to the bundle's classes. Diversity is the mean cosine distance between the pooled features of two
pictures of one class, once in the judge's features and once in those of the bundle's own encoder.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.datasets import ImageFolder
from tqdm import tqdm

import ppgn
from ppgn import images


class Judge(nn.Module):
    """SqueezeNet 1.0: pictures `[picture, 3, height, width]` in [0, 1] -> (logits of the chosen classes, features)."""

    def __init__(self, weights: Path, chosen: Sequence[int]) -> None:
        super().__init__()
        self.network: Any = models.squeezenet1_0(weights=None)
        state = torch.load(weights, map_location="cpu", weights_only=True)
        self.network.load_state_dict({key: value.float() for key, value in state.items()})
        self.network.classifier[1].padding = (1, 1)
        self.chosen = list(chosen)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        pixels = images.resize(pictures.clamp(0, 1), 227)
        pixels = images.normalise(pixels, [104 / 255, 117 / 255, 123 / 255], 1 / 255, bgr=True)
        maps = self.network.features(pixels.contiguous(memory_format=torch.channels_last))
        return self.network.classifier(maps).flatten(1)[:, self.chosen], maps.mean((2, 3))


def judge_indices(labels: Path, class_names: Sequence[str]) -> list[int]:
    """Where the bundle's class names stand among the judge's 1000 (lines of index, wnid, name)."""
    rows = [line.split("\t") for line in labels.read_text().splitlines() if line.strip()]
    by_name = {row[2].split(",")[0].strip().lower(): int(row[0]) for row in rows if row[0].isdigit()}
    missing = [name for name in class_names if name.lower() not in by_name]
    if missing:
        raise SystemExit(f"the judge knows no {', '.join(missing)}: see {labels}")
    return [by_name[name.lower()] for name in class_names]


def score(judge: Judge, encoder: Any, pictures: Tensor, classes: Tensor) -> dict[str, Any]:
    """Accuracy and within-class diversity of pictures `[picture, 3, height, width]`."""
    batches = tqdm(pictures.split(50), "judging", leave=False)
    outputs = [(*judge(batch), encoder.maps(batch)[-1].mean((2, 3))) for batch in batches]
    logits, features, own_features = (torch.cat(part) for part in zip(*outputs, strict=True))
    right = (logits.argmax(1) == classes).float()
    return {
        "pictures": len(classes),
        "accuracy": float(right.mean()),
        "diversity": diversity(features, classes),
        "diversity_encoder": diversity(own_features, classes),
        "per_class": [float(right[classes == index].mean()) for index in classes.unique(sorted=True)],
    }


def diversity(features: Tensor, classes: Tensor) -> float:
    """Mean over classes of the mean cosine distance of two different pictures of the class."""
    unit, distances = nn.functional.normalize(features, dim=1), []
    for index in classes.unique():
        own = unit[classes == index]
        cosine = own @ own.T
        distances.append(float(1 - (cosine.sum() - cosine.trace()) / (len(own) * (len(own) - 1))))
    return sum(distances) / len(distances)


def real_pictures(root: Path, class_names: Sequence[str], count: int, size: int) -> tuple[Tensor, Tensor]:
    """`count` pictures of each class, evenly spread over the sorted files of `root/<class>/`; 0 takes all."""
    folder = ImageFolder(str(root))
    names = [name.replace("_", " ").lower() for name in folder.classes]
    pictures, classes = [], []
    for index, name in enumerate(class_names):
        files = [path for path, label in folder.samples if label == names.index(name.lower())]
        step = max(1, len(files) // count) if count else 1
        chosen = files[::step][: count or None]
        pictures += [images.load_image(path, size) for path in tqdm(chosen, name, leave=False)]
        classes += [index] * len(chosen)
    return torch.stack(pictures), torch.tensor(classes)


def judging(about: str | None) -> argparse.ArgumentParser:
    """The options of every script that asks the judge."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--judge", type=Path, required=True, help="SqueezeNet 1.0 weights, torchvision's keys")
    options.add_argument("--labels", type=Path, required=True, help="index, wnid, name of the judge's 1000 classes")
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--real-count", type=int, default=40, help="real pictures of each class that are judged, 0 for all")
    return options


def main() -> None:
    options = judging(__doc__)
    options.add_argument("--count", type=int, default=10, help="samples of each class, seeds 0, 1, ...")
    options.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings other than the bundle's")
    options.add_argument("--grid", type=Path, help="write the samples here, a row for each class")
    options.add_argument("--json", type=Path, help="write the figures here")
    given = options.parse_args()
    bundle = ppgn.load(given.bundle)
    names = bundle.class_names
    judge = Judge(given.judge, judge_indices(given.labels, names))
    changes = {key: value_of(text) for key, text in (entry.split("=", 1) for entry in given.set)}
    targets = [index for index in range(len(names)) for _ in range(given.count)]
    seeds = [seed for _ in names for seed in range(given.count)]
    begun = time.perf_counter()
    samples = ppgn.sample(bundle, targets, seed=seeds, batch=50, **changes)
    seconds = time.perf_counter() - begun
    if given.grid:
        images.save_image(samples.grid([names[index] for index in targets], given.count), given.grid)
    made = score(judge, bundle.encoder, samples.images, torch.tensor(targets))
    real = score(judge, bundle.encoder, *real_pictures(given.real, names, given.real_count, bundle.image_size))
    title = f"samples, {', '.join(given.set) or 'default settings'}"
    report(made, real, names, title, seconds, float(samples.log_prob.exp().mean()))
    if given.json:
        about = {
            "bundle": bundle.name,
            "machine": platform.processor() or platform.machine(),
            "torch": torch.__version__,
        }
        given.json.write_text(json.dumps({**about, "samples": made, "real": real, "seconds": seconds}, indent=2))


def report(made: dict, real: dict, names: Sequence[str], title: str, seconds: float, own: float) -> None:
    """The table that README shows."""
    print("| pictures | number | accuracy | diversity | diversity, encoder |\n| --- | --- | --- | --- | --- |")
    for name, row in (("real, validation split", real), (title, made)):
        figures = f"{row['accuracy']:.3f} | {row['diversity']:.3f} | {row['diversity_encoder']:.3f}"
        print(f"| {name} | {row['pictures']} | {figures} |")
    print(f"\nsampling took {seconds:.1f} s; the condition's own probability of the class is {own:.3f} on average")
    pairs = zip(names, made["per_class"], real["per_class"], strict=True)
    print("accuracy by class (samples / real): " + ", ".join(f"{n} {a:.2f}/{b:.2f}" for n, a, b in pairs))


def value_of(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


if __name__ == "__main__":
    main()
