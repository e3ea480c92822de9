"""The generator and CaffeNet of full size, random weights, in a process of their own: they fit into 4 GB and run as released."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from caffe_pairs import write_pair

BYTES = 4e9
STEPS = 20

IMPORT_AND_RUN = """
import sys, resource
from ppgn import cli, load
from ppgn.sampling import examples

generator, encoder, out = sys.argv[1:3], sys.argv[3:5], sys.argv[5]
assert cli.main(["import-caffe", "--generator", *generator, "--encoder", *encoder, "--out", out]) == 0
bundle = load(out)
example = examples.example_1(bundle, 13, steps=int(sys.argv[6]))
states = list(example.run())
image = states[-1][1].image
assert bool(image.isfinite().all()) and tuple(image.shape) == (1, 3, 256, 256)
moved = [float((after.code - before.code).abs().mean()) for (before, _), (after, _) in zip(states, states[1:])]
weights = sum(tensor.numel() for part in bundle.parts.values() for tensor in part.parameters())
highest = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(len(states), max(moved), weights, int(highest.split()[1]) * 1024)
"""


@pytest.mark.slow
def test_the_full_size_pair_runs_the_released_class_example_in_less_than_4_gb(tmp_path: Path) -> None:
    generator, encoder = write_pair(tmp_path, width=1)
    given = [*generator, *encoder, str(tmp_path / "original"), str(STEPS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", IMPORT_AND_RUN, *given], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    updates, moved, weights, memory = (float(word) for word in done.stdout.split()[-4:])
    assert updates == STEPS + 1
    assert 0.1 < moved <= 1.001  # the released step: a mean of 1 a unit, less what the clip takes
    assert 115e6 < weights < 120e6  # 56.1 and 61.0 million
    assert memory < BYTES
