"""The timings compare what they say they compare, and their arithmetic is right."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from torch import nn

import ppgn
from ppgn import chain, recipes
from ppgn.probe import Preprocessed

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import pixel_floors
import scaling
import startup
import steps
import timing
import worlds


def test_ways_alternate_and_the_first_round_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock = iter([9.0, 9.0, 1.0, 5.0, 7.0, 2.0, 2.0, 8.0])

    def seconds(call: object, _: object) -> float:
        call()  # type: ignore[operator]
        return next(clock)

    monkeypatch.setattr(timing, "seconds", seconds)
    found = timing.alternating({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert "".join(calls) == "ba" + "ab" + "ba" + "ab"
    assert found == {"a": 2.0, "b": 7.0}


def test_a_table_shows_three_digits_and_what_is_missing() -> None:
    assert timing.table(["a", "b", "c"], [["x", 1.23456, None]]) == "| a | b | c |\n| --- | --- | --- |\n| x | 1.23 | - |"


def test_the_machine_is_named_with_its_versions_and_commit() -> None:
    machine = timing.machine()
    assert machine["torch"] in (torch.__version__, torch.__version__.split("+")[0])
    assert machine["cores"] >= 1
    assert machine["processor"]
    assert {"torchvision", "lightning", "numpy", "python", "commit"} <= set(machine)


def tiny_world() -> worlds.World:
    bundle = tiny_bundle()
    return worlds.World("tiny", bundle.generator, bundle.encoder, None, bundle.code.shape)


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
    world = tiny_world()
    networks = (world.generator, world.encoder)
    assert passes(steps.ours(world, 3, 4), *networks) == [4, 4]
    assert passes(steps.floor(world, 3, 4), *networks) == [4, 4]
    assert passes(steps.released(world, 3, 4), *networks) == [24, 24]


def test_ours_and_the_floor_go_to_the_same_code() -> None:
    world = tiny_world()
    sampler, objective = world.stage(3)
    evaluation = sampler.step(sampler.init(world.code(3), range(3)), objective)[1]
    leaf = world.code(3).requires_grad_(True)
    log_prob = world.logits(world.generator(leaf)).log_softmax(1)[torch.arange(3), worlds.targets(3)].sum()
    torch.testing.assert_close(evaluation.gradient, torch.autograd.grad(log_prob, leaf)[0])


def test_ours_clips_codes_as_the_floor_does() -> None:
    world = tiny_world()
    sampler, objective = world.stage(2)
    state = sampler.step(sampler.init(world.code(2) - 5.0, range(2)), objective)[0]
    assert float(state.code.min()) == 0.0
    assert float(steps.updated(world.code(2) - 5.0, torch.zeros(2, 12), torch.zeros(2, 12)).min()) == 0.0


def pixel_world(recipe: str) -> pixel_floors.PixelWorld:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 10, 5, 2), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).requires_grad_(False)
    return pixel_floors.PixelWorld(recipe, network, Preprocessed(network, 16, 0.5, 0.25), size=16)


@pytest.mark.parametrize("recipe", pixel_floors.RECIPES)
def test_a_recipe_s_floor_makes_its_passes_and_its_step(recipe: str) -> None:
    world = pixel_world(recipe)
    shown: list[int] = []
    handle = world.network.register_forward_pre_hook(lambda module, inputs: shown.append(len(inputs[0])))
    sampler, objective = world.stage(2)
    after, _ = list(chain.run(sampler, objective, sampler.init(world.code(2), range(2)), 2))[-1]
    ours, shown[:] = list(shown), []
    reached = world.floor(2, 2)()
    handle.remove()
    assert shown == ours == ([8, 4] if recipe == "maco" else [2]) * 2
    if recipe in ("erhan_2009", "simonyan_2013"):  # the others draw, or blur otherwise at the edge
        torch.testing.assert_close(reached, after.code)
    else:
        moved = [(code - world.code(2)).abs().mean() for code in (reached, after.code)]
        torch.testing.assert_close(*moved, rtol=0.2, atol=0)


def test_automatic_is_what_sampling_a_bundle_runs() -> None:
    bundle = tiny_bundle()
    recipe = recipes.recipe_for(bundle, steps=3)
    sampler, objective = worlds.stage_of(bundle, [0, 1], 2, recipe)
    samples = ppgn.sample(bundle, [0, 1], recipe=recipe)
    code = recipes.starting_codes(recipes.prepare(bundle, recipe), [0, 1])
    last = [evaluation for _, evaluation in chain.run(sampler, objective, sampler.init(code, [0, 1]), 3)][-1]
    torch.testing.assert_close(last.code, samples.codes)


def test_the_published_networks_have_their_published_size() -> None:
    with torch.device("meta"):
        network = worlds.CaffeNet()
    assert sum(weight.numel() for weight in network.parameters()) == 60_965_224
    assert network(torch.zeros(1, 3, 256, 256, device="meta")).shape == (1, 4096)


def test_the_exponent_of_a_power_law_is_found() -> None:
    rows = [{"chains": chains, "seconds": 0.1 * chains**0.9} for chains in (1, 8, 64, 512)]
    rows[0]["seconds"] = 99.0
    assert scaling.exponent(rows) == pytest.approx(0.9)


def test_the_report_of_start_up_says_what_ppgn_adds() -> None:
    found = dict.fromkeys([*startup.CODES, *startup.AFTER_TORCH], 1.0) | {"ppgn --help": 1.25, "import ppgn": 0.5}
    page = startup.report(found)
    assert "| ppgn --help, beyond starting Python | 0.25 |" in page
    assert "| import ppgn, beyond import torch | 0.5 |" in page


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
