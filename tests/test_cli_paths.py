"""Paths on the command line: none that is empty, and none of a file that is read or written twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ppgn import cli, images

SAMPLE = ["sample", "tiny", "--class", "0", "--count", "2", "--steps", "2"]
FILL = ["--count", "1", "--steps", "1"]


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_an_input_that_is_a_link_to_an_output_is_kept(link: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("each", "elsewhere"):
        (folder / name).mkdir()
    for name in ("picture.png", "mask.png", "filled_0.png"):
        images.save_image((torch.rand(1, 8, 8) > 0.5).float(), folder / "each" / name)
        getattr(folder / "elsewhere" / name, link)(folder / "each" / name)
    (folder / "folder").symlink_to("each")
    images.save_image(torch.rand(1, 8, 8), folder / "photo.png")
    before = {path: path.read_bytes() for path in (folder / "each").iterdir()}
    for words in (
        ["inpaint", "tiny", "elsewhere/picture.png", "--save-images", "each"],
        ["inpaint", "tiny", "elsewhere/filled_0.png", "--save-images", "folder"],
        ["inpaint", "tiny", "photo.png", "--mask", "elsewhere/mask.png", "--save-images", "each"],
    ):
        assert cli.main([*words, *FILL]) == 2, words
        assert "which is read" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (folder / "each").iterdir()} == before
    assert cli.main(["inpaint", "tiny", "photo.png", "--save-images", "each", *FILL]) == 0


def test_settings_that_are_a_link_into_the_folder_that_is_written_are_kept(folder: Path) -> None:
    assert cli.main([*SAMPLE, "--save-images", "each"]) == 0
    (folder / "settings.json").symlink_to("each/samples.json")
    before = (folder / "each" / "samples.json").read_bytes()
    assert cli.main([*SAMPLE, "--settings", "settings.json", "--seed", "5", "--save-images", "each"]) == 2
    assert (folder / "each" / "samples.json").read_bytes() == before
    assert cli.main([*SAMPLE, "--settings", "settings.json", "--save-images", "each", "--resume"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        [*SAMPLE, "--out", "each/0001_tench_1.png", "--save-images", "each"],
        ["inpaint", "tiny", "photo.png", "--out", "each/filled_0.png", "--save-images", "each"],
        ["inpaint", "tiny", "photo.png", "--out", "each/mask.png", "--save-images", "folder", "--overwrite"],
    ],
)
def test_two_outputs_of_one_name_are_refused(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save_image(torch.rand(1, 8, 8), folder / "photo.png")
    (folder / "each").mkdir()
    (folder / "folder").symlink_to("each")
    assert cli.main(words) == 2
    assert "has the name of a file that goes into" in capsys.readouterr().err
    assert not list((folder / "each").iterdir())


EMPTY = [
    [*SAMPLE, "--save-images", ""],
    [*SAMPLE, "--save-images="],
    [*SAMPLE, "--out", ""],
    [*SAMPLE, "--settings", ""],
    [*SAMPLE, "--device", ""],
    ["sample", "tiny", "--class", ""],
    ["sample", "tiny", "--class", "0", ""],
    ["sample", "", "--class", "0"],
    ["sample", "tiny", "--class", "0", "--network", "torchvision:resnet18", "--weights", ""],
    ["sample", "tiny", "--direction", "", "--layer", "trunk.0"],
    ["sample", "tiny", "--sae", "", "--latent", "0", "--layer", "trunk.0"],
    ["sample", "tiny", "--condition", ""],
    ["chain", "tiny", "--class", "0", "--from", ""],
    ["inpaint", "tiny", ""],
    ["inpaint", "tiny", "photo.png", "--mask", ""],
    ["inpaint", "tiny", "photo.png", "--save-images", ""],
    ["evaluate", "tiny", "--real", ""],
    ["evaluate", "tiny", "--real", "val", "--train", ""],
    ["evaluate", "tiny", "--real", "val", "--samples", ""],
    ["evaluate", "tiny", "--real", "val", "--judge-weights", ""],
    ["evaluate", "tiny", "--real", "val", "--judge-classes", ""],
    ["evaluate", "tiny", "--real", "val", "--out", ""],
    ["tune", "tiny", "--class", "0", "--out", ""],
    ["example", "6", "--save-images", ""],
    ["layers", ""],
    ["bundles", ""],
    ["bundles", "--migrate", ""],
    ["import-caffe", "--generator", "", "a", "--encoder", "a", "b", "--out", "x"],
    ["import-caffe", "--generator", "a", "b", "--encoder", "a", "b", "--out", ""],
    ["import-deepsim", ""],
]


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_value_is_refused_before_anything_is_done(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.save_image(torch.rand(1, 8, 8), folder / "photo.png")
    before = sorted(folder.rglob("*"))
    if words[0] == "import-deepsim":
        words = [*words, "--encoder", "a", "b", "--out", "x"]
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ppgn: error: got ") and "with nothing" in line
    assert sorted(folder.rglob("*")) == before


def test_a_text_may_be_empty() -> None:
    given = cli.parse(["sample", "tiny", "--text", "a church", "--against", "", "--similarity", "hf:clip"])
    assert given.against == [""]
