"""Training within minutes: the run on packs ends in time and goes on, weights fit their files, a guard leads back."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_side_by_side import data, lite0
from test_side_by_side import sources as sources
from torch import nn

from ppgn import images
from ppgn.networks import ModulatedGenerator, ModulatedGeneratorConfig
from training import (
    Balanced,
    FiniteGuard,
    LateAdversary,
    PackSettings,
    ProjectedConfig,
    Ruler,
    captured,
    load_weights,
    pack,
    save_weights,
    train_on_packs,
)

NETWORK = ModulatedGeneratorConfig(code_size=24, hidden=16, style=8, base_channels=8, base_size=4, widths=(8, 8, 8))
RULER = Ruler("convnet", depths=("block0",), mean=(0.5,), std=(0.5,))
SOON = LateAdversary(wait=4, head_start=0, rise=4)
BALANCED = Balanced(compare=RULER, discriminator=ProjectedConfig((4, 6, 8, 8), (8, 8)), adversary=SOON)
QUICK: dict[str, Any] = {"batch": 4, "head_epochs": 0.5, "processes": 1, "device": "cpu", "stride": 2, "report_seconds": 0.0}


@pytest.fixture(scope="module")
def packs(sources: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    pack(data(sources, image_size=32), folder)
    return folder


def run(packs: Path, out: Path, folder: Path, resume: Path | None = None, updates: int = 12, **rule: Any) -> list[dict[str, Any]]:
    """The log of a run of so many updates."""
    settings = PackSettings(seconds=rule.pop("seconds", 600.0), updates=updates, **QUICK)
    balanced = dataclasses.replace(BALANCED, adversary=dataclasses.replace(SOON, **rule))
    train_on_packs(packs, out, lite0(folder), resume, settings, NETWORK, balanced)
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_a_run_leaves_small_files_and_goes_on_from_its_state(packs: Path, tmp_path: Path) -> None:
    log = run(packs, tmp_path / "first", tmp_path)
    assert log[-1]["event"] == "end" and log[-1]["judged"] == 14
    losses = [line for line in log if "image" in line]
    assert losses[0]["discriminator"] == 0 < losses[-1]["discriminator"]  # the adversary came late
    assert all(path.stat().st_size < 16 * 2**20 for path in (tmp_path / "first").glob("*.safetensors"))
    generator = ModulatedGenerator(NETWORK)
    generator.load_state_dict(load_weights(tmp_path / "first", "generator"))
    assert bool(generator(torch.rand(2, 24)).isfinite().all())
    assert (tmp_path / "first" / "grid.jpg").is_file()
    again = run(packs, tmp_path / "on", tmp_path, tmp_path / "first", updates=2)
    assert [line["updates"] for line in again if line.get("event") in ("going on", "saved")] == [12, 14]
    assert not any(line.get("event") == "head" for line in again)  # the head is the one of before


def test_a_folder_of_another_run_is_left_alone(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text("of the other run")
    with images.alone_in(tmp_path), pytest.raises(ValueError, match="is written by another process already"):
        run(packs, tmp_path, tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == "of the other run"


def test_a_run_without_time_ends_with_weights_all_the_same(packs: Path, tmp_path: Path) -> None:
    log = run(packs, tmp_path / "none", tmp_path, seconds=0.0)
    assert next(line["updates"] for line in log if line.get("event") == "saved") == 0
    assert load_weights(tmp_path / "none", "generator")


def test_handed_weights_stay_while_the_discriminator_learns_alone(packs: Path, tmp_path: Path) -> None:
    run(packs, tmp_path / "first", tmp_path, updates=4)
    (tmp_path / "first" / "state.pt").unlink()
    log = run(packs, tmp_path / "on", tmp_path, tmp_path / "first", updates=4, wait=10**6)
    before, after = (load_weights(tmp_path / name, "generator") for name in ("first", "on"))
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-3, atol=1e-4)
    assert [line["discriminator"] for line in log if "image" in line][-1] > 0


def test_weights_come_back_from_several_files_in_float16(tmp_path: Path) -> None:
    state = {"a": torch.randn(1000), "b": torch.randn(1500), "c": torch.tensor(3)}
    paths = save_weights(state, tmp_path, "part", file_mib=0.0035)
    assert [path.name for path in paths] == ["part0.safetensors", "part1.safetensors"]
    found = load_weights(tmp_path, "part")
    assert found.keys() == state.keys()
    torch.testing.assert_close(found["b"], state["b"], rtol=1e-3, atol=1e-3)
    assert [path.name for path in save_weights(state, tmp_path, "part")] == ["part.safetensors"]
    assert not (tmp_path / "part0.safetensors").exists()
    assert load_weights(tmp_path, "none") == {}


@pytest.mark.parametrize(("value", "said"), [(torch.tensor([1e6]), "float16 cannot hold"), (torch.zeros(9000), "alone has")])
def test_weights_that_no_file_can_hold_are_refused(value: torch.Tensor, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        save_weights({"a": value}, tmp_path, "part", file_mib=0.01)


def test_the_guard_returns_to_the_last_finite_weights_in_place() -> None:
    network = nn.Linear(2, 1)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    network(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    guard, place = FiniteGuard([network], [optimizer]), network.weight.data_ptr()
    assert guard.check(torch.ones(3))
    kept, momentum = network.weight.detach().clone(), optimizer.state[network.weight]["exp_avg"].clone()
    with torch.no_grad():
        network.weight.fill_(float("nan"))
        optimizer.state[network.weight]["exp_avg"].fill_(float("inf"))
    assert not guard.check(torch.ones(3))
    assert torch.equal(network.weight, kept) and network.weight.data_ptr() == place
    assert torch.equal(optimizer.state[network.weight]["exp_avg"], momentum)
    assert not guard.check(torch.tensor([float("nan")])) and guard.returns == 2


def test_a_guard_without_finite_weights_says_what_to_do() -> None:
    with pytest.raises(ValueError, match="lower the learning rate"):
        FiniteGuard([nn.Linear(1, 1)], []).check(torch.tensor(float("inf")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="without a CUDA device there is nothing to capture")
def test_without_a_device_nothing_is_captured_and_nothing_runs() -> None:
    assert captured(lambda: pytest.fail("it ran"), [], lambda **values: None) is None
