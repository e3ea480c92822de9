"""A training that goes on from a checkpoint is, to the bit, the one that was never interrupted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch.utils.data import TensorDataset

from training import EncoderSystem, ImageData, LinesOfProgress, UndisturbedTraining, shuffled_loader

pytestmark = pytest.mark.usefixtures("one_thread")

UPDATES = 11
EPOCH = 4
"""Updates in an epoch of 1,600 digits in batches of 400."""


class Kept(Callback):
    """Keeps a checkpoint of every update."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt", weights_only=False)


def trained(
    folder: Path, resumed: Path | None = None, draws: Any = "pictures", updates: int = UPDATES, callbacks: Sequence[Callback] = ()
) -> dict[str, torch.Tensor]:
    """Weights of a small encoder after UPDATES updates on digits that are moved at random, with validations between."""
    seed_everything(3, verbose=False)
    data = ImageData("digits", image_size=8, channels=1, batch_size=400, flip=True, shift=1, draws=draws, margin=1.25)
    system = EncoderSystem("convnet", widths=(4,), code_size=8, hidden=8)
    trainer = Trainer(
        max_steps=updates, max_epochs=-1, val_check_interval=3, check_val_every_n_epoch=None, num_sanity_val_steps=1,
        callbacks=[UndisturbedTraining(), Kept(folder), *callbacks], logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accelerator="cpu", devices=1, default_root_dir=folder,
    )  # fmt: skip
    trainer.fit(system, datamodule=data, ckpt_path=str(resumed) if resumed else None, weights_only=True)
    return {key: value.clone() for key, value in system.state_dict().items()}


@pytest.mark.parametrize("draws", ["pictures", "classes"])
def test_a_training_resumed_after_any_update_ends_as_one_that_ran_through(draws: str, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    whole = trained(tmp_path, draws=draws)
    for update in (1, 2, EPOCH - 1, EPOCH, EPOCH + 1, 2 * EPOCH, UPDATES - 1):
        resumed = trained(tmp_path / "again", tmp_path / f"{update}.ckpt", draws)
        assert all(torch.equal(resumed[key], value) for key, value in whole.items()), update


def test_a_finished_training_goes_on_for_more_updates_than_it_planned(tmp_path: Path) -> None:
    trained(tmp_path, updates=EPOCH)
    longer = trained(tmp_path, tmp_path / f"{EPOCH}.ckpt", updates=UPDATES)
    assert (tmp_path / f"{UPDATES}.ckpt").is_file()
    before = torch.load(tmp_path / f"{EPOCH}.ckpt", weights_only=True)["state_dict"]
    assert not any(torch.equal(longer[key], before[key]) for key in before if key.endswith("fc6.weight"))


def test_a_log_shows_updates_losses_and_the_time_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(tmp_path, updates=EPOCH)
    capsys.readouterr()
    trained(tmp_path, tmp_path / f"{EPOCH}.ckpt", callbacks=[LinesOfProgress()])
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("update 5 "))
    assert re.search(r"train/loss [\d.]+.*45% done, \d+ s left", line)


def test_a_resumed_epoch_reads_each_picture_that_is_left_once() -> None:
    loader = shuffled_loader(TensorDataset(torch.arange(12)), 3)
    first = [batch[0].tolist() for batch, _ in zip(loader, range(2), strict=False)]
    state = loader.state_dict()
    resumed = shuffled_loader(TensorDataset(torch.arange(12)), 3)
    resumed.load_state_dict({**state, "read": 2})
    rest = [batch[0].tolist() for batch in resumed]
    assert sorted(number for batch in first + rest for number in batch) == list(range(12))
    assert [batch[0].tolist() for batch in resumed] != rest  # the next epoch is whole again
    assert len(list(resumed)) == 4


def test_each_epoch_has_an_order_of_its_own() -> None:
    loader = shuffled_loader(TensorDataset(torch.arange(64)), 64)
    orders = []
    for epoch in (0, 1, 0):
        loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        orders.append(next(iter(loader))[0].tolist())
    assert orders[0] != orders[1] and orders[0] == orders[2]
