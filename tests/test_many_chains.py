"""More chains than memory holds are refused before memory is taken for them."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle

import ppgn
from ppgn import cli, evaluation, images, requests, sampling, tuning

BILLION = 10**9
CALLS: dict[str, Callable[[Any, int], object]] = {
    "sample": lambda bundle, count: ppgn.sample(bundle, 1, count=count, steps=1),
    "a function": lambda bundle, count: ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=count, steps=1),
    "a request": lambda bundle, count: ppgn.sample(bundle, requests.classes(bundle, 1), count=count, steps=1),
    "each": lambda bundle, count: requests.classes(bundle, [0, 1]).each(count),
    "sample_into": lambda bundle, count: next(sampling.sample_into("each", bundle, 1, count=count, steps=1)),
    "walk": lambda bundle, count: sampling.walk(bundle, [1], 1, count=count),
    "from_picture": lambda bundle, count: sampling.from_picture(bundle, torch.rand(1, 8, 8), 1, count=count, steps=1),
    "in_paint": lambda bundle, count: sampling.in_paint(
        bundle, torch.rand(1, 8, 8), (torch.rand(1, 8, 8) > 0.5).float(), count=count, steps=1
    ),
    "tune": lambda bundle, count: tuning.Tuning(bundle, 1, count=count, steps=1),
    "evaluate": lambda bundle, count: evaluation.prepare(bundle, "val", evaluation.EvaluationOptions(count=count)),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_billion_chains_are_refused_before_memory_is_taken(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bundle = tiny_bundle()
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError, match=rf"^got count {BILLION}( for \d targets)?, expected at most \d+: correct it, or set"
        ):
            CALLS[name](bundle, BILLION)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["sample", "walk", "from_picture", "in_paint", "tune"])
def test_more_pictures_than_memory_holds_at_once_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 100 * 2 * 4 * (64 + 12)  # for 100 chains
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: room)
    with pytest.raises(
        ValueError, match="got count 101, expected at most 100, as memory holds the pictures and codes of all: ask"
    ):
        CALLS[name](tiny_bundle(), 101)


def test_a_folder_takes_more_pictures_than_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: 20 * 2 * 4 * (64 + 12))
    parts = list(sampling.sample_into(tmp_path, tiny_bundle(), 1, count=130, batch=10, steps=1))
    assert [len(part) for part in parts] == [10] * 13
    parts = list(sampling.sample_into(tmp_path, tiny_bundle(), 1, count=80, steps=1, precision="reproducible"))
    assert max(len(part) for part in parts) <= 8  # it does not wait for all of them


def test_a_hundred_thousand_pictures_begin(tmp_path: Path) -> None:
    run = sampling.sample_into(tmp_path, tiny_bundle(), 1, count=100_000, batch=2, steps=1)
    assert len(next(run)) == 2 and len(next(run)) == 2
    del run
    assert len(sampling.read_rows(tmp_path)) == 4


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "tiny", "--class", "0"],
        ["sample", "tiny", "--class", "0", "1", "--save-images", "each"],
        ["sample", "tiny", "--unit", "trunk.block0:0"],
        ["chain", "tiny", "--class", "0"],
        ["inpaint", "tiny", "photo.png"],
        ["tune", "tiny", "--class", "0"],
        ["evaluate", "tiny", "--real", "val"],
    ],
)
def test_a_billion_is_one_sentence_of_the_terminal(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.save_image(torch.rand(1, 8, 8), folder / "photo.png")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cli.main([*words, "--count", str(BILLION)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"ppgn: error: got --count {BILLION}") and "expected at most" in line
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_the_terminal_says_how_more_pictures_are_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: 70 * 2 * 4 * (64 + 12))
    assert cli.main(["sample", "tiny", "--class", "0", "--count", "80", "--steps", "1"]) == 2
    message = capsys.readouterr().err
    assert "got --count 80, expected at most 70" in message and "add --save-images DIR" in message
    assert cli.main(["chain", "tiny", "--class", "0", "--count", "80", "--steps", "1"]) == 2
    assert "save-images" not in capsys.readouterr().err
    assert cli.main(["sample", "tiny", "--class", "0", "--count", "80", "--steps", "1", "--save-images", "each"]) == 0
