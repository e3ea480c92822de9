"""As many chains at once as memory holds, with the same result."""

from pathlib import Path

import pytest
import torch
from conftest import Letters, tiny_bundle
from torch import nn

from ppgn import recipes
from ppgn.conditions import Caption, ClassLogProb
from ppgn.recipes import memory
from ppgn.types import Image, LogProb


class Squares(nn.Module):
    """A network that keeps a known number of bytes for its way back."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, image: Image) -> LogProb:
        values = image.mean((1, 2, 3)).unsqueeze(1).expand(-1, 1 << 20) * 1.0
        for _ in range(self.times):
            values = values.square()
        return values.mean(1)


def test_what_a_chain_keeps_grows_by_the_maps_of_a_deeper_network() -> None:
    bundle = tiny_bundle()
    settings = recipes.settings_for(bundle)
    kept = [memory.kept_bytes(bundle, Squares(times), settings) for times in (1, 4)]
    assert kept[1] - kept[0] == 3 * 4 * (1 << 20)  # three more maps of 2^20 floats


def test_the_batch_is_what_half_of_the_free_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle()
    settings = recipes.settings_for(bundle)
    needed = memory.kept_bytes(bundle, [0], settings) * memory.BEYOND_KEPT

    def found(chains: float, count: int) -> int:
        monkeypatch.setattr(memory, "free_bytes", lambda device: int(chains * needed / memory.SHARE) + 1)
        return recipes.batch_for(bundle, [0] * count, settings, count)

    assert [found(12, 100), found(12, 10), found(0.1, 100), found(1e6, 100), found(0.1, 8)] == [12, 10, 1, memory.MOST, 8]


def test_free_memory_is_a_plausible_number_of_bytes() -> None:
    assert 10_000_000 < memory.free_bytes(torch.device("cpu")) < 1e14


@pytest.mark.parametrize(
    ("limit", "used", "cached"),
    [
        ("memory.max", "memory.current", "inactive_file 50\nactive_file 7\n"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "inactive_file 3\ntotal_inactive_file 50\n"),
    ],
)
def test_a_containers_limit_counts(limit: str, used: str, cached: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    free = memory.free_bytes(torch.device("cpu"))
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    for name, text in ((limit, "1000\n"), (used, "300\n"), (str(Path(used).with_name("memory.stat")), cached)):
        (tmp_path / name).write_text(text)
    assert memory.free_bytes(torch.device("cpu")) == 750
    (tmp_path / used).write_text("1300\n")
    assert memory.free_bytes(torch.device("cpu")) == 0
    (tmp_path / limit).write_text("max\n")
    assert memory.free_bytes(torch.device("cpu")) == pytest.approx(free, rel=0.2)


def test_samples_do_not_depend_on_how_many_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tiny_bundle()
    whole = recipes.sample(bundle, [0, 1, 2] * 4, steps=2, batch=12)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1)
    single = recipes.sample(bundle, [0, 1, 2] * 4, steps=2)
    torch.testing.assert_close(single.images, whole.images)


def test_a_condition_with_a_request_for_each_chain_runs_them_all_at_once_and_a_caption_for_each_in_parts() -> None:
    bundle, seen = tiny_bundle(), []

    def logits(image: Image) -> torch.Tensor:
        seen.append(len(image))
        return bundle.encoder.logits_from_code(bundle.encoder(image))

    recipes.sample(bundle, ClassLogProb(logits, [0, 1, 2] * 4), count=12, steps=1)
    assert seen[-1] == 12

    caption = Caption(Letters(), ["a" * (1 + chain % 9) for chain in range(12)])
    whole, parts = (recipes.sample(bundle, caption, count=12, steps=2, batch=batch) for batch in (12, 5))
    torch.testing.assert_close(parts.images, whole.images)


def test_a_condition_that_raises_anything_for_one_chain_runs_them_all_at_once() -> None:
    bundle, targets = tiny_bundle(), torch.tensor([0, 1, 2] * 4)

    def wanted(image: Image) -> LogProb:
        logits = bundle.encoder.logits_from_code(bundle.encoder(image))
        return logits.log_softmax(1)[torch.arange(12), targets]

    assert len(recipes.sample(bundle, wanted, count=12, steps=1).images) == 12
