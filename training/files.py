"""What a training leaves behind and another one reads: networks inside Lightning checkpoints, never unpickled."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ppgn import networks


def describe(network: Any) -> dict[str, Any]:
    """Architecture, configuration and weights in plain types, so that a checkpoint can be read with `weights_only`."""
    config = dataclasses.asdict(network.config)
    return {"architecture": network.architecture, "config": config, "state": network.state_dict()}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The `ppgn` entry of a checkpoint made by `training`; raises ValueError where there is none."""
    if not Path(path).is_file():
        raise ValueError(f"no checkpoint at {path}: train that part first, or pass the path of its last.ckpt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises many kinds for a truncated or foreign file; all are the user's to mend
        raise ValueError(
            f"{path} is not a readable checkpoint ({fault.__class__.__name__}): train again or copy it again"
        ) from fault
    if "ppgn" not in content:
        raise ValueError(f"{path} was not written by ppgn's training scripts: it has no 'ppgn' entry")
    return content["ppgn"]


def read_network(path: Path, part: str) -> Any:
    """One part of a checkpoint, rebuilt on the CPU, in evaluation mode and frozen."""
    parts = read_checkpoint(path)["parts"]
    if part not in parts:
        raise ValueError(f"{path} holds {', '.join(parts)}, no {part}: was another part's checkpoint passed?")
    network = networks.build(parts[part]["architecture"], parts[part]["config"])
    network.load_state_dict(parts[part]["state"])
    return freeze(network)


def freeze(network: nn.Module) -> nn.Module:
    """Evaluation mode and no weight gradients, for good."""
    return network.eval().requires_grad_(False)
