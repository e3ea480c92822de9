"""A disk that takes no more is one sentence, whichever library writes, and what was there before stays."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from safetensors.torch import save_file

from ppgn import images
from ppgn.experiment import evolve
from training.weight_files import load_weights, save_weights

LARGE = {"weight": torch.zeros(100_000)}


@contextmanager
def a_full_disk(room: int = 4096) -> Iterator[None]:
    """Lets no file become larger than `room` bytes; a larger write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("writer", "said"),
    [
        (lambda path: save_file(LARGE, path), "File too large"),
        (lambda path: torch.save(LARGE, path), "unexpected pos"),
        (lambda path: path.write_bytes(bytes(100_000)), "File too large"),
    ],
)
def test_a_file_that_a_full_disk_cannot_hold_is_one_sentence(writer: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    file = tmp_path / "file.safetensors"
    file.write_text("former")
    with a_full_disk(), pytest.raises(ValueError, match=f"^cannot write {file}: .*{said}.*; free some space or choose another"):
        images.write_atomically(file, writer)
    assert [one.read_text() for one in tmp_path.iterdir()] == ["former"]


def test_a_fault_of_the_network_is_not_told_as_one_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="^shape"):
        images.write_atomically(tmp_path / "file", lambda path: torch.zeros(2).reshape(3))


@pytest.mark.parametrize("former", [False, True])
def test_a_bundle_that_a_full_disk_cannot_hold_is_one_sentence(former: bool, tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    if former:
        save_tiny_bundle(folder)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with a_full_disk(), pytest.raises(ValueError, match=f"^cannot write {folder}: .*File too large.*; free some space"):
        save_tiny_bundle(folder)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_bundle_in_the_place_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="^cannot write .*file/tiny: .*; free some space or choose another"):
        save_tiny_bundle(tmp_path / "file" / "tiny")


def test_weights_that_a_full_disk_cannot_hold_leave_the_former_ones(tmp_path: Path) -> None:
    save_weights({"a": torch.ones(1000), "b": torch.ones(1000)}, tmp_path, "part", file_mib=0.002)
    before = load_weights(tmp_path, "part")
    with a_full_disk(), pytest.raises(ValueError, match="^cannot write .*part.safetensors: .*File too large"):
        save_weights(LARGE, tmp_path, "part")
    after = load_weights(tmp_path, "part")
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    save_weights(LARGE, tmp_path, "part")
    assert load_weights(tmp_path, "part").keys() == LARGE.keys()


def test_an_evolution_that_a_full_disk_stops_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    def left(image: torch.Tensor) -> torch.Tensor:
        return image[..., :4].mean((1, 2, 3)) - image[..., 4:].mean((1, 2, 3))

    settings: dict[str, Any] = {"population": 6, "elite": 1}
    evolve(tiny_bundle(), left, budget=42, folder=tmp_path / "calm", **settings)
    evolve(tiny_bundle(), left, budget=14, folder=tmp_path / "run", **settings)
    for room in (300, 1000, 4096):
        with a_full_disk(room), pytest.raises(ValueError, match="cannot write .*free some space"):
            evolve(tiny_bundle(), left, budget=42, folder=tmp_path / "run", **settings)
    evolve(tiny_bundle(), left, budget=42, folder=tmp_path / "run", **settings)
    for name in ("responses.csv", "state.safetensors", "best/0005.png"):
        assert (tmp_path / "calm" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
