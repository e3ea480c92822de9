"""Shuffled batches that a training which was killed goes on with where it was, to the bit on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler


class Shuffled(Sampler[int]):
    """The numbers below `count` in an order that the seed and the epoch decide.

    weights: how often each is drawn `[number]`, with replacement; None: each once an epoch.
    """

    def __init__(self, count: int, weights: Tensor | None = None, seed: int | None = None) -> None:
        self.count, self.weights = count, weights
        self.seed = torch.initial_seed() if seed is None else seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.count

    def set_epoch(self, epoch: int) -> None:
        """The trainer tells the epoch before each, as it does with DistributedSampler."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed((self.seed + self.epoch) % 2**63)
        if self.weights is None:
            return iter(torch.randperm(self.count, generator=chance).tolist())
        return iter(torch.multinomial(self.weights.double(), self.count, replacement=True, generator=chance).tolist())


class BatchesFrom(BatchSampler):
    """BatchSampler that leaves the first `skipped` batches of the next epoch out, without reading them."""

    skipped = 0

    def __iter__(self) -> Iterator[list[int]]:
        skipped, self.skipped = self.skipped, 0
        for number, batch in enumerate(super().__iter__()):
            if number >= skipped:
                yield batch


class ResumableLoader(DataLoader):
    """Training batches, whose place in the epoch and random numbers a checkpoint holds. The arguments are those of DataLoader,
    with a generator and BatchesFrom among them.

    Lightning keeps `state_dict` in its checkpoints. Mirroring and crops draw random numbers while a batch is read, so these are
    set back when the first batch of a resumed training is. With loader processes the batches are the same, but not their mirrors.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.read = 0  # batches of this epoch
        self.resumed: dict[str, Any] | None = None

    @property
    def epoch(self) -> int:
        return self.batch_sampler.sampler.epoch  # type: ignore[union-attr]

    def state_dict(self) -> dict[str, Any]:
        devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        return {"epoch": self.epoch, "read": self.read, "random": [torch.get_rng_state(), *devices]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.resumed = state

    def __iter__(self) -> Any:
        """Begins with the first call of next, as the trainer says which epoch it is after it has asked for the iterator."""
        state, self.resumed, self.read = self.resumed, None, 0
        if state and state["epoch"] == self.epoch and state["read"] < len(self):
            self.read = state["read"]
        self.batch_sampler.skipped = self.read  # type: ignore[union-attr]
        self.generator.manual_seed(self.epoch)  # type: ignore[union-attr]
        batches = super().__iter__()
        if state:
            torch.set_rng_state(state["random"][0])
            for device, random in enumerate(state["random"][1:][: torch.cuda.device_count()]):
                torch.cuda.set_rng_state(random, device)
        for batch in batches:
            self.read += 1
            yield batch


class UndisturbedTraining(Callback):
    """Validations that leave the random numbers of the training as they were, whenever they come."""

    def __init__(self) -> None:
        self.before: Tensor | None = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.before = torch.get_rng_state()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.before is not None:
            torch.set_rng_state(self.before)


def plain_loader(data: Dataset, batch_size: int, **settings: Any) -> DataLoader:
    """Batches of a data set in its order. They draw no random numbers of the training. settings: of DataLoader."""
    count = len(data)  # type: ignore[arg-type]
    return DataLoader(data, min(batch_size, count), generator=torch.Generator(), **settings)


def shuffled_loader(data: Dataset, batch_size: int, weights: Tensor | None = None, **settings: Any) -> ResumableLoader:
    """Full batches of a data set in another order each epoch. weights: see Shuffled. settings: of DataLoader."""
    count = len(data)  # type: ignore[arg-type]
    batches = BatchesFrom(Shuffled(count, weights), min(batch_size, count), drop_last=True)
    return ResumableLoader(data, batch_sampler=batches, generator=torch.Generator(), **settings)
