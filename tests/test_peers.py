"""benchmarks/peers.py: what is counted of a step, here without the peers themselves."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
peers = importlib.import_module("peers")
libraries = importlib.import_module("peer_libraries")


@pytest.fixture
def _without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in peers.LIBRARIES.values():
        name = library.module.partition(".")[0]
        if name != "ppgn":
            monkeypatch.setitem(sys.modules, name, None)  # the way to say that a module is not there


@pytest.mark.usefixtures("_without_peers")
def test_ours_runs_the_network_once_a_step_and_the_page_names_the_peers_that_are_missing() -> None:
    found = peers.measure(repeats=1, steps=2, size=32, pictures=(2,))
    rows = [(row["way"], row["pictures"], row["passes"], row["pixels"]) for row in found["rows"]]
    ours = {"ppgn": 1.0, "ppgn, folded": 1.0, "ppgn, folded, bfloat16": 1.0, "ppgn, lucid": 1.0, "ppgn, maco": 6.0}
    assert rows == [(name, 2, views, views) for name, views in ours.items()]
    assert [row["of_same_work"] for row in found["rows"]][3:] == [1.0, 1.0]
    assert found["rows"][0]["of_ours"] == 1.0 and found["rows"][0]["seconds"] > 0
    page = peers.report(found)
    assert "| ppgn | 2 |" in page
    for name in ("torch-lucent", "torch-dreams", "horama", "xplique"):
        assert f"{name}: not installed: pip install {name}" in page
    assert "captum: no equivalent" in page


def test_seconds_passes_and_pixels_are_those_of_a_step_without_set_up_and_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library with a long set-up and tail whose step, of three crops of half the size, takes half a second."""
    clock = [0.0]

    def run(job: Any) -> None:
        clock[0] += 100.0
        for _ in range(job.steps):
            job.note((3, 3, job.size // 2, job.size // 2))
            clock[0] += 0.5
        clock[0] += 100.0

    monkeypatch.setattr(libraries.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(libraries.time, "process_time", lambda: clock[0] / 2)
    monkeypatch.setitem(peers.LIBRARIES, "crops", libraries.Library("ppgn", run, ("crops", "none"), serial=True))
    one, four = (peers.called(peers.Way("crops", "frozen", count), size=32, steps=4) for count in (1, 4))
    assert one == peers.Call(seconds=0.5, processor_seconds=0.25, passes=3.0, pixels=0.75)
    assert four == peers.Call(seconds=2.0, processor_seconds=1.0, passes=12.0, pixels=3.0)


def test_a_library_is_given_trainable_weights_as_shipped_and_frozen_ones_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setitem(peers.LIBRARIES, "own", libraries.Library("ppgn", given.append, ("none", "none")))
    for manner in peers.MANNERS:
        peers.Way("own", manner, 1).run(size=32, steps=1)
    trainable = [{weight.requires_grad for weight in job.network.parameters()} for job in given]
    assert trainable == [{True}, {False}, {False}]
    assert [job.bare for job in given] == [False, False, True]
    assert torch.equal(given[0].network.conv1.weight, given[2].network.conv1.weight)


def test_the_network_in_keras_has_the_shapes_of_torchvisions() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs tensorflow: pip install tensorflow-cpu")
    keras = importlib.import_module("tensorflow").keras
    network = libraries.keras_resnet18(keras, 64)
    torchs = peers.models.resnet18(weights=None)
    assert network.count_params() == sum(weight.numel() for weight in torchs.parameters()) + sum(
        buffer.numel() for name, buffer in torchs.named_buffers() if "running" in name
    )
    assert tuple(network.get_layer("layer3_1_conv2").output.shape[1:]) == (4, 4, 256)
