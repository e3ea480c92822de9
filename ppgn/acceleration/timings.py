"""Seconds of a pass and the agreement of gradients, kept for this machine in ~/.cache/ppgn/speed.json."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ppgn import images

GIVE_UP_RATIO = 3.0
"""A precision whose first pass takes so many times as long as float32 is not timed any further: a processor without bfloat16
may take thirty times as long."""
_log = logging.getLogger("ppgn")


def cached(key: str, names: Collection[str], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The numbers that `measure` returns, one above 0 for each name; measured once for a key and then read from the cache."""
    file = _cache_file()
    kept = _read(file)
    found = kept.get(key)
    if isinstance(found, dict) and all(isinstance(found.get(name), float) and found[name] > 0 for name in names):
        return found
    kept[key] = measure()
    try:
        if file:
            file.parent.mkdir(parents=True, exist_ok=True)
            images.write_atomically(file, lambda place: place.write_text(json.dumps(kept, indent=1)))
    except (OSError, ValueError) as fault:
        _log.info(f"the speed of this machine is measured again next time: {file} cannot be written ({fault})")
    return kept[key]


def machine_key(device: torch.device) -> str:
    """The facts of a machine that the time of a pass depends on: host, device, version of torch, threads."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return f"{platform.node()} {device.type} {name} torch {torch.__version__} threads {torch.get_num_threads()}"


def seconds_of_both(plain: Callable[[Tensor], Tensor], quick: Callable[[Tensor], Tensor], at: Tensor) -> dict[str, float]:
    """`seconds_back` of a function in float32 (plain) and in bfloat16 (quick), given up as GIVE_UP_RATIO says."""
    _log.info("measuring how fast bfloat16 is on this machine")
    seconds = seconds_back(plain, at)
    return {"float32": seconds, "bfloat16": seconds_back(quick, at, give_up=GIVE_UP_RATIO * seconds)}


def seconds_back(function: Callable[[Tensor], Tensor], at: Tensor, repeats: int = 3, give_up: float = math.inf) -> float:
    """Seconds of the gradient of sum(function(at)): the shortest of `repeats`, which other work on the machine lengthens least.

    A first gradient is not counted, unless it takes longer than `give_up` seconds: then it is the only one.
    """
    seconds = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        float(gradient(function, at).sum())  # the number waits for the device
        seconds.append(time.perf_counter() - begun)
        if seconds[0] > give_up:
            break
    return min(seconds[1:] or seconds)


def gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d sum(function(at)) / d at, flattened to one axis."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = at.clone().requires_grad_(True)
        return torch.autograd.grad(function(leaf).sum(), leaf)[0].flatten()


def agreement(first: Tensor, second: Tensor) -> float:
    """The cosine between two gradients, in [-1, 1]; 0 where one of them is 0 or not finite."""
    first, second = first.double(), second.double()  # small gradients have squares that float32 does not hold
    size = float(first.norm() * second.norm())
    return float(first @ second) / size if size and math.isfinite(size) else 0.0


def _cache_file() -> Path | None:
    """None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppgn" / "speed.json"
    except RuntimeError:
        return None


def _read(file: Path | None) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text())) if file else {}
    except (OSError, ValueError, TypeError):  # not there yet, or spoilt: both are measured and written anew
        return {}
