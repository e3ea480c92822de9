"""How many chains fit into memory at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from ppgn.errors import one_line
from ppgn.types import Code

MOST, MOST_ELSEWHERE = 16, 64
"""More chains at once are not faster per chain: on a processor 16 are fastest (docs/speed.md). 64 for an accelerator is a guess:
none was at hand."""
FEW = 8
"""So many chains run at once without a measurement."""
UNKNOWN = 4 * 2**30
"""Bytes taken to be free where the system does not say."""
SHARE = 0.5
"""Of the free memory, which other programs use too."""
CGROUPS = Path("/sys/fs/cgroup")
LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""Files with what a container may use and does use, of both versions of Linux' control groups."""
BEYOND_KEPT = 2.0
"""Peak memory of a step / what its graph keeps: gradients and the libraries' own buffers come on top."""
_log = logging.getLogger("ppgn")


def batch_size(
    function: Callable[[Code], object], code: Code, count: int, device: torch.device, weights: Iterable[Tensor] = ()
) -> int:
    """Chains of `count` to run at once: as many as memory holds, at most MOST, or MOST_ELSEWHERE on an accelerator.

    It changes memory and time, and results by rounding only. More than FEW chains are measured: function(code) of the code of one
    chain, `[1, *code]`, builds the graph that a step keeps for its way back. Where it raises for one chain, because it was made
    for all of them, all run at once. weights: see `kept_bytes`.
    """
    if count <= FEW:
        return count
    try:
        needed = BEYOND_KEPT * kept_bytes(function, code, weights)
    except Exception as fault:  # whatever a condition made for `count` chains raises; a true mistake comes up again in the run
        _log.info(f"all {count} chains run at once, because one alone could not be measured ({one_line(fault)})")
        return count
    most = MOST if device.type == "cpu" else MOST_ELSEWHERE
    return max(1, min(count, most, int(SHARE * free_bytes(device) / max(needed, 1.0))))


def check_room(count: int, values: int, device: torch.device) -> None:
    """Raises ValueError where the pictures and codes of `count` chains, `values` numbers for each, do not fit into free memory.

    They are held in float32 twice, batch by batch and joined. MOST_ELSEWHERE chains, which may run at once, are never refused.
    """
    most = int(free_bytes(device) / (2 * 4 * values))
    if count > max(MOST_ELSEWHERE, most):
        raise ValueError(
            f"got count {count}, expected at most {most}, as memory holds the pictures and codes of all: ask for fewer, or "
            f"write them batch by batch (sampling.sample_into)"
        )


def kept_bytes(function: Callable[[Code], object], code: Code, weights: Iterable[Tensor] = ()) -> int:
    """Bytes of the tensors that the graph of function(code) keeps for its way back; `weights` and other leaves are left out."""
    left_out = {tensor.untyped_storage().data_ptr() for tensor in weights}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not tensor.is_leaf and storage.data_ptr() not in left_out:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.inference_mode(False), torch.enable_grad():
        leaf = code.detach().clone().requires_grad_(True)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            graph = function(leaf)  # a name, so that its tensors live, and no two of them get the same address
    del graph
    return sum(sizes.values())


def free_bytes(device: torch.device) -> int:
    """Bytes free on a device; of main memory those to be had without swapping and within a container's limit."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    table = Path("/proc/meminfo")
    lines = table.read_text().splitlines() if table.is_file() else []
    available = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    return min([*(available or [UNKNOWN]), *_left_in_container()])


def _left_in_container() -> list[int]:
    """Bytes below the limit, files that are only cached not counted; [] without a limit."""
    for limit, used in LIMITS:
        try:
            left = int((CGROUPS / limit).read_text()) - int((CGROUPS / used).read_text())
            stat = (CGROUPS / used).with_name("memory.stat").read_text().split()
        except (OSError, ValueError):  # the other version of control groups, or "max" in place of a number
            continue
        counts = dict(zip(stat[::2], stat[1::2], strict=True))
        return [max(0, left + int(counts.get("total_inactive_file", counts.get("inactive_file", 0))))]
    return []
