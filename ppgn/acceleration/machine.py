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


def devices_here() -> list[str]:
    """Names of the devices that this machine has, such as cpu and cuda:0."""
    accelerator = torch.accelerator.current_accelerator()
    if accelerator is None:
        return ["cpu"]
    return ["cpu", *(f"{accelerator.type}:{number}" for number in range(torch.accelerator.device_count()))]


def device_of(device: torch.device | str) -> torch.device:
    """The device of that name. Raises ValueError, with those that this machine has, for any other."""
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError):
        found = None
    if found is None or (found.type not in ("cpu", "meta") and f"{found.type}:{found.index or 0}" not in devices_here()):
        raise ValueError(f"got the device {device!r}, expected one that this machine has: {', '.join(devices_here())}")
    return found


def facts_of_run(device: torch.device, batch: int) -> dict[str, Any]:
    """batch, device, its name, threads, and the versions of torch and Python, as JSON."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return {"batch": batch, "device": device.type, "device_name": name, "threads": torch.get_num_threads(), **versions}
