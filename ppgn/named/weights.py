"""A file of weights -> a network's values, every one of them."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ppgn.faults import told


def load_weights(module: nn.Module, file: str | Path, trust: bool = False) -> None:
    """Fills a network with every value of a state dict. Raises ValueError where file and network do not fit exactly."""
    own = module.state_dict()
    state = read_weights(file, trust)
    # torchvision's published densenets have names from before it renamed them: norm.1 is norm1 now
    state = {key if key in own else re.sub(r"\b(norm|conv)\.([12])\.", r"\1\2.", key): value for key, value in state.items()}
    lacking = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unknown = [key for key in state if key not in own]
    other = [
        f"{key} {list(state[key].shape)} for {list(own[key].shape)}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    faults = {"lacks": lacking, "has unknown": unknown, "has another shape of": other}
    told = [f"{what} {len(keys)} values (first {keys[0]})" for what, keys in faults.items() if keys]
    if told:
        raise ValueError(
            f"{file} does not fit {type(module).__name__}: it {' and '.join(told)}, expected the values of its {len(own)} names: "
            f"give the weights of this network"
        )
    module.load_state_dict(state)


def read_weights(file: str | Path, trust: bool = False) -> dict[str, Tensor]:
    """A state dict by name, from .safetensors or anything `torch.load` reads; one inside {"state_dict": ...} is taken out, and
    "module." (of DataParallel) taken off. Raises ValueError where the file holds none."""
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"no weights file {path}: give the path of a state dict (.safetensors or .pth)")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=not trust)
    except pickle.UnpicklingError as fault:
        raise ValueError(
            f"{path} holds more than tensors, or is no weights file, and is not read because that can run code: "
            f"save its state_dict() alone, or pass trust=True if you made it"
        ) from fault
    except Exception as fault:  # bytes that are no weights make readers fail in any way
        raise ValueError(f"{path} cannot be read ({told(fault)}): download or save it again") from fault
    if isinstance(stored, dict) and isinstance(stored.get("state_dict"), dict):
        stored = stored["state_dict"]
    if not isinstance(stored, dict) or not stored or not all(isinstance(value, Tensor) for value in stored.values()):
        raise ValueError(
            f"{path} holds {type(stored).__name__}, expected a state dict, name -> tensor: save network.state_dict()"
        )
    whole = all(key.startswith("module.") for key in stored)
    return {key.removeprefix("module.") if whole else key: value for key, value in stored.items()}
