"""What one call of `ppgn.sample` does once: an objective for each batch and run, and one decision about precision."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from conftest import tiny_bundle

import ppgn
from ppgn import acceleration, chain, recipes
from ppgn.types import Image, LogProb

MANY: dict[str, Any] = {"count": 32, "steps": 2, "draws": 3, "tries": 3, "accept": 0.0}
"""No chain ends with a probability of 1, so each runs as often as it may."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often objectives are built, chains run, and a precision is decided."""
    counted: Counter[str] = Counter()

    def spy(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def spied(*given: Any, **options: Any) -> Any:
            counted[name] += 1
            return function(*given, **options)

        return spied

    monkeypatch.setattr("ppgn.recipes.objective", spy("objectives", recipes.objective))
    monkeypatch.setattr("ppgn.recipes.starting_codes", spy("starts", recipes.starting_codes))
    monkeypatch.setattr("ppgn.chain.run", spy("runs", chain.run))
    monkeypatch.setattr("ppgn.acceleration.network_precision", spy("decisions", acceleration.network_precision))
    return counted


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_draws_and_retries_share_the_objective_of_their_run_and_the_decided_precision(
    precision: str, calls: Counter[str]
) -> None:
    found = ppgn.sample(tiny_bundle(), "golf ball", batch=16, precision=precision, **MANY)
    assert len(found) == 32 and bool((found.log_prob < 0).all())
    assert found.recipe.precision in (("float32", "bfloat16") if precision == "auto" else (precision,))
    assert calls["runs"] == 2 * 3  # batches, runs of each chain
    assert calls["objectives"] == calls["starts"] == calls["runs"]
    assert calls["decisions"] == (precision == "auto")


def test_the_batch_that_memory_decides_makes_no_further_objective(calls: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgn.acceleration.memory.free_bytes", lambda device: 10**12)
    ppgn.sample(tiny_bundle(), "golf ball", precision="auto", **MANY)
    assert calls["objectives"] == calls["runs"] == 2 * 3  # 16 chains at once
    assert calls["decisions"] == 1


def test_chains_that_are_good_enough_make_no_further_objective(calls: Counter[str]) -> None:
    ppgn.sample(tiny_bundle(), "golf ball", batch=32, **{**MANY, "accept": -100.0})
    assert calls["objectives"] == calls["runs"] == 1


def test_an_objective_is_built_once_for_a_function_too_and_the_function_sees_each_draw_step_and_score(
    calls: Counter[str],
) -> None:
    seen: list[int] = []

    def bright(image: Image) -> LogProb:
        seen.append(len(image))
        return image.mean((1, 2, 3)) - 10

    ppgn.sample(tiny_bundle(), bright, batch=16, **MANY)
    assert calls["objectives"] == calls["runs"] == 2 * 3
    assert seen == [16] * (2 * 3) * (3 + 2 + 1)  # draws, steps and the score of the last image


def test_reading_a_recipe_runs_no_network_and_decides_nothing(calls: Counter[str]) -> None:
    bundle, passes = tiny_bundle(), list[str]()
    for name, network in bundle.parts.items():
        network.register_forward_pre_hook(lambda *_, name=name: passes.append(name))
    for kind in ("class", "caption", "plugged"):
        assert recipes.recipe_for(bundle, kind, precision="auto").precision == "auto"
    assert not passes and not calls


@pytest.mark.parametrize("mode", ["walk", "from_picture", "in_paint"])
def test_other_ways_to_run_chains_decide_the_precision_once_too(mode: str, calls: Counter[str]) -> None:
    bundle = tiny_bundle()
    picture = ppgn.sample(bundle, 0, count=1, steps=1, seed=1).images[0].clamp(0, 1)
    calls.clear()
    if mode == "walk":
        list(ppgn.walk(bundle, ["tench", "golf ball"], 2, count=2, precision="auto"))
        assert calls["objectives"] == 2  # one for each request
    elif mode == "from_picture":
        ppgn.from_picture(bundle, picture, [0, 1, 2, 3], steps=2, batch=2, precision="auto")
        assert calls["objectives"] == 2
    else:
        known = picture.new_ones(1, 8, 8)
        known[:, 2:4, 2:4] = 0
        ppgn.in_paint(bundle, picture, known, 0, count=4, steps=2, batch=2, precision="auto")
        assert calls["objectives"] == 2
    assert calls["decisions"] == 1
