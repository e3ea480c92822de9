"""As many chains at once as memory holds, with the same result."""

import logging
from pathlib import Path

import pytest
import torch
from conftest import Letters, tiny_bundle
from torch import Tensor, nn

import ppgn
from ppgn import acceleration
from ppgn.conditions import Caption, ClassLogProb
from ppgn.types import Image, LogProb

CPU = torch.device("cpu")


class Squares(nn.Module):
    """A function that keeps a number of maps of 2^20 floats for its way back."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, code: Tensor) -> Tensor:
        values = code.mean(1).unsqueeze(1).expand(-1, 1 << 20) * 1.0
        for _ in range(self.times):
            values = values.square()
        return values.mean(1)


def test_a_chain_keeps_the_maps_of_its_networks() -> None:
    kept = [acceleration.kept_bytes(Squares(times), torch.rand(1, 3)) for times in (1, 4)]
    assert kept[1] - kept[0] == 3 * 4 * (1 << 20)
    with torch.inference_mode():
        assert acceleration.kept_bytes(Squares(4), torch.rand(1, 3)) == kept[1]


def test_weights_are_no_part_of_what_a_chain_keeps() -> None:
    network = nn.Sequential(nn.Linear(100, 1000), nn.Linear(1000, 100))
    with_weights = acceleration.kept_bytes(network, torch.rand(1, 100))
    kept = acceleration.kept_bytes(network, torch.rand(1, 100), network.parameters())
    assert with_weights > 4 * 1000 * 100 > 4 * 1000 == kept


def test_the_batch_is_as_large_as_half_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    function, code = Squares(3), torch.rand(1, 3)
    needed = acceleration.kept_bytes(function, code) * acceleration.BEYOND_KEPT

    def found(chains: float, count: int) -> int:
        free = int(chains * needed / acceleration.SHARE) + 1
        monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: free)
        return acceleration.batch_size(function, code, count, CPU)

    assert [found(12, 100), found(12, 10), found(0.1, 100), found(1e6, 100)] == [12, 10, 1, acceleration.MOST]
    assert found(0.1, acceleration.FEW) == acceleration.FEW


def test_a_function_made_for_all_chains_runs_them_all_at_once_and_a_few_are_not_measured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    targets = torch.tensor([0, 1, 2] * 4)

    def wanted(code: Tensor) -> Tensor:
        return code.log_softmax(1)[torch.arange(12), targets]

    with caplog.at_level(logging.INFO, "ppgn"):
        assert acceleration.batch_size(wanted, torch.rand(1, 3), 8, CPU) == 8
        assert not caplog.text
        assert acceleration.batch_size(wanted, torch.rand(1, 3), 12, CPU) == 12
    assert "all 12 chains run at once, because one alone could not be measured (IndexError: " in caplog.text


def test_free_memory_is_a_plausible_number_of_bytes() -> None:
    assert 10_000_000 < acceleration.free_bytes(CPU) < 1e14


@pytest.mark.parametrize(
    ("limit", "used", "cached"),
    [
        ("memory.max", "memory.current", "inactive_file 50\nactive_file 7\n"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "inactive_file 3\ntotal_inactive_file 50\n"),
    ],
)
def test_a_containers_limit_counts(limit: str, used: str, cached: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ppgn.acceleration.memory.CGROUPS", tmp_path)
    free = acceleration.free_bytes(CPU)
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    for name, text in ((limit, "1000\n"), (used, "300\n"), (str(Path(used).with_name("memory.stat")), cached)):
        (tmp_path / name).write_text(text)
    assert acceleration.free_bytes(CPU) == 750
    (tmp_path / used).write_text("1300\n")
    assert acceleration.free_bytes(CPU) == 0
    (tmp_path / limit).write_text("max\n")
    assert acceleration.free_bytes(CPU) == pytest.approx(free, rel=0.2)


def test_samples_do_not_depend_on_how_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, sizes = tiny_bundle(), list[int]()
    whole = ppgn.sample(bundle, [0, 1, 2] * 4, steps=2, batch=12)
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: 1)
    bundle.generator.register_forward_hook(lambda module, given, made: sizes.append(len(made)))
    single = ppgn.sample(bundle, [0, 1, 2] * 4, steps=2)
    assert sizes == [1] * (1 + 12 * 2)  # the measurement, then two steps of each chain
    torch.testing.assert_close(single.images, whole.images)


def test_a_condition_with_a_request_for_each_chain_runs_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, sizes = tiny_bundle(), list[int]()

    def logits(image: Image) -> Tensor:
        sizes.append(len(image))
        return bundle.encoder.logits_from_code(bundle.encoder(image))

    wanted = ClassLogProb(logits, [0, 1, 2] * 4)
    captions = Caption(Letters(), ["a" * (1 + chain % 9) for chain in range(12)])
    for condition in (wanted, captions):
        whole, parts = (ppgn.sample(bundle, condition, count=12, steps=2, batch=batch) for batch in (12, 5))
        torch.testing.assert_close(parts.images, whole.images)
        assert not torch.equal(whole.images[0], whole.images[1])
    assert sizes == [12] * 2 + [5] * 2 + [5] * 2 + [2] * 2
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: 1)
    sizes.clear()
    ppgn.sample(bundle, wanted, count=12, steps=1)
    assert set(sizes) == {1}


def test_a_condition_that_raises_anything_for_one_chain_runs_them_all_at_once() -> None:
    bundle, targets = tiny_bundle(), torch.tensor([0, 1, 2] * 4)

    def wanted(image: Image) -> LogProb:
        logits = bundle.encoder.logits_from_code(bundle.encoder(image))
        return logits.log_softmax(1)[torch.arange(12), targets]

    assert len(ppgn.sample(bundle, wanted, count=12, steps=1).images) == 12
