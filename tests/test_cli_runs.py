"""Runs of `ppgn sample` into a folder: many pictures, going on, the same again, and what a failure leaves."""

import json
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_bundle

from ppgn import cli

SAMPLE = ["sample", "tiny", "--class", "tench", "--count", "2", "--steps", "1"]


def test_a_grid_of_many_pictures_shows_some_of_them_evenly_spread(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*SAMPLE, "--count", "500", "--steps", "1", "--out", "grid.webp", "--save-images", "each"]) == 0
    assert "grid.webp: 400 of 500 pictures, mean log-probability" in capsys.readouterr().out
    assert len(list((folder / "each").glob("*.png"))) == 500


def test_a_run_goes_on_in_its_folder_and_ends_with_the_same_grid(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = [*SAMPLE, "--count", "6", "--steps", "2", "--batch", "2", "--save-images"]
    assert cli.main([*whole, "each", "--out", "grid.png"]) == 0
    for path in sorted((folder / "each").glob("*.png"))[3:]:
        path.unlink()  # as a kill would have left it
    assert cli.main([*whole, "each", "--out", "again.png", "--resume"]) == 0
    assert (folder / "grid.png").read_bytes() == (folder / "again.png").read_bytes()
    capsys.readouterr()
    assert cli.main([*SAMPLE, "--resume"]) == 2
    assert "got --resume without --save-images, expected both" in capsys.readouterr().err


def test_settings_of_saved_samples_bring_back_batch_and_threads(folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert cli.main([*SAMPLE, "--count", "5", "--steps", "3", "--batch", "3", "--save-images", "each"]) == 0
        torch.set_num_threads(1)
        again = [
            "sample",
            "tiny",
            "--class",
            "tench",
            "--count",
            "5",
            "--settings",
            "each/samples.json",
            "--save-images",
            "again",
        ]
        assert cli.main(again) == 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert (folder / "each" / "samples.json").read_text() == (folder / "again" / "samples.json").read_text()


@pytest.mark.parametrize(
    ("module", "body", "sentence"),
    [
        ("raises", "raise KeyError('later')", "a run with raises:liked failed (KeyError: 'later'): correct its code"),
        (
            "leaves",
            "import sys; sys.exit(0)",
            "a run with leaves:liked failed (RuntimeError: it called exit(0)): correct its code",
        ),
        ("fills", "torch.empty(2**50)", "memory does not suffice (RuntimeError: "),
        ("lacks", "raise MemoryError", "memory does not suffice (MemoryError"),
    ],
)
def test_a_condition_that_fails_in_mid_run_keeps_what_is_done(
    folder: Path, module: str, body: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / f"{module}.py").write_text(f"""
import torch
from pathlib import Path

def liked(image):
    if list(Path("each").glob("*.png")):
        {body}
    return image.mean((1, 2, 3))
""")
    words = ["sample", "tiny", "--condition", f"{module}:liked", "--sampler", "released", "--step-size", "0.3", "--steps", "2"]
    assert cli.main([*words, "--count", "6", "--batch", "2", "--save-images", "each", "--no-check"]) == 2
    assert sentence in capsys.readouterr().err
    rows = json.loads((folder / "each" / "samples.json").read_text())["samples"]
    assert len(rows) == 2 and all((folder / "each" / row["file"]).is_file() for row in rows)


def test_pictures_of_an_earlier_run_are_not_replaced_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_tiny_bundle(tmp_path / "tiny")
    monkeypatch.chdir(tmp_path)
    words = ["sample", "./tiny", "--class", "0", "--steps", "1", "--save-images", "each"]
    assert cli.main([*words, "--count", "3"]) == 0
    before = sorted((tmp_path / "each").iterdir())
    assert cli.main([*words, "--count", "1"]) == 2
    assert "each holds the pictures of an earlier run, which would be replaced: add --resume" in capsys.readouterr().err
    assert sorted((tmp_path / "each").iterdir()) == before
    assert cli.main([*words, "--count", "3", "--steps", "2", "--resume"]) == 2
    assert "another recipe (steps 1 there, 2 here)" in capsys.readouterr().err
    assert cli.main([*words, "--count", "4", "--resume"]) == 0 and cli.main([*words, "--count", "1", "--overwrite"]) == 0
    assert len(list((tmp_path / "each").glob("*.png"))) == 1
