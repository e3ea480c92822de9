"""Do samples show their class? A network that took no part in training or sampling classifies them and real pictures.

    python benchmarks/heldout.py --judge squeezenet1_0.pth --labels imagenet1000_labels.tsv --real imagenette64/val

The judge is SqueezeNet 1.0 trained on ImageNet with Caffe (BGR, 0..255 less 104, 117, 123; 227 px; its last convolution
padded by 1), restricted to the bundle's classes. Diversity is the mean cosine distance between the pooled features of two
pictures of one class, once in the judge's features and once in those of the bundle's encoder.
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
from runs import add_settings, exit_on_mistake, recipe_of
from torch import Tensor, nn
from torchvision import models
from torchvision.datasets import ImageFolder
from tqdm import tqdm

import ppgn
from ppgn import images


class Judge(nn.Module):
    """SqueezeNet 1.0: pictures `[picture, 3, height, width]` in [0, 1] -> (logits of the chosen classes `[picture, class]`,
    pooled features `[picture, feature]`). weights: a file with torchvision's keys; chosen: numbers of classes."""

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


def judge_indices(labels: Path, classes: Sequence[str]) -> list[int]:
    """The number of each class among the judge's 1000. labels: a file with lines of index, wnid and name, separated by tabs."""
    rows = [line.split("\t") for line in labels.read_text().splitlines() if line.strip()]
    by_name = {row[2].split(",")[0].strip().lower(): int(row[0]) for row in rows if row[0].isdigit()}
    plain = [name.replace("_", " ").lower() for name in classes]
    missing = [name for name in plain if name not in by_name]
    if missing:
        raise SystemExit(f"the judge knows no {', '.join(missing)}: see {labels}")
    return [by_name[name] for name in plain]


def score(judge: Any, encoder: Any, pictures: Tensor, classes: Tensor) -> dict[str, Any]:
    """Accuracy of pictures `[picture, 3, height, width]` of these classes `[picture]`, their diversity within a class, and the
    share of their values that are black or white. judge: pictures -> (logits `[picture, class]`, features)."""
    batches = tqdm(pictures.split(50), "judging", leave=False)
    outputs = [(*judge(batch), encoder.maps(batch)[-1].mean((2, 3))) for batch in batches]
    logits, features, encoder_features = (torch.cat(part) for part in zip(*outputs, strict=True))
    right = (logits.argmax(1) == classes).float()
    values = (pictures * 255).round()
    return {
        "pictures": len(classes),
        "accuracy": float(right.mean()),
        "diversity": diversity(features, classes),
        "diversity_encoder": diversity(encoder_features, classes),
        "clipped": float(((values <= 0) | (values >= 255)).float().mean()),
        "per_class": [float(right[classes == index].mean()) for index in classes.unique(sorted=True)],
    }


def diversity(features: Tensor, classes: Tensor) -> float:
    """Mean over classes of the mean cosine distance of two different pictures of the class. features: `[picture, feature]`."""
    unit, distances = nn.functional.normalize(features, dim=1), []
    for index in classes.unique():
        members = unit[classes == index]
        cosine, pairs = members @ members.T, len(members) * (len(members) - 1)
        distances.append(float(1 - (cosine.sum() - cosine.trace()) / pairs))
    return sum(distances) / len(distances)


def real_pictures(root: Path, names: Sequence[str], count: int, size: images.Size) -> tuple[Tensor, Tensor]:
    """(pictures `[picture, 3, height, width]`, their classes `[picture]`): `count` of each class, evenly spread over the sorted
    files of `root/<class>/`; 0 takes all."""
    folder = ImageFolder(str(root))
    folders = [name.replace("_", " ").lower() for name in folder.classes]
    pictures, classes = [], []
    for index, name in enumerate(names):
        files = [path for path, label in folder.samples if label == folders.index(name.replace("_", " ").lower())]
        step = max(1, len(files) // count) if count else 1
        chosen = files[::step][: count or None]
        pictures += [images.load_image(path, size) for path in tqdm(chosen, name, leave=False)]
        classes += [index] * len(chosen)
    return torch.stack(pictures), torch.tensor(classes)


def judging(about: str | None) -> argparse.ArgumentParser:
    """The options that all scripts with the judge have in common."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--judge", type=Path, required=True, help="SqueezeNet 1.0 weights, torchvision's keys")
    options.add_argument("--labels", type=Path, required=True, help="index, wnid and name of the judge's 1000 classes")
    options.add_argument("--real", type=Path, required=True, help="folder with a folder of pictures for each class")
    options.add_argument("--real-count", type=int, default=40, help="real pictures of each class, 0 for all (default: 40)")
    return options


def main() -> None:
    options = judging(__doc__)
    options.add_argument("--count", type=int, default=10, help="samples of each class, seeds 0, 1, ... (default: 10)")
    add_settings(options)
    options.add_argument("--grid", type=Path, help="file for the samples, a row for each class")
    options.add_argument("--json", type=Path, help="file for the numbers")
    given = options.parse_args()
    with exit_on_mistake():
        bundle = ppgn.load(given.bundle)
        recipe = recipe_of(bundle, dict(given.set))
    names = bundle.classes
    judge = Judge(given.judge, judge_indices(given.labels, names))
    targets = [index for index in range(len(names)) for _ in range(given.count)]
    seeds = [seed for _ in names for seed in range(given.count)]
    begun = time.perf_counter()
    samples = ppgn.sample(bundle, targets, seed=seeds, batch=50, recipe=recipe)
    seconds = time.perf_counter() - begun
    if given.grid:
        images.save_image(samples.grid([names[index] for index in targets], given.count), given.grid)
    sampled = score(judge, bundle.encoder, samples.images, torch.tensor(targets))
    real = score(judge, bundle.encoder, *real_pictures(given.real, names, given.real_count, bundle.image.size))
    changes = ", ".join(f"{name}={value}" for name, value in given.set)
    title = f"samples, {changes or 'default recipe'}"
    report(sampled, real, names, title, seconds, float(samples.log_prob.exp().mean()))
    if given.json:
        machine = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        about = {"bundle": bundle.name, "recipe": samples.recipe.to_json(), **machine}
        given.json.write_text(json.dumps({**about, "samples": sampled, "real": real, "seconds": seconds}, indent=2))


def report(sampled: dict, real: dict, names: Sequence[str], title: str, seconds: float, probability: float) -> None:
    """Print the table of both, and the accuracy by class. probability: that of the class by the condition, on average."""
    print("| pictures | number | accuracy | diversity | diversity, encoder | clipped |\n|" + " --- |" * 6)
    for name, row in (("real, validation split", real), (title, sampled)):
        figures = f"{row['accuracy']:.3f} | {row['diversity']:.3f} | {row['diversity_encoder']:.3f} | {row['clipped']:.4f}"
        print(f"| {name} | {row['pictures']} | {figures} |")
    print(f"\nsampling took {seconds:.1f} s; the condition gives the class a probability of {probability:.3f} on average")
    pairs = zip(names, sampled["per_class"], real["per_class"], strict=True)
    print("accuracy by class (samples / real): " + ", ".join(f"{n} {a:.2f}/{b:.2f}" for n, a, b in pairs))


if __name__ == "__main__":
    main()
