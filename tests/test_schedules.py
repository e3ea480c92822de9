"""Schedules are values: scales that fall, levels that are spaced, how a run fills them in, and their JSON."""

import json
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch
from conftest import make_code, make_world
from test_checks_ask_tell import HillClimbing

from ppgn import samplers
from ppgn.chain import run
from ppgn.priors import NoiseLevelPrior
from ppgn.recipes import Recipe
from ppgn.samplers import Linear, Spaced, bound, levels_from, scale_at, scale_from
from ppgn.starts import NoiseLevelCodes
from ppgn.types import CodeSpace

EACH = {
    "langevin": samplers.Langevin(0.1, Linear(2.0, 0.5), Linear(0.1, 0.0, 7, begin=3), condition_limit=0.5),
    "released": samplers.ReleasedLangevin(1e-5, 1.0, Linear(0.1, 0.0), Linear(1.0, 1e-10), reset_every=100),
    "ascent": samplers.Ascent(Linear(8.0, 1e-10), decay=0.95, prior_scale=0.5),
    "adaptive": samplers.Adaptive(0.1, Linear(0.2, 0.05), noise_scale=0.3, momentum=0.5),
    "annealed": samplers.Annealed(Spaced(2.0, 0.1, count=4, rho=3.0), corrections=2, step_size=0.2, condition_scale=0.5),
    "guided": samplers.Guided(
        "tfg", Spaced(2.0, 0.1, count=4), 0.5, "increase", 2, 0.1, 0.5, 2, 0.2, 1.5, 0.1, 2, False, condition_limit=0.5
    ),
    "adam": samplers.Adam(Linear(0.1, 0.01), 0.5, 0.8, 0.99, nesterov=True, epsilon=1e-6),
    "regularised": samplers.Regularised(
        Linear(0.02, 0.01), 0.5, "progress", 0.8, 0.1, 0.5, 4, 10.0, 20.0, contrast=0.2, centre_width=0.4
    ),
    "biggan_am": samplers.BigGanAm(Linear(0.1, 0.01), 0.5, latents=3, steps_per_draw=7, embedding_units=2, diversity=0.2),
}
"""A sampler of each kind that is shipped, with no setting at its default."""


def recipe_of(sampler) -> Recipe:
    levels = {"prior": NoiseLevelPrior(), "start": NoiseLevelCodes()} if hasattr(sampler, "levels") else {}
    return Recipe(sampler=sampler, **levels)


def test_a_linear_schedule_goes_from_start_to_end_and_stays_there():
    schedule = Linear(1.0, 0.5, 4)
    assert [schedule(step) for step in (0, 1, 2, 4, 9)] == [1.0, 0.875, 0.75, 0.5, 0.5]
    assert [Linear(1.0, 0.5, 4, begin=3)(step) for step in (0, 3, 4, 7, 9)] == [1.0, 1.0, 0.875, 0.5, 0.5]


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_a_linear_schedule_of_no_steps_is_refused(steps):
    with pytest.raises(ValueError, match=f"linear schedule got steps {steps}, expected a whole number of at least 1"):
        Linear(1.0, 0.0, steps)


@pytest.mark.parametrize("ends", [(float("nan"), 0.0), (1.0, float("inf"))])
def test_a_linear_schedule_between_numbers_that_are_not_finite_is_refused(ends):
    with pytest.raises(ValueError, match="a linear schedule got .* expected finite numbers"):
        Linear(*ends)


def test_a_schedule_that_is_used_without_steps_says_what_to_do():
    sampler = samplers.Langevin(0.1, Linear(1.0, 0.5))
    with pytest.raises(ValueError, match=r"a linear schedule got no steps, .*: pass steps, or use samplers\.bound"):
        next(run(sampler, make_world().objective(), sampler.init(make_code(), [0, 1, 2]), 3))
    with pytest.raises(ValueError, match=r"spaced levels got no count, .*: pass count, or use samplers\.bound"):
        samplers.Annealed().init(make_code(), [0, 1, 2])


def test_a_scale_is_a_number_or_a_function_of_the_step():
    assert [scale_at(scale, 3) for scale in (0.25, Linear(1.0, 0.0, 4), lambda step: 10.0 * step)] == [0.25, 0.25, 30.0]


def test_spaced_levels_fall_from_the_highest_to_the_lowest_evenly_in_their_root():
    levels = Spaced(8.0, 0.1, 5, rho=3.0).levels
    assert (levels[0], levels[-1]) == pytest.approx((8.0, 0.1), rel=1e-12)
    roots = [level ** (1 / 3) for level in levels]
    assert [a - b for a, b in pairwise(roots)] == pytest.approx([(2 - 0.1 ** (1 / 3)) / 4] * 4, rel=1e-12)
    assert Spaced(8.0, 0.1, 1).levels == pytest.approx((8.0,))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((0.1, 8.0), "expected 0 < lowest < highest: swap the two"),
        ((1.0, 0.0), "expected 0 < lowest < highest"),
        ((1.0, 1.0), "expected 0 < lowest < highest"),
        ((float("inf"), 1.0), "expected 0 < lowest < highest"),
        ((1.0, float("nan")), "expected 0 < lowest < highest"),
        ((1.0, 0.1, 0), "got count 0, expected a whole number of at least 1"),
        ((1.0, 0.1, 4.5), "got count 4.5, expected a whole number of at least 1"),
        ((1.0, 0.1, 4, 0.0), "got rho 0.0, expected more than 0"),
        ((1.0, 0.1, 4, float("nan")), "got rho nan, expected more than 0"),
    ],
)
def test_levels_that_cannot_be_spaced_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Spaced(*given)


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_a_run_sets_every_schedule_without_steps_over_its_steps_and_leaves_the_others(name):
    sampler = EACH[name]
    made = bound(sampler, 10, begin=4, space=CodeSpace((3,), std=2.0))
    for field, value in vars(sampler).items():
        if isinstance(value, Linear) and value.steps is None:
            assert getattr(made, field) == replace(value, steps=10, begin=4)
        elif field != "spread":
            assert getattr(made, field) == value
    assert bound(made, 99, begin=50, space=CodeSpace((3,), std=2.0)) == made


def test_a_run_sets_as_many_levels_as_it_has_steps_for_and_the_spread_of_the_codes():
    sampler = samplers.Annealed(Spaced(1.0, 0.05), corrections=2)
    made = bound(sampler, 10, space=CodeSpace((3,), std=2.0))
    assert made == replace(sampler, levels=Spaced(1.0, 0.05, count=3), spread=2.0)
    assert made.updates == 9
    assert bound(sampler, 1).updates == 3
    assert bound(replace(sampler, spread=0.5), 10).spread == 0.5  # no code space says otherwise


@dataclass(frozen=True)
class CoolingClimb(HillClimbing):
    """Hill climbing with a scale that may fall."""

    cooling: Linear = Linear(1.0, 0.0)


def test_a_run_sets_the_schedules_of_a_search_too():
    searched = bound(samplers.Searched(CoolingClimb()), 5, begin=2)
    assert searched.rule == CoolingClimb(cooling=Linear(1.0, 0.0, 5, begin=2))


class NoSettings:
    """A sampler that is no dataclass."""


def test_a_sampler_that_is_no_dataclass_is_left_as_it_is():
    sampler = NoSettings()
    assert bound(sampler, 5) is sampler


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        (0.2, 0.2),
        (2, 2),
        ("0.2", 0.2),
        ("0.2:0.05", Linear(0.2, 0.05)),
        ([8, 1e-10], Linear(8.0, 1e-10)),
        ((0.2, 0.05), Linear(0.2, 0.05)),
        ({"name": "linear", "start": 1.0, "end": 0.5}, Linear(1.0, 0.5)),
        ({"name": "linear", "start": 1.0, "end": 0.5, "steps": 3, "begin": 2}, Linear(1.0, 0.5, 3, 2)),
        (Linear(1.0, 0.5), Linear(1.0, 0.5)),
        (abs, abs),
    ],
)
def test_a_scale_is_read_from_numbers_pairs_text_and_json(given, scale):
    assert scale_from(given, "step_size") == scale


@pytest.mark.parametrize(
    "given",
    ["", "fast", "1:2:3", [1.0], [1.0, 2.0, 3.0], [1.0, "2"], True, None, float("nan"), {"start": 1.0, "end": 0.5},
     {"name": "cosine", "start": 1.0, "end": 0.5}, {"name": "linear", "start": 1.0},
     {"name": "linear", "start": 1.0, "end": 0.5, "stop": 3}, {"name": "linear", "start": 1.0, "end": None}],
)  # fmt: skip
def test_what_is_no_scale_is_refused_in_the_name_of_the_setting(given):
    with pytest.raises(ValueError, match="^step_size got .* expected a number, or a start and an end"):
        scale_from(given, "step_size")


@pytest.mark.parametrize(
    ("given", "levels"),
    [
        ("1:0.05", Spaced(1.0, 0.05)),
        ([1, 0.05], Spaced(1.0, 0.05)),
        ((1.0, 0.05), Spaced(1.0, 0.05)),
        ([1.0, 0.5, 0.25], (1.0, 0.5, 0.25)),
        ({"name": "spaced", "highest": 1.0, "lowest": 0.05, "count": 7}, Spaced(1.0, 0.05, 7)),
        (Spaced(1.0, 0.05, rho=3.0), Spaced(1.0, 0.05, rho=3.0)),
    ],
)
def test_levels_are_read_from_pairs_lists_text_and_json(given, levels):
    assert levels_from(given, "levels") == levels


@pytest.mark.parametrize(
    "given",
    [0.5, "fast", [], ["1", "0.5"], [1.0, None], True, None, {"highest": 1.0, "lowest": 0.5},
     {"name": "spaced", "highest": 1.0}, {"name": "spaced", "highest": "1", "lowest": 0.5},
     {"name": "spaced", "highest": 1.0, "lowest": 0.5, "steps": 3}],
)  # fmt: skip
def test_what_is_no_levels_is_refused_in_the_name_of_the_setting(given):
    with pytest.raises(ValueError, match="^levels got .* expected levels: pass the highest and the lowest"):
        levels_from(given, "levels")


@pytest.mark.parametrize("name", samplers.SAMPLERS)
def test_every_shipped_sampler_comes_back_from_the_json_of_its_recipe(name):
    recipe = recipe_of(EACH[name])
    text = json.dumps(recipe.to_json(), allow_nan=False)
    again = Recipe.from_json(json.loads(text))
    assert again == recipe and json.dumps(again.to_json()) == text
    assert recipe.to_json()["sampler"]["name"] == name
    assert Recipe().changed(**recipe.flat()) == recipe


def test_a_constant_is_a_number_in_json_and_a_falling_step_says_its_ends():
    stored = recipe_of(EACH["released"]).to_json()["sampler"]
    assert stored["condition_scale"] == 1.0 and stored["reset_every"] == 100
    assert stored["step_size"] == {"name": "linear", "start": 1.0, "end": 1e-10}
    stored = recipe_of(EACH["langevin"]).to_json()["sampler"]
    assert stored["noise_scale"] == {"name": "linear", "start": 0.1, "end": 0.0, "steps": 7, "begin": 3}


@pytest.mark.parametrize("levels", [(1.0, 0.5), (1.0, 0.5, 0.25), (0.5,)])
def test_listed_levels_are_the_same_levels_after_json_and_as_a_setting(levels):
    recipe = recipe_of(samplers.Annealed(levels))
    for again in (Recipe.from_json(json.loads(json.dumps(recipe.to_json()))), Recipe().changed(**recipe.flat())):
        state = bound(again.sampler, 100).init(torch.zeros(1, 3), [0])
        assert bound(again.sampler, 100).updates == 2 * len(levels)
        assert torch.equal(state.code, recipe.sampler.init(torch.zeros(1, 3), [0]).code)
