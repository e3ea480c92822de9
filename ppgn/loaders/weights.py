"""A file of weights -> a state dict."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ppgn.errors import check_downloaded, one_line
from ppgn.types import check_finite

NESTED = ("state_dict", "model_state_dict", "model", "module", "state_dict_ema", "model_ema", "net", "network", "netG_state_dict",
          "netG")  # fmt: skip
"""Names under which checkpoints hold a state dict; of several the first is taken."""
_log = logging.getLogger("ppgn")


def read_weights(file: str | Path, trust: bool = False) -> dict[str, Tensor]:
    """Reads the state dict, name -> tensor, of a file of safetensors or for `torch.load`, whatever its name ends in.

    A state dict under one of `NESTED` is unpacked, which is logged, and the prefix "module." of DataParallel is removed. trust:
    reads a file that holds more than tensors, which can run code. Raises ValueError for a file that is missing, cannot be read,
    holds no state dict, or NaN.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}, expected a state dict: give the path of a .safetensors or .pth file")
    try:
        with path.open("rb") as stream:
            beginning = stream.read(512)
    except OSError as fault:
        raise ValueError(f"{path} cannot be read ({one_line(fault)}): make it readable, or give another file") from fault
    check_downloaded(path, beginning, "a state dict")
    of_torch = beginning.startswith((b"PK", b"\x80"))
    try:
        if beginning[8:9] == b"{" or (path.suffix == ".safetensors" and not of_torch):
            stored = load_file(path)
        else:
            with path.open("rb") as stream:  # not the path, whose ending torch.load goes by
                stored = torch.load(stream, "cpu", weights_only=not trust)
    except pickle.UnpicklingError as fault:
        raise ValueError(
            f"{path} holds more than tensors, or is no weights file, and is not read, because reading it can run code: "
            f"save the network's state_dict() alone"
        ) from fault
    except Exception as fault:  # readers can raise anything on bytes that are no weights
        scripted = "TorchScript" in str(fault)
        remedy = "open it by torch.jit.load in a function of yours" if scripted else "download or save it again"
        raise ValueError(f"{path} cannot be read ({one_line(fault)}): {remedy}") from fault
    stored = _unpacked(stored, path)
    if not isinstance(stored, dict) or not stored or not all(isinstance(value, Tensor) for value in stored.values()):
        entries = f" of {', '.join(map(str, list(stored)[:5]))}" if isinstance(stored, dict) else ""
        raise ValueError(
            f"{path} holds {type(stored).__name__}{entries}, expected a state dict, name -> tensor: save network.state_dict()"
        )
    check_finite(stored, path, allow_infinity=True)  # masks of attention hold infinity
    parallel = all(key.startswith("module.") for key in stored)
    return {key.removeprefix("module.") if parallel else key: value for key, value in stored.items()}


def _unpacked(stored: Any, path: Path) -> Any:
    """The state dict that a checkpoint holds beside other things, as far down as NESTED leads."""
    taken: list[str] = []
    while isinstance(stored, dict) and (names := [name for name in NESTED if isinstance(stored.get(name), dict)]):
        taken.append(f"{names[0]} (not {', '.join(names[1:])})" if len(names) > 1 else names[0])
        stored = stored[names[0]]
    if taken:
        _log.warning(f"{path}: took the weights under {'.'.join(taken)}")
    return stored


@contextmanager
def of_file(file: str | Path) -> Iterator[None]:
    """Puts the name of a file before the message of a ValueError, unless the message begins with it."""
    try:
        yield
    except ValueError as fault:
        message = str(fault)
        raise ValueError(message if message.startswith(str(file)) else f"{file}: {message}") from fault
