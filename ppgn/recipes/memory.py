"""How many chains fit into memory at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn.bundle import Bundle
from ppgn.recipes.classes import of_chains
from ppgn.recipes.runs import start_for
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import device_of, objective_for

MOST, MOST_ELSEWHERE = 16, 64
"""More chains at once are not faster per chain: on a processor 16 are fastest (docs/speed.md). 64 for an accelerator is a guess:
none was at hand."""
FEW = 8
"""So many run at once without a measurement."""
UNKNOWN = 4 * 2**30
"""Bytes taken to be free where the system does not say."""
SHARE = 0.5
"""Of the free memory."""
CGROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""What a container may use and does, of both versions of Linux' control groups."""
BEYOND_KEPT = 2.0
"""Peak memory of a step / what its graph keeps: gradients and the libraries' own buffers come on top."""


def batch_for(bundle: Bundle, asked: Any, settings: Settings, count: int) -> int:
    """Chains to run at once of `count`: as many as memory holds, at most `MOST`. It changes memory and time, and
    results by rounding only.

    What a chain needs is measured in one evaluation of one chain. A condition with a request of its own for each chain that does
    not say by `of(chains)` what one is asked for can only be asked of all at once: then all are.
    """
    if count <= FEW:
        return count
    try:
        needed = BEYOND_KEPT * kept_bytes(bundle, of_chains(asked, [0]), settings)
    except Exception:  # made for `count` chains, whatever it then raises; if it is another mistake, the run itself will say so
        return count
    device = device_of(bundle)
    most = MOST if device.type == "cpu" else MOST_ELSEWHERE
    return max(1, min(count, most, int(SHARE * free_bytes(device) / max(needed, 1.0))))


def kept_bytes(bundle: Bundle, asked: Any, settings: Settings) -> int:
    """Bytes of the tensors that the graph of one chain's evaluation keeps for its way back, weights left out."""
    weights = {tensor.data_ptr() for network in bundle.parts.values() for tensor in network.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not tensor.is_leaf and storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    objective = objective_for(bundle, asked, settings)
    code = start_for(bundle, [0], dataclasses.replace(settings, draws=1))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective.evaluate(code)
    return sum(sizes.values())


def free_bytes(device: torch.device) -> int:
    """Memory that is free on a device; of the main memory what could be had without swapping and within a container's limit."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    told = Path("/proc/meminfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*(available or [UNKNOWN]), *_left_in_container()])


def _left_in_container() -> list[int]:
    """Bytes below the limit, files that are only cached not counted; [] without a limit."""
    for limit, used in LIMITS:
        try:
            left = int((CGROUPS / limit).read_text()) - int((CGROUPS / used).read_text())
            stat = (CGROUPS / used).with_name("memory.stat").read_text().split()
        except (OSError, ValueError):  # not this version, or no number but "max"
            continue
        counts = dict(zip(stat[::2], stat[1::2], strict=True))
        return [max(0, left + int(counts.get("total_inactive_file", counts.get("inactive_file", 0))))]
    return []
