"""What rounding depends on beside the code: threads, device, versions."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums run in one order: on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def facts_of_run(device: torch.device, batch: int) -> dict[str, Any]:
    """batch, device, its name, threads, and the versions of torch and Python, as JSON."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return {"batch": batch, "device": device.type, "device_name": name, "threads": torch.get_num_threads(), **versions}
