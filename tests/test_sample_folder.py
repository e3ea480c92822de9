"""What a folder of samples holds at any moment is what its samples.json describes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import save_tiny_bundle, tiny_bundle

import ppgn
from ppgn import sampling

ROOT = Path(__file__).parents[1]
RUN = """
import sys, time
import ppgn
from ppgn import sampling
bundle = ppgn.load(sys.argv[1])
for part in sampling.sample_into(sys.argv[2], bundle, 1, count=12, seed=int(sys.argv[3]), batch=2, steps=2):
    print("batch", flush=True)
    time.sleep(float(sys.argv[4]))
"""


def described(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "samples.json").read_text())["samples"]


def run(bundle: Path, folder: Path, seed: int, pause: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(bundle), str(folder), str(seed), str(pause)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def kill_after(process: subprocess.Popen[str], batches: int) -> None:
    assert process.stdout is not None
    for _ in range(batches):
        assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.wait()


def check(folder: Path, seeds: list[int]) -> None:
    """Each row describes the picture that chains of its seed make."""
    rows = described(folder)
    assert [row["seed"] for row in rows] == seeds
    whole = ppgn.sample(tiny_bundle(), 1, count=len(seeds), seed=seeds, batch=2, steps=2)
    fresh = folder.with_name("fresh")
    whole.save(fresh)
    for row, other in zip(rows, described(fresh), strict=True):
        assert (folder / row["file"]).read_bytes() == (fresh / other["file"]).read_bytes()


def test_a_killed_run_leaves_what_is_described_and_a_resumed_one_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    kill_after(run(bundle, folder, 5, 0.2), 2)
    count = len(described(folder))
    assert 4 <= count < 12
    check(folder, list(range(5, 5 + count)))
    parts = list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=12, seed=5, batch=2, steps=2, resume=True))
    assert sum(len(part) for part in parts) == 12 - count
    check(folder, list(range(5, 17)))
    assert len(list(folder.glob("*.png"))) == 12


def test_a_second_run_that_is_killed_describes_its_own_pictures_alone(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    assert run(bundle, folder, 5, 0.0).wait() == 0
    kill_after(run(bundle, folder, 6, 0.2), 1)
    count = len(described(folder))
    check(folder, list(range(6, 6 + count)))


def test_a_run_takes_away_what_the_one_before_it_described_and_nothing_else(tmp_path: Path) -> None:
    bundle, folder = tiny_bundle(), tmp_path / "each"
    list(sampling.sample_into(folder, bundle, 1, count=4, seed=6, batch=2, steps=2))
    check(folder, [6, 7, 8, 9])
    (folder / "mine.png").write_bytes(b"")
    ppgn.sample(bundle, 1, count=2, seed=[6, 7], batch=2, steps=2).save(folder)
    assert {path.name for path in folder.iterdir()} == {"samples.json", "mine.png", *(row["file"] for row in described(folder))}


def test_two_runs_at_once_into_one_folder_are_refused(tmp_path: Path) -> None:
    bundle, folder = save_tiny_bundle(tmp_path / "tiny"), tmp_path / "each"
    first = run(bundle, folder, 5, 1.0)
    assert first.stdout is not None and first.stdout.readline() == "batch\n"
    with pytest.raises(ValueError, match="is written by another process already"):
        list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=2, steps=2))
    first.kill()
    first.wait()
    begun = time.monotonic()
    list(sampling.sample_into(folder, ppgn.load(bundle), 1, count=2, steps=2))
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"wanted": 0}, "is of other targets or seeds"),
        ({"seed": 1}, "is of other targets or seeds"),
        ({"steps": 3}, "is of another recipe"),
        ({"broken": '{"samples": 3}'}, "it describes no samples"),
        ({"broken": "{"}, "cannot read"),
    ],
)
def test_a_run_of_something_else_is_not_resumed_and_its_pictures_stay(
    changed: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    bundle = tiny_bundle()
    list(sampling.sample_into(tmp_path, bundle, 1, count=2, steps=2))
    if "broken" in changed:
        (tmp_path / "samples.json").write_text(changed.pop("broken"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    wanted = changed.pop("wanted", 1)
    with pytest.raises(ValueError, match=sentence):
        list(sampling.sample_into(tmp_path, bundle, wanted, **{"count": 2, "steps": 2, "resume": True, **changed}))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
