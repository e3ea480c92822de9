"""What a lower precision saves and costs; what was measured once on this machine is kept in ~/.cache/ppgn/speed.json."""

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

WORTH = 0.8
"""A lower precision is taken where it takes at most this share of float32's time."""
AGREEMENT = 0.9
"""The least cosine between the gradients of both precisions. It was chosen for units of plugged-in networks (docs/speed.md: what
is reached is the same) and is carried over to bundles that nobody has measured."""
HOPELESS = 3.0
"""A precision whose first pass takes so many times as long is not timed any further."""
_log = logging.getLogger("ppgn")


def once(key: str, names: Collection[str], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `measure` returns, a number above 0 for each of the names, kept under the key for this machine."""
    file = _kept_in()
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


def here(device: torch.device) -> str:
    """What the time of a pass depends on beside the network."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return f"{platform.node()} {device.type} {name} torch {torch.__version__} threads {torch.get_num_threads()}"


def seconds_of_both(plain: Callable[[Tensor], Tensor], quick: Callable[[Tensor], Tensor], at: Tensor) -> dict[str, float]:
    """`seconds_back` of a function in float32 and in bfloat16. A processor without bfloat16 may take thirty times as long for it:
    then the first pass is the only one."""
    _log.info("measuring how fast bfloat16 is on this machine")
    seconds = seconds_back(plain, at)
    return {"float32": seconds, "bfloat16": seconds_back(quick, at, hopeless=HOPELESS * seconds)}


def seconds_back(function: Callable[[Tensor], Tensor], at: Tensor, repeats: int = 3, hopeless: float = math.inf) -> float:
    """The shortest time of the gradient of sum(function(at)), which other work on the machine lengthens least; one more is made
    first and not counted, unless it takes longer than `hopeless` seconds: then it is the only one."""
    taken = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        float(gradient(function, at).sum())  # the number waits for the device
        taken.append(time.perf_counter() - begun)
        if taken[0] > hopeless:
            break
    return min(taken[1:] or taken)


def gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """d sum(function(at)) / d at, in a row."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = at.clone().requires_grad_(True)
        return torch.autograd.grad(function(leaf).sum(), leaf)[0].flatten()


def agreement(one: Tensor, other: Tensor) -> float:
    """The cosine between two gradients; 0 where one of them is 0 or not finite."""
    one, other = one.double(), other.double()  # small gradients have squares that float32 does not hold
    size = float(one.norm() * other.norm())
    return float(one @ other) / size if size and math.isfinite(size) else 0.0


def _kept_in() -> Path | None:
    """None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ppgn" / "speed.json"
    except RuntimeError:
        return None


def _read(file: Path | None) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text())) if file else {}
    except (OSError, ValueError, TypeError):  # none yet, or one that was not written by ppgn
        return {}
