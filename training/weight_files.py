"""Weights in float16, in files small enough to be carried anywhere, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from ppgn.images import write_atomically

FILE_MIB = 15.5
"""Largest file, below the 16 MiB that some channels allow."""


def save_weights(state: Mapping[str, Tensor], folder: Path, name: str, file_mib: float = FILE_MIB) -> list[Path]:
    """Write `folder`/NAME.safetensors, or NAME0.safetensors, NAME1.safetensors, ... of at most `file_mib` each.

    Returns the paths.

    Floating-point tensors become float16. Files of an earlier call are replaced. Raises ValueError for a tensor too large for any
    file, and for one that float16 cannot hold.
    """
    halves = {key: (value.half() if value.is_floating_point() else value).cpu().contiguous() for key, value in state.items()}
    lost = [key for key, value in halves.items() if not bool(value.isfinite().all())]
    if lost:
        raise ValueError(f"{lost[0]} has values that float16 cannot hold, expected finite ones: lower the learning rate")
    parts = list(_parts(halves, int(file_mib * 2**20)))
    folder.mkdir(parents=True, exist_ok=True)
    for old in _files(folder, name):
        old.unlink()
    paths = [folder / f"{name}{number if len(parts) > 1 else ''}.safetensors" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        write_atomically(path, lambda place, part=part: save_file(part, place))
    return paths


def load_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of all files of a name, in float32; empty where there are none."""
    found: dict[str, Tensor] = {}
    for path in _files(folder, name):
        found |= load_file(path)
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


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
