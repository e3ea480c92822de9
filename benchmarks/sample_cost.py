"""The cost of the main command, import included: wall seconds and the peak memory of its process.

python benchmarks/sample_cost.py
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time

COMMAND = "sample imagenette64 --class church --count 16 --steps 200 --seed 0"


def measure(command: str) -> dict[str, float | str | int]:
    """Seconds and peak memory of `ppgn COMMAND`, run once in a separate process."""
    with tempfile.TemporaryDirectory() as room:
        begun = time.perf_counter()
        call = [sys.executable, "-m", "ppgn.cli", *command.split(), "--out", os.path.join(room, "church.png")]
        subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # kilobytes on Linux, bytes on macOS
    gigabytes = peak / (1e9 if sys.platform == "darwin" else 1e6)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "command": f"ppgn {command}",
        "seconds": round(seconds, 1),
        "peak_gigabytes": round(gigabytes, 2),
        "machine": platform.machine(),
        "cores": cores,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--command", default=COMMAND, help="the arguments of `ppgn` (default: sixteen churches, 200 steps)")
    options.add_argument("--json", action="store_true", help="print JSON in place of a sentence")
    given = options.parse_args()
    cost = measure(given.command)
    sentence = "{command}: {seconds} s, import included, peak memory {peak_gigabytes} GB ({cores} cores, {machine})"
    print(json.dumps(cost) if given.json else sentence.format(**cost))


if __name__ == "__main__":
    main()
