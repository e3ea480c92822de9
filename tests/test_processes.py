"""Runs of several processes: the same pictures and codes for any number of them, and what a process that dies takes with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_bundle
from safetensors.torch import load_file

import ppgn
from ppgn import cli, sampling
from ppgn.sampling import Rank

ROOT = Path(__file__).parents[1]
SLOW = "import time\n\ndef slow(image):\n    time.sleep(0.05)\n    return image.mean((1, 2, 3))\n"
REQUESTS = {
    "class": ["--class", "tench", "golf ball", "--count", "7"],
    "unit": ["--unit", "trunk.block0:1", "--count", "9"],
}


def sampled(place: Path, out: str, words: list[str], number: int, *more: str) -> Path:
    """The folder of a run of so many processes."""
    command = [sys.executable, "-m", "ppgn", "sample", "tiny", *words, "--batch", "3", "--steps", "3", "--save-images", out,
               "--devices", str(number), "--out", f"{out}.png", *more]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return place / out


def codes_of(folder: Path) -> torch.Tensor:
    return torch.cat([load_file(file)["codes"] for file in sorted(folder.glob("blocks/*/codes.safetensors"))])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "slowly.py").write_text(SLOW)
    return tmp_path


@pytest.mark.slow  # seven processes for each request
@pytest.mark.parametrize("kind", REQUESTS)
def test_two_and_four_processes_give_the_pictures_and_codes_of_one(place: Path, kind: str) -> None:
    whole = ppgn.load(place / "tiny")
    several = {number: sampled(place, f"by{number}", REQUESTS[kind], number) for number in (2, 4)}
    names, count = (["tench"] * 7 + ["golf ball"] * 7, 14) if kind == "class" else (sampling_unit(whole), 9)
    list(sampling.sample_share(place / "by1", whole, names, Rank(), count=count, seed=seeds(kind), batch=3, steps=3))
    assert sampling.join(place / "by1") == []
    for folder in several.values():
        assert torch.equal(codes_of(folder), codes_of(place / "by1"))
        assert (folder / "samples.json").read_text() == (place / "by1" / "samples.json").read_text()
        for row in sampling.read_rows(folder):
            assert (folder / row["file"]).read_bytes() == (place / "by1" / row["file"]).read_bytes()
    assert (place / "by2.png").read_bytes() == (place / "by4.png").read_bytes()


def seeds(kind: str) -> list[int]:
    return [seed for _ in range(2) for seed in range(7)] if kind == "class" else list(range(9))


def sampling_unit(bundle: ppgn.Bundle) -> ppgn.requests.Request:
    return ppgn.requests.parse(bundle, unit="trunk.block0:1")


@pytest.mark.slow  # processes that start, one of which is killed
def test_a_process_that_is_killed_loses_its_block_alone(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["sample", "tiny", "--condition", "slowly:slow", "--prior", "none", "--count", "24", "--batch", "3", "--steps", "4",
             "--save-images", "each", "--devices", "2", "--out", "each.png"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "ppgn", *words]
    parent = subprocess.Popen(command, cwd=place, env=environment, stderr=subprocess.PIPE, text=True)
    whole = place / "each" / "blocks"
    while len(list(whole.glob("*/samples.json"))) < 2:
        assert parent.poll() is None
        time.sleep(0.01)
    mine = subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(mine[0]), signal.SIGKILL)
    _, said = parent.communicate(timeout=120)
    assert parent.returncode == 2 and "ended by SIGKILL; blocks that are missing" in said and "--resume goes on" in said
    kept = {file: file.stat().st_mtime_ns for file in whole.glob("*/*.png")}
    others = [f"{number:06d}" for number in range(1, 8, 2)]  # the blocks of the other process are all there
    assert all((whole / name / "samples.json").is_file() for name in others)
    again = subprocess.run([*command, "--resume"], cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    rows = sampling.read_rows(place / "each")
    assert len(rows) == 24 and [row["seed"] for row in rows] == list(range(24))
    assert {file: file.stat().st_mtime_ns for file in kept} == kept  # nothing was made twice


def test_a_share_is_every_nth_block_and_the_last_process_joins(tmp_path: Path) -> None:
    bundle = ppgn.load(save_tiny_bundle(tmp_path / "tiny"))
    options = {"count": 8, "batch": 3, "steps": 1}
    first = list(sampling.sample_share(tmp_path / "run", bundle, "tench", Rank(0, 2), **options))
    assert [part.seeds for part in first] == [(0, 1, 2), (6, 7)]
    assert sampling.join(tmp_path / "run") == [1] and not (tmp_path / "run" / "samples.json").exists()
    (tmp_path / "run" / "blocks" / "000000" / "codes.safetensors").unlink()
    rest = list(sampling.sample_share(tmp_path / "run", bundle, "tench", Rank(), **options))  # one process ends it
    assert [part.seeds for part in rest] == [(0, 1, 2), (3, 4, 5)]
    assert sampling.join(tmp_path / "run") == []
    rows = json.loads((tmp_path / "run" / "samples.json").read_text())["samples"]
    assert [row["file"] for row in rows][3:5] == ["blocks/000001/0000_tench_3.png", "blocks/000001/0001_tench_4.png"]
    with pytest.raises(ValueError, match="is of 8 chains, got 9"):
        next(sampling.sample_share(tmp_path / "run", bundle, "tench", Rank(), count=9))
    with pytest.raises(ValueError, match="is of another recipe"):
        next(sampling.sample_share(tmp_path / "run", bundle, "tench", Rank(), count=8, steps=2))


def test_the_numbers_of_a_process_come_from_its_launcher() -> None:
    assert Rank.here({}) == Rank(0, 1, 0)
    assert Rank.here({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == Rank(5, 8, 1)
    assert Rank.here({"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "3"}) == Rank(3, 4, 3)
    with pytest.raises(ValueError, match="RANK='8'.*expected the numbers of a process"):
        Rank.here({"RANK": "8", "WORLD_SIZE": "8"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--devices", "0"], "got --devices 0, expected at least 1"),
        (["--devices", "2"], "got several processes without --save-images"),
        (["--devices", "2", "--save-images", "a", "--report", "a.html"], "got --report with several processes"),
    ],
)
def test_what_does_not_fit_several_processes_is_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    monkeypatch.chdir(place)
    assert cli.main(["sample", "tiny", "--class", "tench", "--count", "2", *words]) == 2
    assert said in capsys.readouterr().err
