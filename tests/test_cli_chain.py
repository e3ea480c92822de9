"""`ppgn chain`: a video or a sheet of chains on their way, and what is said when it cannot be made."""

import re
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from ppgn import cli, images
from ppgn.recipes import NAMED

STILLS = """
from dataclasses import dataclass, replace
from ppgn import ChainState

@dataclass(frozen=True)
class Still:
    push: float = 0.1
    step_size: float = 0.2  # a plain number, where the bundle's own rule has a schedule

    def init(self, code, seeds):
        return ChainState(code, tuple(seeds))

    def step(self, state, objective):
        found = objective.evaluate(state.code)
        return replace(state, code=state.code + self.push * self.step_size, step=state.step + 1), found
"""


def chain(*arguments: str) -> int:
    return cli.main(["chain", "tiny", *arguments])


def test_a_gif_has_a_frame_for_each_step_of_each_class_and_one_more(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chain("--class", "tench", "ball", "--steps", "4", "--count", "2", "--out", "walk.gif") == 0
    with Image.open(folder / "walk.gif") as video:
        assert getattr(video, "n_frames", 1) == 4 * 2 + 1
        assert video.width > 2 * 100
    assert "2 chains through tench, golf ball, 4 steps each" in capsys.readouterr().out


def test_every_thins_the_frames_and_fps_times_them(folder: Path) -> None:
    assert chain("--class", "tench", "--steps", "8", "--every", "4", "--fps", "5", "--out", "walk.gif") == 0
    with Image.open(folder / "walk.gif") as video:
        assert (getattr(video, "n_frames", 1), video.info["duration"]) == (3, 200)


def test_a_sheet_shows_the_frames_side_by_side(folder: Path) -> None:
    assert chain("--class", "all", "--steps", "2", "--every", "2", "--no-labels", "--out", "sheet.png") == 0
    tile = 160 + 2 * images.GAP
    side = 3 * (tile + images.GAP) + images.GAP  # 2 * 4 + 1 steps, every second one: 5 frames, 3 columns
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width == side and sheet.height == 2 * (tile + images.GAP) + images.GAP


def test_a_chain_from_a_picture_begins_at_its_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1))
    images.save_image(pixels, folder / "own.png")
    begun = []
    monkeypatch.setattr("ppgn.sampling.walk", lambda *_, code, **__: begun.append(code) or iter(()))
    chain("--class", "tench", "--from", "own.png", "--count", "3", "--out", "own.gif")
    from ppgn.bundle import load_bundle

    wanted = load_bundle("tiny").encoder(images.load_image(folder / "own.png", 8, 1)[None])
    torch.testing.assert_close(begun[0], wanted.expand(3, -1))


def test_units_are_asked_for_one_after_the_other(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chain("--unit", "fc6:3,8", "--steps", "2", "--out", "units.gif") == 0
    assert "through fc6:3, fc6:8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--class", "tench", "--out", "a.avi"], ".gif"),
        (["--class", "tench", "--every", "0"], "got --every 0, expected at least 1"),
        (["--class", "tench", "--count", "0"], "got --count 0, expected at least 1"),
        (["--class", "tench", "--fps", "99"], "got 99.0 frames per second"),
        (["--class", "tench", "--from", "none.png"], "none.png"),
        (["--class", "tench", "--recipe", "ppgn_y"], "unknown --recipe 'ppgn_y': choose ppgn_x, dgn_am"),
        (["--class", "tench", "--recipe", "ppgn_x"], "has no pixel denoiser"),
        ([], "which class?"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert chain(*arguments) == 2
    printed = capsys.readouterr().err
    assert said in printed and "Traceback" not in printed
    assert not list(folder.glob("*.gif"))


@pytest.mark.parametrize(
    ("number", "arguments", "kept"),
    [
        (1, ["--class", "tench"], 11 // 5 + 1),
        (2, ["--class", "tench", "ball"], 21),
        (6, ["--class", "tench", "--from", "own.png"], 11),
        (7, ["--class", "tench", "--from", "own.png", "--box", "1,1,3,3"], 11),
    ],
)
def test_a_released_example_writes_what_its_script_saves(
    folder: Path, capsys: pytest.CaptureFixture[str], number: int, arguments: list[str], kept: int
) -> None:
    images.save_image(torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)), folder / "own.png")
    options = ["--bundle", "tiny", "--steps", "10", "--seeds", "3", "--save-images", "each"]
    assert cli.main(["example", str(number), *arguments, *options]) == 0
    assert len(list((folder / "each").glob("*_seed3_step*.png"))) == kept
    assert f"{kept} pictures of example {number}" in capsys.readouterr().out
    assert (folder / "example.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1"], "example 1 needs --class"),
        (["1", "--class", "tench", "--unit", "fc6:1"], "example 1 has no use for --unit"),
        (["1", "--class", "tench", "ball"], "example 1 got 2 classes, expected one"),
        (["4", "--unit", "fc6:1"], "example 4 needs --network"),
        (["5", "--caption", "a bag"], "has no captioner: use another bundle"),
        (["3", "--unit", "trunk.block0:1@centre", "--steps", "1"], "example 3 kept no picture"),
    ],
)
def test_what_an_example_lacks_is_said(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert cli.main(["example", *arguments, "--bundle", "tiny"]) == 2
    assert said in capsys.readouterr().err


def test_the_help_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["chain", "--help"])
    shown = set(re.findall(r"\w+", capsys.readouterr().out.partition("a published method:")[2]))
    assert set(NAMED) <= shown


def test_each_unit_of_a_walk_that_is_labelled_by_a_value_is_asked_for_in_its_turn(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = []
    monkeypatch.setattr("ppgn.images.grid", lambda image, shown, **_: labels.append(shown) or images.to_pil(image[0]))
    assert chain("--unit", "fc7:3,5", "--measure", "log_softmax", "--steps", "2", "--out", "units.gif") == 0
    assert [label.partition(" ")[0] for [label] in labels] == ["fc7:3"] * 3 + ["fc7:5"] * 2
    assert all(0 <= float(label.partition(" ")[2]) <= 1 for [label] in labels)


def test_chains_of_a_rule_of_the_users_own_walk_by_its_fields(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "stills.py").write_text(STILLS)
    monkeypatch.syspath_prepend(str(folder))
    rule = ["--sampler", "stills:Still", "--push", "0.5"]
    assert chain("--class", "tench", *rule, "--steps", "2", "--out", "still.gif") == 0
    assert chain("--class", "tench", *rule, "--momentum", "0.5", "--steps", "2") == 2


@pytest.mark.parametrize("speed", ["0.001", "0", "nan", "inf", "-5", "1e-300"])
def test_a_speed_that_no_gif_can_have_is_refused_before_the_run(
    folder: Path, speed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    assert cli.main(["chain", "tiny", "--class", "0", "--steps", "100000", f"--fps={speed}", "--out", "c.gif"]) == 2
    assert time.monotonic() - begun < 30 and "frames per second, expected at least" in capsys.readouterr().err
    assert not (folder / "c.gif").exists()


@pytest.mark.parametrize(
    ("steps", "count", "out"), [("300000", "1", "c.jpg"), ("100", "11000", "c.mp4"), ("100", "200000", "c.gif")]
)
def test_a_sheet_or_frame_that_is_too_large_is_refused_before_the_run(
    folder: Path, steps: str, count: str, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    images.save_image(torch.rand(1, 8, 8), folder / "photo.png")
    words = ["chain", "tiny", "--class", "0", "--from", "photo.png", "--steps", steps, "--count", count, "--out", out]
    begun = time.monotonic()
    assert cli.main(words) == 2
    assert time.monotonic() - begun < 60 and "a side in" in capsys.readouterr().err


def test_the_size_of_a_sheet_is_known_before_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int] | None] = []
    check = images.check_writable
    monkeypatch.setattr(
        images, "check_writable", lambda path, *rest, size=None: (said.append(size), check(path, *rest, size=size))
    )
    for words in (["--count", "3", "--every", "2"], ["--no-labels"]):
        assert cli.main(["chain", "tiny", "--class", "0", "1", "--steps", "4", *words, "--out", "c.png"]) == 0
        with Image.open("c.png") as opened:
            assert said[-1] == (opened.height, opened.width)
