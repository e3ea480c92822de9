"""LeNet and its class of pictures that fool, and benchmarks/fooling.py on tiny runs."""

import importlib
import json
import struct
import sys
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.utils.data import TensorDataset

from ppgn import illumination as il
from ppgn import images
from training import LeNet, accuracy, as_bytes, fit, read_digits, read_mnist, save_digits, train_digits, with_fooling

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
fooling, changes, rounds = (importlib.import_module(name) for name in ("fooling", "fooling_changes", "fooling_rounds"))
NAMES = [str(digit) for digit in range(10)]


def small_digits() -> tuple[TensorDataset, TensorDataset]:
    """scikit-learn's digits at 28 px: (training, test)."""
    found = load_digits()
    pictures = images.resize(torch.tensor(found.images[:, None] / 16, dtype=torch.float32), 28)
    labels = torch.tensor(found.target, dtype=torch.long)
    return TensorDataset(as_bytes(pictures[:1500]), labels[:1500]), TensorDataset(as_bytes(pictures[1500:]), labels[1500:])


@pytest.fixture(scope="module")
def data() -> tuple[TensorDataset, TensorDataset]:
    return small_digits()


@pytest.fixture(scope="module")
def network(data: tuple[TensorDataset, TensorDataset]) -> LeNet:
    return fit(data[0], 10, 4, 0)


@pytest.fixture(scope="module")
def folder(network: LeNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("digits")
    save_digits(network, found, NAMES)
    return found


def write_mnist(root: Path, data: tuple[TensorDataset, TensorDataset]) -> Path:
    """The files of MNIST, of other pictures."""
    raw = images.make_folder(root / "MNIST" / "raw")
    for name, part in zip(("train", "t10k"), data, strict=True):
        pictures, labels = part.tensors
        head = struct.pack(">4i", 0x803, len(pictures), 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + pictures.numpy().tobytes())
        head = struct.pack(">2i", 0x801, len(labels))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.byte().numpy().tobytes())
    return root


def test_lenet_learns_digits_in_seconds(network: LeNet, data: tuple[TensorDataset, TensorDataset]) -> None:
    assert accuracy(network, data[1]) > 0.85
    assert sum(weight.numel() for weight in network.parameters()) == 431_080  # Caffe's MNIST example


def test_a_network_is_read_as_it_was_written(network: LeNet, folder: Path) -> None:
    pictures = torch.rand(3, 1, 28, 28)
    assert torch.allclose(read_digits(folder)(pictures), network(pictures), atol=0.02)  # weights of 16 bits
    assert json.loads((folder / "lenet.json").read_text())["classes"] == NAMES


def test_the_script_trains_and_takes_a_folder_of_pictures_as_an_eleventh_class(
    tmp_path: Path, data: tuple[TensorDataset, TensorDataset]
) -> None:
    root = write_mnist(tmp_path, data)
    for number in range(40):
        images.save_image(torch.rand(1, 28, 28), images.make_folder(tmp_path / "noise") / f"{number}.png")
    file = train_digits(tmp_path / "out", root, epochs=2, fooling=tmp_path / "noise")
    about = json.loads((tmp_path / "out" / "lenet.json").read_text())
    assert file.name == "lenet.safetensors" and about["classes"] == [*NAMES, "fooling"] and about["pictures"] == 1540
    assert read_digits(tmp_path / "out")(torch.rand(20, 1, 28, 28)).argmax(1).eq(10).float().mean() > 0.9


def test_mistakes_of_the_script_are_told_in_one_sentence(tmp_path: Path, data: tuple[TensorDataset, TensorDataset]) -> None:
    with pytest.raises(ValueError, match="got 0 epochs, expected at least 1"):
        train_digits(tmp_path, epochs=0)
    with pytest.raises(ValueError, match="no mnist in"):
        train_digits(tmp_path, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no pictures in .*expected those that fool"):
        train_digits(tmp_path, write_mnist(tmp_path, data), fooling=tmp_path / "nothing")
    with pytest.raises(ValueError, match="there is no weights file"):
        read_digits(tmp_path / "nowhere")


def test_pictures_that_fool_are_one_class_more_and_old_weights_stay_the_start(
    network: LeNet, data: tuple[TensorDataset, TensorDataset]
) -> None:
    noise = torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8)
    extended = with_fooling(data[0], noise)
    assert len(extended) == 1700 and extended.tensors[1][-200:].eq(10).all()
    again = fit(extended, 11, 1, 0, start=network)
    assert accuracy(again, data[1]) > 0.75
    assert accuracy(again, TensorDataset(noise, torch.full((200,), 10))) > 0.9


def test_rounds_add_what_fooled_and_go_on_where_they_were(
    network: LeNet, data: tuple[TensorDataset, TensorDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = {"added": 20, "epochs": 1, "generations": 3, "population": 20, "seed": 0}

    def run(count: int) -> list[dict]:
        return rounds.rounds(network, lambda: il.Direct(28, 1), data, tmp_path, count=count, **about)

    assert [row["round"] for row in run(1)] == [0, 1]
    assert read_digits(tmp_path / "network01").classifier[-1].out_features == 11
    monkeypatch.setattr(rounds, "fit", None)  # what is done is not done again
    rows = run(1)
    assert {"round", "median", "lowest", "accuracy", "earlier ones known"} <= set(rows[1])
    assert rounds.rounds_figure(tmp_path, 1).height > 10 * 56


def test_a_watched_network_keeps_the_pictures_that_it_takes_for_digits() -> None:
    def by_brightness(pictures: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((pictures.mean((1, 2, 3)) < 0.5).long() * 10, 11) * 9.0

    watched = rounds.Watched(by_brightness)
    watched(torch.cat([torch.zeros(2, 1, 28, 28), torch.ones(3, 1, 28, 28)]))
    assert torch.cat(watched.fooled).eq(255).all() and len(torch.cat(watched.fooled)) == 3


def brightest(pictures: Tensor) -> Tensor:
    """Two classes: 1 where a pixel is above 0.9."""
    highest = pictures.amax((1, 2, 3))
    return torch.stack([torch.full_like(highest, 0.9), highest], 1) * 20


def test_an_attack_counts_only_pictures_that_are_named_rightly_and_goes_on(tmp_path: Path) -> None:
    pictures = torch.cat([torch.zeros(2, 1, 8, 8), torch.ones(1, 1, 8, 8)])
    about = {"pixels": 1, "population": 10, "iterations": 3, "seed": 0}
    file = tmp_path / "attack.json"
    changes.attacked(brightest, pictures[:1], torch.zeros(1), file, **about)
    first = file.read_text()
    row = changes.attacked(brightest, pictures, torch.zeros(3), file, **about)
    assert (row["pictures"], row["named rightly"], row["fooled"]) == (3, 2, 1.0)
    assert json.loads(file.read_text())[:1] == json.loads(first)
    assert changes.attack_figure(pictures, str, file) is not None


def test_transfer_counts_the_pictures_of_which_the_fooled_network_was_sure() -> None:
    pictures = torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(2, 1, 8, 8)])
    row = changes.transferred(pictures, torch.tensor([0, 1, 0]), torch.tensor([0.95, 0.95, 0.2]), brightest, 0.9)
    assert (row["pictures"], row["same class"]) == (2, 1.0)
    row = changes.transferred(pictures, torch.tensor([0, 1, 0]), torch.tensor([0.95, 0.95, 0.2]), brightest, 0.0)
    assert row["pictures"] == 3 and row["same class"] == pytest.approx(2 / 3)
    assert changes.transferred(pictures, torch.zeros(3), torch.zeros(3), brightest, 0.9)["pictures"] == 0


def test_ablation_tells_what_one_copy_keeps() -> None:
    stripes = (torch.arange(24) % 6 < 3).float().expand(1, 1, 24, 24)
    row = changes.ablated(lambda pictures: torch.stack([pictures.var((1, 2, 3)) * 40, torch.ones(len(pictures))], 1),
                          stripes, torch.tensor([0]))  # fmt: skip
    assert row["repeat"] == 1.0 and row["1 left"] < row["all copies"]


def test_the_command_prints_a_table_and_leaves_a_file_and_a_figure(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    about = ["--digits", str(folder), "--generations", "3", "--population", "20", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["fooling.py", "mnist", *about])
    fooling.main()
    told = capsys.readouterr().out
    assert "| set | encoding | pictures |" in told and "| mnist | CPPN | 60 | 3 |" in told
    assert [row["encoding"] for row in json.loads((tmp_path / "mnist.json").read_text())["rows"]] == ["direct", "CPPN"]
    assert images.load_image(tmp_path / "mnist.png").shape[0] == 3
    monkeypatch.setattr(sys, "argv", ["fooling.py", "transfer", "--second", str(folder), *about])
    fooling.main()
    assert "| mnist | direct | all | 10 |" in capsys.readouterr().out


def test_a_confidence_is_rounded_downwards() -> None:
    assert [fooling.shortened(value) for value in (0.99999, 1.0, 0.5)] == ["99.99 %", "100.00 %", "50.00 %"]


def test_mnist_is_read_as_bytes_with_its_labels(tmp_path: Path, data: tuple[TensorDataset, TensorDataset]) -> None:
    train, test = read_mnist(write_mnist(tmp_path, data))
    assert torch.equal(train.tensors[0], data[0].tensors[0]) and torch.equal(test.tensors[1], data[1].tensors[1])
