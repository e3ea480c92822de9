"""The timings compare what they say they compare, and their arithmetic is right."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import scaling
import startup
import steps
import timing
import worlds


def test_ways_alternate_and_the_first_round_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter([9.0, 9.0, 1.0, 5.0, 7.0, 2.0, 2.0, 8.0])

    def told(call: object) -> float:
        call()  # type: ignore[operator]
        return next(clock)

    monkeypatch.setattr(timing, "seconds", told)
    found = timing.alternating({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert found == {"a": 2.0, "b": 7.0}


def test_a_table_shows_three_digits_and_what_is_missing() -> None:
    assert timing.table(["a", "b", "c"], [["x", 1.23456, None]]) == "| a | b | c |\n| --- | --- | --- |\n| x | 1.23 | - |"


def test_the_machine_is_named_with_its_versions_and_commit() -> None:
    told = timing.machine()
    assert told["torch"] == torch.__version__.split("+")[0] or told["torch"] == torch.__version__
    assert told["cores"] >= 1
    assert told["processor"]


def world() -> worlds.World:
    bundle = tiny_bundle()
    return worlds.World("tiny", bundle.generator, bundle.encoder, None, bundle.code_shape)


def passes(call: object, *networks: nn.Module) -> list[int]:
    seen = [0 for _ in networks]

    def count(place: int) -> object:
        def hook(network: nn.Module, given: object) -> None:
            seen[place] += 1

        return hook

    handles = [network.register_forward_pre_hook(count(place)) for place, network in enumerate(networks)]  # type: ignore[arg-type]
    call()  # type: ignore[operator]
    for handle in handles:
        handle.remove()
    return seen


def test_ours_and_the_floor_make_one_pass_a_step_and_the_released_structure_two_for_each_chain() -> None:
    one = world()
    networks = (one.generator, one.encoder)
    assert passes(steps.ours(one, 3, 4), *networks) == [4, 4]
    assert passes(steps.floor(one, 3, 4), *networks) == [4, 4]
    assert passes(steps.released(one, 3, 4), *networks) == [24, 24]


def test_ours_and_the_floor_go_to_the_same_code() -> None:
    one = world()
    sampler = one.sampler(3)
    evaluation = sampler.step(sampler.init(one.code(3), range(3)))[1]
    leaf = one.code(3).requires_grad_(True)
    log_prob = one.logits(one.generator(leaf)).log_softmax(1)[torch.arange(3), worlds.targets(3)].sum()
    torch.testing.assert_close(evaluation.gradient, torch.autograd.grad(log_prob, leaf)[0])


def test_the_published_networks_have_their_published_size() -> None:
    with torch.device("meta"):
        net = worlds.CaffeNet()
    assert sum(one.numel() for one in net.parameters()) == 60_965_224
    assert net(torch.zeros(1, 3, 256, 256, device="meta")).shape == (1, 4096)


def test_the_exponent_of_a_power_law_is_found() -> None:
    rows = [{"chains": chains, "seconds": 0.1 * chains**0.9} for chains in (1, 8, 64, 512)]
    rows[0]["seconds"] = 99.0
    assert scaling.exponent(rows) == pytest.approx(0.9)


def test_start_up_is_told_with_what_ppgn_adds() -> None:
    found = dict.fromkeys([*startup.CODES, *startup.AFTER_TORCH], 1.0) | {"ppgn --help": 1.25, "import ppgn": 0.5}
    told = startup.report(found)
    assert "| ppgn --help, beyond starting Python | 0.25 |" in told
    assert "| import ppgn, beyond import torch | 0.5 |" in told


def test_what_is_loaded_after_torch_is_counted_and_torch_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow_to_load.py").write_text("import time, slow_part\ntime.sleep(0.2)")
    (tmp_path / "slow_part.py").write_text("import time\ntime.sleep(0.1)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert startup.importing("import slow_to_load") >= 0.3
    assert startup.importing("import torch") == 0


def test_two_processes_begin_before_one_of_them_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []

    class Worker:
        def __init__(self, *given: object, **named: object) -> None:
            did.append("start")
            self.stdin = self.stdout = self

        def readline(self) -> str:
            return "ready\n"

        def write(self, text: str) -> None:
            did.append(text.strip())

        def close(self) -> None:
            pass

        def wait(self) -> None:
            did.append("wait")

    monkeypatch.setattr(scaling.subprocess, "Popen", Worker)
    monkeypatch.setattr(scaling.time, "perf_counter", iter([0.0, 2.0, 10.0, 12.5]).__next__)
    assert scaling.with_processes(1, chains=3, steps=4) == {"one process": 6.0, "two processes": 9.6}
    assert did == ["start", "go", "wait"] + ["start"] * 2 + ["go"] * 2 + ["wait"] * 2
