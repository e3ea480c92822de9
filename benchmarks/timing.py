"""Timings that can be compared: alternating order, medians, and a description of the machine."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

REPEATS = 5


def alternating(
    ways: Mapping[str, Callable[[], object]], repeats: int = REPEATS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Way -> median seconds of a call, over `repeats` rounds in which each way is called once, in reverse order every second
    round. A first round is not counted. Waits for the accelerator where there is one. clock: `time.process_time` counts the
    processor's seconds, on which other work of the machine acts less."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(repeats + 1):
        for name in list(ways)[:: 1 if number % 2 else -1]:
            gc.collect()
            taken[name].append(seconds(ways[name], clock))
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of a call."""
    _wait()
    begun = clock()
    call()
    _wait()
    return clock() - begun


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def machine() -> dict[str, Any]:
    """Processor, cores, threads, versions and commit."""
    names = ("torch", "torchvision", "lightning", "numpy")
    return {
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
        "commit": _commit(),
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return done.stdout.strip() or None


def mebibytes(name: str) -> float | None:
    """Memory of this process, VmRSS for now or VmHWM for its peak, by /proc; None where there is no /proc. ru_maxrss would count
    what the parent held when it started this process."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), None)


def table(columns: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table; numbers with three significant digits."""

    def shown(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else "-" if value is None else str(value)

    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(shown(value) for value in line) + " |" for line in lines)
