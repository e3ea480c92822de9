"""Networks inside Lightning checkpoints, which one training writes and another one reads; nothing is unpickled."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ppgn import networks
from ppgn.bundle import groups_of
from ppgn.errors import one_line
from ppgn.images import write_atomically


def describe(network: Any) -> dict[str, Any]:
    """Architecture, configuration and weights in plain types, which `torch.load` reads with `weights_only`."""
    config = dataclasses.asdict(network.config)
    return {"architecture": network.architecture, "config": config, "state": network.state_dict()}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The `ppgn` entry of a checkpoint made by `training`. Raises ValueError for a file that has none or cannot be read."""
    if not Path(path).is_file():
        raise ValueError(f"no checkpoint at {path}, expected a last.ckpt: train that part first, or correct the path")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as fault:  # torch raises many kinds for a truncated or foreign file; all are the user's to mend
        raise ValueError(f"{path} is not a readable checkpoint ({one_line(fault)}): train again or copy it again") from fault
    if not isinstance(content, dict) or not isinstance(content.get("ppgn"), dict):
        raise ValueError(f"{path} has no 'ppgn' entry, expected a checkpoint of ppgn's training scripts: pass one of theirs")
    return content["ppgn"]


def read_network(path: Path, part: str) -> Any:
    """One network of a checkpoint, rebuilt on the CPU, in evaluation mode and frozen. Raises ValueError as `read_checkpoint`."""
    parts = _entry(read_checkpoint(path), "parts", dict, path)
    if part not in parts:
        raise ValueError(f"{path} holds {', '.join(map(str, parts))}, expected {part}: pass the checkpoint of that part")
    try:
        network = networks.build(parts[part]["architecture"], parts[part]["config"])
        network.load_state_dict(parts[part]["state"])
    except Exception as fault:  # whatever torch and configurations raise for content of another version or kind
        raise ValueError(f"{path} holds a {part} that cannot be built ({one_line(fault)}): train that part again") from fault
    return freeze(network)


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The class names that a checkpoint's encoder knows, and their groups. Raises ValueError as `read_checkpoint`."""
    content = read_checkpoint(path)
    names = _entry(content, "class_names", list | tuple, path)
    return tuple(names), tuple(content.get("groups", groups_of(names)))


def read_scores(path: Path) -> dict[str, Any]:
    """What the last validation before a checkpoint logged, and how many updates were made. Raises ValueError as
    `read_checkpoint`."""
    content = read_checkpoint(path)
    return {**_entry(content, "scores", dict, path), **({"updates": content["updates"]} if "updates" in content else {})}


def _entry(content: dict[str, Any], name: str, kind: Any, path: Path) -> Any:
    found = content.get(name)
    if not isinstance(found, kind):
        raise ValueError(f"{path} has no {name}, expected a checkpoint of ppgn's training scripts: train that part again")
    return found


def write_network(path: Path, part: str, network: Any, class_names: Sequence[str], groups: Sequence[str] = ()) -> None:
    """Writes a checkpoint of one part that no training of this run made, for the stages that read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    classes = {"class_names": list(class_names), "groups": list(groups)}
    content = {"parts": {part: describe(network)}, **classes, "scores": {}}
    write_atomically(path, lambda place: torch.save({"ppgn": content}, place))


def freeze(network: nn.Module) -> nn.Module:
    """The network in evaluation mode and without weight gradients, in place."""
    return network.eval().requires_grad_(False)
