"""How time and memory grow: with chains, with steps, with processes.

    python benchmarks/scaling.py

All on imagenette64 with its classifier, as it is loaded. Seconds of a step for 1 to 512 chains, in batches that ppgn chooses, and
the exponent of a power law through those from 8 chains on. The peak memory of a process after 50 and after 1,000 steps, beside
that of the floor of steps.py. Chain-steps per second of two processes with one thread each, started together, and of one.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from typing import Any

import torch
from steps import floor, ours
from timing import alternating, mebibytes, table
from worlds import of_bundle, targets

import ppgn

COUNTS = (1, 8, 64, 512)
"""Numbers of chains."""
MEMORY_CHAINS = 4
"""Chains of the processes whose memory is measured."""


def sampled(chains: int, steps: int) -> Any:
    """A call that samples this many chains as a user would."""
    loaded = ppgn.load("imagenette64")

    def call() -> None:
        ppgn.sample(loaded, targets(chains), steps=steps, start="codes", draws=1)

    return call


def with_chains(repeats: int, counts: tuple[int, ...] = COUNTS) -> list[dict[str, float]]:
    """Rows of chains and seconds of a step."""
    steps = 2
    taken = alternating({str(chains): sampled(chains, steps) for chains in counts}, repeats)
    return [{"chains": int(chains), "seconds": value / steps} for chains, value in taken.items()]


def exponent(rows: list[dict[str, float]], least: int = 8) -> float:
    """The slope of log seconds over log chains, by least squares."""
    points = [(math.log(row["chains"]), math.log(row["seconds"])) for row in rows if row["chains"] >= least]
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def with_steps(chains: int = MEMORY_CHAINS) -> dict[str, float]:
    """Way and steps -> peak mebibytes of a process; nan where the system does not say."""
    found = {}
    for way, steps in (("ours", 50), ("ours", 1000), ("floor", 50)):
        call = [sys.executable, __file__, "--peak", way, str(chains), str(steps)]
        found[f"{way}, {steps} steps"] = float(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    return found


def peak(way: str, chains: int, steps: int) -> float:
    """Peak mebibytes of this process after the steps."""
    {"ours": ours, "floor": floor}[way](of_bundle(), chains, steps)()
    return mebibytes("VmHWM") or math.nan


def with_processes(repeats: int, chains: int = 8, steps: int = 12) -> dict[str, float]:
    """Chain-steps per second of one process and of two at once."""
    call = [sys.executable, __file__, "--worker", str(chains), str(steps)]
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for count in rates:
            workers = [subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
            for worker in workers:  # all are ready before any begins
                assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
            begun = time.perf_counter()
            for worker in workers:
                assert worker.stdin is not None
                worker.stdin.write("go\n")
                worker.stdin.close()
            for worker in workers:
                worker.wait()
            rates[count].append(count * chains * steps / (time.perf_counter() - begun))
    return {"one process": sorted(rates[1])[repeats // 2], "two processes": sorted(rates[2])[repeats // 2]}


def work(chains: int, steps: int) -> None:
    """Get ready, say so, wait for a line, and sample."""
    sampled(chains, 1)()
    call = sampled(chains, steps)
    print("ready", flush=True)
    sys.stdin.readline()
    call()


def measure(repeats: int = 5) -> dict[str, Any]:
    """All numbers of the report."""
    rows, processes = with_chains(repeats), with_processes(repeats)
    return {
        "chains": rows,
        "exponent": exponent(rows),
        "memory": with_steps(),
        "processes": processes,
        "two / one": processes["two processes"] / processes["one process"],
    }


def report(found: dict[str, Any]) -> str:
    """The table and the sentences below it."""
    rows = [[row["chains"], row["seconds"], row["seconds"] / row["chains"] * 1000] for row in found["chains"]]
    memory = ", ".join(f"{name} {value:.0f} MiB" for name, value in found["memory"].items())
    return "\n".join(
        [
            table(["chains", "s a step", "ms per chain"], rows),
            f"\nseconds grow as chains to the power {found['exponent']:.2f} from 8 chains on",
            f"peak memory with {MEMORY_CHAINS} chains: {memory}",
            f"two processes make {found['two / one']:.2f} times as many steps as one",
        ]
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=5, help="rounds that count (default: 5)")
    options.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(peak(given.peak[0], int(given.peak[1]), int(given.peak[2])))
    elif given.worker:
        work(*given.worker)
    else:
        print(report(measure(given.repeats)))


if __name__ == "__main__":
    main()
