"""`ppgn fool` and `ppgn innovate`: what a person types, and what is left on the disk."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image

from ppgn import cli, images

pytest.importorskip("neat")
pytest.importorskip("ribs")
NETWORK = ["--network", "nets:small", "--size", "12", "--mean", "0", "--std", "1"]
CODE = """
import torch
from torch import nn


def small(channels=3):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    network[-1].weight.data *= 30
    return network


def grey():
    return small(1)
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(CODE)
    (tmp_path / "names.txt").write_text("tench\ndog\nchurch\nhorn\nball\n")
    images.save_image(torch.rand(3, 20, 16, generator=torch.Generator().manual_seed(0)), tmp_path / "photo.png")
    return tmp_path


def test_fool_writes_a_grid_of_named_classes_and_goes_on_in_its_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fool", *NETWORK, "--names", "names.txt", "--class", "dog", "4", "--population", "8", "--folder", "run"]
    assert cli.main([*words, "--generations", "3", "--out", "a.png"]) == 0
    assert cli.main([*words, "--generations", "6", "--out", "b.png"]) == 0
    assert cli.main([*words[:-2], "--generations", "6", "--out", "c.png"]) == 0
    assert (here / "b.png").read_bytes() == (here / "c.png").read_bytes() != (here / "a.png").read_bytes()
    assert "dog" in (here / "run" / "index.html").read_text()
    printed = capsys.readouterr()
    assert "above 90 %" in printed.out and "after 6 generations of 8" in printed.out and "of 6 generations" in printed.err


def test_fool_breeds_grey_pixels_for_a_network_that_takes_grey(here: Path) -> None:
    words = ["fool", "--network", "nets:grey", *NETWORK[2:], "--class", "all", "--encoding", "direct"]
    assert cli.main([*words, "--population", "5", "--generations", "2", "--out", "grey.png"]) == 0
    assert Image.open(here / "grey.png").mode == "L"


def test_fool_climbs_the_gradient_of_the_softmax(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fool", *NETWORK, "--class", "1", "--method", "gradient", "--steps", "1", "--out", "a.png"]) == 0
    assert cli.main(["fool", *NETWORK, "--class", "1", "--method", "gradient", "--steps", "60", "--out", "b.png"]) == 0
    first, last = (float(line.split()[2]) for line in capsys.readouterr().out.splitlines() if line.startswith("median"))
    assert last > 90 > first and (here / "b.png").is_file()


def test_fool_climbs_the_gradient_of_a_network_that_takes_grey(here: Path) -> None:
    words = ["fool", "--network", "nets:grey", *NETWORK[2:], "--class", "1", "--method", "gradient", "--steps", "1"]
    assert cli.main([*words, "--out", "grey.png"]) == 0
    assert Image.open(here / "grey.png").mode == "L"


def test_fool_changes_pixels_of_a_picture(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fool", *NETWORK, "--method", "one-pixel", "--picture", "photo.png", "--pixels", "4", "--generations", "30"]
    assert cli.main([*words, "--population", "60", "--out", "both.png"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("pixel in row") == 4 and "fooled after" in printed and (here / "both.png").is_file()


def test_an_interrupted_search_says_that_it_goes_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*given: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ppgn.illumination.illuminate", stop)
    for words in (["innovate", *NETWORK, "--folder", "g"], ["fool", *NETWORK, "--class", "1", "--folder", "g"]):
        assert cli.main(words) == 130
        assert "the same command goes on from the last state in g" in capsys.readouterr().err
    assert cli.main(["fool", *NETWORK, "--class", "1"]) == 130
    assert "goes on" not in capsys.readouterr().err


def test_innovate_writes_a_gallery_and_a_curve(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["innovate", *NETWORK, "--names", "names.txt", "--folder", "gallery", "--population", "10"]
    assert cli.main([*words, "--budget", "20"]) == 0
    assert cli.main([*words, "--budget", "55"]) == 0
    text = (here / "gallery" / "index.html").read_text()
    assert all(f"<b>{name}</b>" in text for name in ("tench", "dog", "church", "horn", "ball"))
    rows = list(csv.DictReader((here / "gallery" / "curve.csv").open()))
    assert [int(row["generation"]) for row in rows] == list(range(5))
    assert float(rows[-1]["median"]) >= float(rows[0]["median"]) and "after 50 pictures" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [
    (["fool", "--class", "1"], "which network shall be fooled? add --network"),
    (["fool", *NETWORK], "which class? add --class"),
    (["fool", *NETWORK, "--class", "9"], "nets:small has"),
    (["fool", *NETWORK, "--class", "1", "--generations", "0"], "got --generations 0"),
    (["fool", *NETWORK, "--class", "1", "--population", "0"], "got --population 0"),
    (["fool", *NETWORK, "--class", "1", "--batch", "0"], "got --batch 0"),
    (["fool", *NETWORK, "--class", "1", "--seed", "-1"], "a seed got -1"),
    (["fool", *NETWORK, "--class", "1", "--picture", "photo.png"], "expected it with one-pixel"),
    (["fool", *NETWORK, "--class", "1", "--method", "gradient", "--folder", "x"], "expected it with evolution"),
    (["fool", *NETWORK, "--class", "1", "--method", "gradient", "--generations", "4"], "expected --steps"),
    (["fool", *NETWORK, "--class", "1", "--method", "gradient", "--encoding", "direct"], "expected them with evolution"),
    (["fool", *NETWORK, "--method", "one-pixel"], "which picture? add --picture"),
    (["fool", *NETWORK, "--method", "one-pixel", "--picture", "photo.png", "--pixels", "0"], "got --pixels 0"),
    (["fool", *NETWORK, "--method", "one-pixel", "--picture", "photo.png", "--out", "photo.png"], "take the place of"),
    (["fool", *NETWORK, "--class", "1", "--encoding", "direct", "--coordinates", "pixels"], "got --coordinates"),
    (["fool", *NETWORK, "--class", "1", "--names", "photo.png"], "photo.png"),
    (["fool", *NETWORK, "--class", "1", "--names", "nowhere.txt"], "there is no file nowhere.txt, expected names"),
    (["fool", *NETWORK, "--class", "1", "--names", "nets.py"], "expected the 5 of nets:small"),
    (["innovate", *NETWORK, "--folder", "g", "--budget", "3"], "expected at least one generation"),
    (["innovate", *NETWORK, "--folder", "."], "holds other files"),
    (["innovate", "--folder", "g"], "add --network"),
])  # fmt: skip
def test_a_mistake_is_one_sentence(here: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1] and error[-1].startswith("ppgn: error: ")
