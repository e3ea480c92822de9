"""Weights in float16, in files small enough to be carried anywhere, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ppgn.errors import one_line
from ppgn.images import make_folder, write_together
from ppgn.loaders import read_weights

FILE_MIB = 15.5
"""Largest file, below the 16 MiB that some channels allow."""


def save_weights(state: Mapping[str, Tensor], folder: Path, name: str, file_mib: float = FILE_MIB) -> list[Path]:
    """Write `folder`/NAME.safetensors, or NAME0.safetensors, NAME1.safetensors, ... of at most `file_mib` each.

    Returns the paths.

    Floating-point tensors become float16. Files of an earlier call are replaced once the new ones are whole. Raises ValueError
    for a tensor too large for any file, for one that float16 cannot hold, and where the disk refuses.
    """
    halves = {key: (value.half() if value.is_floating_point() else value).cpu().contiguous() for key, value in state.items()}
    lost = [key for key, value in halves.items() if not bool(value.isfinite().all())]
    if lost:
        raise ValueError(f"{lost[0]} has values that float16 cannot hold, expected finite ones: lower the learning rate")
    parts = list(_parts(halves, int(file_mib * 2**20)))
    make_folder(folder)
    paths = [folder / f"{name}{number if len(parts) > 1 else ''}.safetensors" for number in range(len(parts))]

    def remove_earlier() -> None:
        for old in {*_files(folder, name)} - {*paths}:
            old.unlink()

    write_together({path: partial(save_file, part) for path, part in zip(paths, parts, strict=True)}, remove_earlier)
    return paths


def load_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of all files of a name, in float32; empty where there are none. Raises ValueError for a broken file."""
    found: dict[str, Tensor] = {}
    for path in _files(folder, name):
        found |= read_weights(path)
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


def read_tensors(file: Path, *names: str) -> list[Tensor]:
    """The tensors of these names in a file that the training makes by itself. Raises ValueError for a broken or foreign file."""
    found = read_weights(file)
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{file} lacks {missing[0]}, expected {', '.join(names)}: delete it, and it is made again")
    return [found[name] for name in names]


def fill(network: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Sets the weights of a network to those that a file or a folder holds. Raises ValueError where they do not fit."""
    try:
        network.load_state_dict(state)
    except RuntimeError as fault:
        raise ValueError(
            f"the weights in {file} do not fit ({one_line(fault)}), expected those of a {type(network).__name__} of this size: "
            f"give others, or the settings that they were trained with"
        ) from fault


def take_state(file: Path, parts: Mapping[str, Any], device: torch.device) -> int:
    """Sets networks and optimizers, by their names, to what a state.pt holds; returns its updates. Raises ValueError for a broken
    file, and for one of other settings."""
    try:
        state = torch.load(file, map_location=device, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return int(state["updates"])
    except Exception as fault:  # torch raises many kinds for a file that is cut off, foreign, or of another network
        raise ValueError(
            f"{file} is not the state of such a run ({one_line(fault)}), expected one of the same settings: resume from another "
            f"folder, or delete the file to go on from the weights beside it"
        ) from fault


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{name}*.safetensors") if path.stem[len(name) :].isdigit() or path.stem == name)


def _parts(state: Mapping[str, Tensor], most: int) -> Iterator[dict[str, Tensor]]:
    part: dict[str, Tensor] = {}
    size = 0
    for key, value in state.items():
        if value.nbytes > most:
            raise ValueError(f"{key} alone has {value.nbytes / 2**20:.1f} MiB, expected at most {most / 2**20:.1f} a file")
        if part and size + value.nbytes > most:
            yield part
            part, size = {}, 0
        part[key], size = value, size + value.nbytes
    yield part
