"""A file of weights -> the values of a network."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ppgn.errors import one_line


def load_weights(module: nn.Module, file: str | Path, trust: bool = False) -> None:
    """Fills a network from a state dict in a file. trust: see `read_weights`. Raises ValueError where the two do not fit."""
    expected = module.state_dict()
    state = read_weights(file, trust)
    # torchvision's published densenets have older names than its code: norm.1 stands for norm1
    renamed = {key if key in expected else re.sub(r"\b(norm|conv)\.([12])\.", r"\1\2.", key): state[key] for key in state}
    shared = [key for key in expected if key in renamed]
    shapes = {key: (list(renamed[key].shape), list(expected[key].shape)) for key in shared}
    faults = {
        "lacks": [key for key in expected if key not in renamed and not key.endswith("num_batches_tracked")],
        "has unknown": [key for key in renamed if key not in expected],
        "has another shape of": [f"{key} {found} for {wanted}" for key, (found, wanted) in shapes.items() if found != wanted],
    }
    found = [f"{fault} {len(keys)} values (first {keys[0]})" for fault, keys in faults.items() if keys]
    if found:
        raise ValueError(
            f"{file} does not fit {type(module).__name__}: it {' and '.join(found)}, expected its {len(expected)} values and no "
            f"others: give weights of this network"
        )
    module.load_state_dict(renamed)


def read_weights(file: str | Path, trust: bool = False) -> dict[str, Tensor]:
    """Reads the state dict, name -> tensor, of a .safetensors file or of a file for `torch.load`.

    {"state_dict": ...} is unpacked, and the prefix "module." of DataParallel is removed. trust: reads a file that holds more than
    tensors, which can run code. Raises ValueError for a file that is missing, cannot be read, or holds no state dict.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"there is no weights file {path}, expected a state dict: give the path of a .safetensors or .pth file")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=not trust)
    except pickle.UnpicklingError as fault:
        raise ValueError(
            f"{path} holds more than tensors, or is no weights file, and is not read, because reading it can run code: "
            f"save its state_dict() alone, or pass trust=True if you made it"
        ) from fault
    except Exception as fault:  # readers can raise anything on bytes that are no weights
        raise ValueError(f"{path} cannot be read ({one_line(fault)}): download or save it again") from fault
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not stored or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(
            f"{path} holds {type(stored).__name__}, expected a state dict, name -> tensor: save network.state_dict()"
        )
    parallel = all(key.startswith("module.") for key in stored)
    return {key.removeprefix("module.") if parallel else key: value for key, value in stored.items()}


@contextmanager
def of_file(file: str | Path) -> Iterator[None]:
    """Puts the name of a file before the message of a ValueError, unless the message begins with it."""
    try:
        yield
    except ValueError as fault:
        message = str(fault)
        raise ValueError(message if message.startswith(str(file)) else f"{file}: {message}") from fault
