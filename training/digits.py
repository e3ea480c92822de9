"""LeNet on MNIST, the network that is fooled first, and its retraining with a class of pictures that fool it.

The four epochs of `train_digits` take one thread of a two-core Xeon about 90 seconds; the networks of seeds 0 and 1 then name
99.25 and 99.41 % of the test pictures rightly.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from ppgn import images
from ppgn.loaders import read_weights
from training.progress import silence_what_is_in_order
from training.schedules import one_cycle
from training.sources import open_source
from training.weight_files import fill, save_weights

FOOLING = "fooling"
"""Name of the class of pictures that fool (Nguyen et al. 2015, 3.5)."""
NAME = "lenet"
"""Of its files: NAME.safetensors and NAME.json."""
BATCH = 128
"""Pictures a step."""


class LeNet(nn.Module):
    """Logits `[picture, class]` of grey pictures `[picture, 1, 28, 28]` in [0, 1]: the layers of Caffe's MNIST example."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, classes))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.classifier(self.features(pictures))


class DigitSystem(LightningModule):
    """Trains a LeNet by cross-entropy with AdamW and a one-cycle rate on batches of (bytes, labels)."""

    def __init__(self, classes: int = 10, learning_rate: float = 2e-3, weight_decay: float = 0.05) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = LeNet(classes)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0].float() / 255), batch[1])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), self.learning_rate, weight_decay=self.weight_decay)
        return one_cycle(self, optimizer, self.learning_rate)


def read_mnist(root: Path, download: bool = False) -> tuple[TensorDataset, TensorDataset]:
    """(training, test) pictures of MNIST as bytes `[picture, 1, 28, 28]` with their labels.

    root: holds MNIST/raw. download: unpacks the files that lie there, or fetches them. Raises ValueError where they are missing.
    """
    source = open_source("mnist", root, download, 0, 0.0)
    return tuple(TensorDataset(part.data[:, None], part.targets) for part in (source.train, source.validation))  # type: ignore


def fit(data: TensorDataset, classes: int, epochs: int, seed: int, start: LeNet | None = None) -> LeNet:
    """A LeNet trained on (bytes, labels) for so many epochs; start: whose weights it begins with,
    a network of as many classes or fewer."""
    silence_what_is_in_order()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seed_everything(seed, verbose=False)
    system = DigitSystem(classes)
    if start is not None:
        mine = system.network.state_dict()  # of the same memory as the weights
        for name, value in start.state_dict().items():
            mine[name][: len(value)] = value  # a class more is a row more of the last layer
    trainer = Trainer(
        max_epochs=epochs, accelerator="auto", devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
        enable_progress_bar=False,
    )  # fmt: skip
    order = RandomSampler(data, generator=torch.Generator().manual_seed(seed))
    trainer.fit(system, DataLoader(data, None, sampler=BatchSampler(order, BATCH, drop_last=False)))
    return system.network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network: nn.Module, data: TensorDataset) -> float:
    """Share of pictures whose highest logit is that of their label."""
    pictures, labels = data.tensors
    guesses = torch.cat([network(some.float() / 255).argmax(1) for some in pictures.split(1000)])
    return float((guesses == labels).double().mean())


def with_fooling(data: TensorDataset, pictures: Tensor) -> TensorDataset:
    """The data and pictures that fool, bytes `[picture, 1, 28, 28]`, as one class more, the eleventh of MNIST."""
    known, labels = data.tensors
    number = int(labels.max()) + 1
    return TensorDataset(torch.cat([known, pictures]), torch.cat([labels, torch.full((len(pictures),), number)]))


def train_digits(
    out: Path, root: Path = Path("data"), epochs: int = 4, seed: int = 0, download: bool = False, fooling: Path | None = None
) -> Path:
    """Trains a LeNet on MNIST and writes `out`/lenet.safetensors and lenet.json; returns the path of the weights.

    Args:
        out: folder for both files.
        root: holds MNIST/raw.
        epochs: passes over the training pictures.
        seed: of the first weights and of the order of the pictures.
        download: unpack the files of MNIST where they lie packed, or fetch them.
        fooling: a folder of pictures that fool, such as `ppgn fool` writes; they become an eleventh class.
    """
    if epochs < 1:
        raise ValueError(f"got {epochs} epochs, expected at least 1: a larger number")
    train, test = read_mnist(root, download)
    classes = [str(digit) for digit in range(10)]
    if fooling is not None:
        train, classes = with_fooling(train, _read_fooling(fooling)), [*classes, FOOLING]
    network = fit(train, len(classes), epochs, seed)
    file = save_digits(network, out, classes, epochs=epochs, seed=seed, pictures=len(train), accuracy=accuracy(network, test))
    return file


def _read_fooling(folder: Path) -> Tensor:
    files = images.picture_files(folder, (".png", ".jpg", ".jpeg")) if folder.is_dir() else []
    if not files:
        raise ValueError(f"no pictures in {folder}, expected those that fool: give the folder that holds them")
    return as_bytes(torch.stack([images.load_image(file, 28, channels=1) for file in files]))


def save_digits(network: LeNet, out: Path, classes: list[str], **facts: Any) -> Path:
    """Writes lenet.safetensors and lenet.json (classes, input, facts) to a folder; returns the path of the weights."""
    (file,) = save_weights(network.state_dict(), out, NAME)
    about = {"network": "training:LeNet", "classes": classes, "input": "[0, 1], 1 x 28 x 28", **facts}
    images.write_atomically(out / f"{NAME}.json", lambda path: path.write_text(json.dumps(about, indent=2) + "\n"))
    return file


def read_digits(folder: Path) -> LeNet:
    """The network that `save_digits` wrote to a folder, in eval mode. Raises ValueError for a missing or broken file."""
    file = folder / f"{NAME}.safetensors"
    state = {name: value.float() for name, value in read_weights(file).items()}
    network = LeNet(len(state["classifier.3.bias"]) if "classifier.3.bias" in state else 10)
    fill(network, state, file)
    return network.eval().requires_grad_(False)


def as_bytes(pictures: Tensor) -> Tensor:
    """Pictures in [0, 1] as the bytes that a file would hold."""
    return (pictures.detach().cpu().clamp(0, 1) * 255).round().byte()
