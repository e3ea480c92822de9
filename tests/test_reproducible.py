"""Precision "reproducible": one chain's picture is the same alone, in any batch, and with any number of threads."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle

import ppgn
from ppgn import sampling

ROOT = Path(__file__).parents[1]
SETTINGS: dict[str, Any] = {"precision": "reproducible", "steps": 3}


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def net() -> ppgn.Bundle:
    return ppgn.load("imagenette64")


def wanted(net: ppgn.Bundle, kind: str) -> Any:
    return "church" if kind == "class" else ppgn.unit(net.parts["encoder"].trunk, "7:11")


@pytest.mark.parametrize("kind", ["class", "unit"])
def test_a_chain_is_the_same_alone_in_a_row_and_on_one_thread_and_two(net: ppgn.Bundle, kind: str) -> None:
    torch.set_num_threads(2)
    row = ppgn.sample(net, wanted(net, kind), count=3, **SETTINGS)
    again = ppgn.sample(net, wanted(net, kind), count=3, batch=2, **SETTINGS)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    alone = ppgn.sample(net, wanted(net, kind), count=1, seed=2, **SETTINGS)
    assert torch.equal(row.images, again.images)
    assert torch.equal(row.images[2:], alone.images) and torch.equal(row.log_prob[2:], alone.log_prob)
    assert row.run == alone.run and row.run["batch"] == row.run["threads"] == 1
    assert row.recipe.precision == "reproducible"


def test_without_it_a_row_differs_by_rounding(net: ppgn.Bundle) -> None:
    """What the promise is for: if this fails, the precision has lost its purpose."""
    row = ppgn.sample(net, "church", count=5, steps=3, precision="float32")
    alone = ppgn.sample(net, "church", count=1, seed=4, steps=3, precision="float32")
    assert not torch.equal(row.images[4:], alone.images)


def test_chains_in_turn_are_reproducible_one_at_a_time(net: ppgn.Bundle) -> None:
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        found.append([step.image for _, step in sampling.walk(net, ["church", "tench"], 2, precision="reproducible")][-1])
        assert torch.get_num_threads() == count
    assert torch.equal(*found)
    with pytest.raises(ValueError, match="got precision reproducible and count 2, expected 1"):
        sampling.walk(net, ["church"], 2, count=2, precision="reproducible")


def test_samples_say_what_rounding_depends_on(tmp_path: Path) -> None:
    samples = ppgn.sample(tiny_bundle(), 1, count=3, batch=2, steps=2)
    run = json.loads(samples.save(tmp_path).read_text())["run"]
    assert run == {
        "batch": 2, "device": "cpu", "device_name": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "python": ".".join(map(str, sys.version_info[:3])),
    }  # fmt: skip


def test_new_processes_on_a_busy_machine_make_one_and_the_same_picture(tmp_path: Path) -> None:
    """Four commands at once; benchmarks/reproducible.py runs a hundred."""
    commands = []
    for number in range(4):
        command = [
            sys.executable,
            "-m",
            "ppgn.cli",
            "sample",
            "imagenette64",
            "--class",
            "church",
            "--count",
            "1",
            "--steps",
            "2",
        ]
        command += ["--precision", "reproducible", "--out", str(tmp_path / f"{number}.png")]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(1 + number % 3)}
        commands.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    assert [one.wait(timeout=300) for one in commands] == [0] * 4
    assert len({(tmp_path / f"{number}.png").read_bytes() for number in range(4)}) == 1


@pytest.mark.parametrize("name", ["猫", "Café", "a red handbag " * 20, "type:Bag & colour:Red", "../up", "CON"])
def test_files_of_samples_keep_every_script_and_stay_short_and_unique(tmp_path: Path, name: str) -> None:

    samples = dataclasses.replace(ppgn.sample(tiny_bundle(), [0, 1], count=2, steps=1), names=(name, name), seeds=(7, 8))
    samples.save(tmp_path)
    files = [row["file"] for row in json.loads((tmp_path / "samples.json").read_text(encoding="utf-8"))["samples"]]
    assert len(set(files)) == 2 and all((tmp_path / file).is_file() and len(file.encode()) <= 143 for file in files)
    assert name not in ("猫", "Café") or all(name in file for file in files)
