"""The command line: what a person types, what comes back, and what is left on the disk."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from ppgn import cli


def test_sample_writes_a_labelled_grid_and_each_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["sample", "tiny", "--class", "tench", "ball", "--count", "3", "--steps", "5", "--seed", "5"]
    assert cli.main([*arguments, "--out", "grid.png", "--save-images", "each"]) == 0
    told = json.loads((folder / "each" / "samples.json").read_text())
    assert [(row["class"], row["seed"]) for row in told["samples"]] == [("tench", 5), ("tench", 6), ("tench", 7)] + [
        ("golf ball", 5), ("golf ball", 6), ("golf ball", 7)
    ]  # fmt: skip
    assert told["recipe"]["steps"] == 5
    assert all(Image.open(folder / "each" / row["file"]).size == (8, 8) for row in told["samples"])
    assert all(row["log_probability"] < 0 for row in told["samples"])
    grid = Image.open(folder / "grid.png")
    assert grid.width > 3 * 100
    assert grid.height > 2 * 100
    printed = capsys.readouterr()
    assert "log p" in printed.err
    assert "grid.png" in printed.out


def test_the_same_seed_writes_the_same_bytes(folder: Path) -> None:
    for name in ("a.png", "b.png"):
        assert cli.main(["sample", "tiny", "--class", "0", "--count", "2", "--steps", "3", "--out", name]) == 0
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()
    assert cli.main(["sample", "tiny", "--class", "0", "--count", "2", "--steps", "3", "--seed", "9", "--out", "c.png"]) == 0
    assert (folder / "a.png").read_bytes() != (folder / "c.png").read_bytes()


def test_class_all_makes_a_row_for_every_class(folder: Path) -> None:
    assert cli.main(["sample", "tiny", "--class", "all", "--count", "1", "--steps", "1", "--save-images", "each"]) == 0
    assert len(list((folder / "each").glob("*.png"))) == 4


def test_bundles_lists_name_size_and_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bundles" / "broken").mkdir()
    (folder / "bundles" / "broken" / "bundle.json").write_text("{")
    assert cli.main(["bundles"]) == 0
    printed = capsys.readouterr().out
    assert "tiny" in printed
    assert "golf ball" in printed
    assert "broken" in printed


def test_a_bundle_by_its_name_lists_all_its_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bundles", "tiny"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4 and any(line.endswith("golf ball") for line in printed)
    assert cli.main(["bundles", "nothing"]) == 2
    assert "no bundle 'nothing'" in capsys.readouterr().err


def test_bundles_rewrites_old_descriptions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bundles", "--migrate", "bundles/tiny"]) == 0
    assert "bundles/tiny: of the newest version already" in capsys.readouterr().out
    assert cli.main(["bundles", "--migrate", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def truncate_weights(folder: Path) -> None:
    file = folder / "bundles" / "tiny" / "generator.safetensors"
    file.write_bytes(file.read_bytes()[:-50])


def break_json(folder: Path) -> None:
    (folder / "bundles" / "tiny" / "bundle.json").write_text('{"format": ')


@pytest.mark.parametrize(
    ("spoil", "arguments", "said"),
    [
        (None, ["nosuch", "--class", "0"], "tiny"),
        (None, ["tiny", "--class", "whale"], "tench"),
        (None, ["tiny"], "which class"),
        (None, ["tiny", "--class", "0", "--device", "quantum"], "cpu"),
        (None, ["tiny", "--class", "0", "--device", "cuda:99"], "cpu"),
        (None, ["tiny", "--class", "0", "--count", "0"], "at least 1"),
        (None, ["tiny", "--class", "0", "--steps", "0"], "at least 1"),
        (None, ["tiny", "--class", "0", "--seed", "-1"], "seed"),
        (None, ["tiny", "--class", "0", "--batch", "0"], "at least 1"),
        (None, ["tiny", "--class", "0", "--prior", "magic"], "reconstruction"),
        (None, ["tiny", "--class", "0", "--out", "nowhere/x.png"], "nowhere"),
        (None, ["tiny", "--class", "0", "--out", "x.doc"], "extension"),
        (truncate_weights, ["tiny", "--class", "0"], "generator.safetensors"),
        (break_json, ["tiny", "--class", "0"], "bundle.json"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], spoil, arguments: list[str], said: str
) -> None:
    if spoil is not None:
        spoil(folder)
    before = sorted(os.listdir(folder))
    assert cli.main(["sample", *arguments]) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert printed.startswith("ppgn: error: ")
    assert said in printed
    assert "Traceback" not in printed
    assert sorted(os.listdir(folder)) == before


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["sample", "--help"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code == 0
        assert "ppgn sample imagenette64 --class church" in capsys.readouterr().out


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_start_as_the_cpu(folder: Path) -> None:
    for device in ("cpu", "cuda"):
        arguments = ["sample", "tiny", "--class", "0", "--count", "1", "--steps", "1", "--device", device]
        assert cli.main([*arguments, "--save-images", device]) == 0
    pictures = [Image.open(next((folder / device).glob("*.png"))) for device in ("cpu", "cuda")]
    assert max(abs(a - b) for a, b in zip(*(p.tobytes() for p in pictures), strict=True)) <= 2
