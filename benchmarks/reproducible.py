"""Does one command in new processes make one and the same picture on a busy machine? Counts the different files.

    python benchmarks/reproducible.py --runs 100

Four processes run at once, with one, two, three and four threads in turn; `--precision default` runs the command as it is, with
the number of threads that torch chooses. Printed are the number of different pictures and the largest difference between any two
of them, in levels of 255. `--cost 5` times the precision against the default.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

import ppgn
from ppgn import images

AT_ONCE = 4
DEFAULT = "default"
"""The command without a precision, and without a number of threads."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=100)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--class", dest="wanted", default="church")
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--precision", default="reproducible")
    options.add_argument("--cost", type=int, default=0, metavar="PAIRS", help="time the precision in pairs with the default")
    given = options.parse_args()
    if given.cost:
        print(cost(given))
        return
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(given.runs)]
        for first in tqdm(range(0, given.runs, AT_ONCE)):
            started = [run(given, file, 1 + number) for number, file in enumerate(files[first : first + AT_ONCE])]
            said = [one.communicate()[1].decode() for one in started]
            if failed := [text for one, text in zip(started, said, strict=True) if one.returncode]:
                raise SystemExit(f"a run failed, expected a picture of each: {failed[0]}")
        pictures = {file.read_bytes(): images.load_image(file) for file in files}
    levels = 255 * torch.stack(list(pictures.values()))
    spread = float((levels.amax(0) - levels.amin(0)).max())
    print(
        f"{given.runs} runs in {time.perf_counter() - begun:.0f} s: {len(pictures)} different pictures, up to {spread:.0f} levels"
    )


def cost(given: argparse.Namespace) -> str:
    """How much longer sixteen samples take than with default settings: the median of pairs that take turns."""
    bundle, ratios = ppgn.load(given.bundle), []
    for _ in range(1 + given.cost):  # the first pair warms up
        seconds = []
        for changes in ({}, {"precision": given.precision}):
            begun = time.perf_counter()
            ppgn.sample(bundle, given.wanted, count=16, steps=given.steps, **changes)
            seconds.append(time.perf_counter() - begun)
        ratios.append(seconds[1] / seconds[0])
    listed = ", ".join(f"{ratio:.2f}" for ratio in ratios[1:])
    return f"{given.bundle}, precision {given.precision}: {statistics.median(ratios[1:]):.2f} of the default's time ({listed})"


def run(given: argparse.Namespace, file: Path, threads: int) -> subprocess.Popen[bytes]:
    """A process that samples into a file."""
    command = [sys.executable, "-m", "ppgn", "sample", given.bundle, "--class", given.wanted, "--count", "2"]
    command += ["--steps", str(given.steps), "--out", str(file)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if given.precision != DEFAULT:
        command += ["--precision", given.precision]
        environment["OMP_NUM_THREADS"] = str(threads)
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


if __name__ == "__main__":
    main()
