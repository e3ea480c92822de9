"""Does one command in new processes make one and the same picture on a busy machine? Counts the different files.

    python benchmarks/reproducible.py --runs 100

Four processes run at once, with one, two, three and four threads in turn. Printed are the number of different pictures and the
largest difference between any two of them, in levels of 255; with `--precision float32`, say, that of another precision.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from tqdm import tqdm

from ppgn import images

AT_ONCE = 4


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=100)
    options.add_argument("--bundle", default="imagenette64")
    options.add_argument("--class", dest="wanted", default="church")
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--precision", default="reproducible")
    given = options.parse_args()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.png" for number in range(given.runs)]
        for first in tqdm(range(0, given.runs, AT_ONCE)):
            started = [
                subprocess.Popen(
                    [sys.executable, "-m", "ppgn.cli", "sample", given.bundle, "--class", given.wanted, "--count", "2", "--steps",
                     str(given.steps), "--precision", given.precision, "--out", str(file)],
                    env={**os.environ, "OMP_NUM_THREADS": str(1 + number)}, stdout=subprocess.DEVNULL,
                )
                for number, file in enumerate(files[first : first + AT_ONCE])
            ]  # fmt: skip
            if any(one.wait() for one in started):
                raise SystemExit("a run failed, expected a picture of each: see above")
        pictures = {file.read_bytes(): images.load_image(file) for file in files}
    levels = 255 * torch.stack(list(pictures.values()))
    spread = float((levels.amax(0) - levels.amin(0)).max())
    print(
        f"{given.runs} runs in {time.perf_counter() - begun:.0f} s: {len(pictures)} different pictures, up to {spread:.0f} levels"
    )


if __name__ == "__main__":
    main()
