"""Recipes as values: they equal their JSON, refuse what is wrong in one sentence, and change by names on one level."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PAPERS as TINY_PAPERS
from conftest import RECIPE, tiny_bundle

import ppgn
from ppgn import recipes
from ppgn.bundle import Bundle
from ppgn.conditions import Logit, LogSoftmax, Released
from ppgn.priors import Gaussian, NoiseLevelPrior, NoPrior
from ppgn.recipes import Choice, FixedBounds, NoBounds, Recipe, Retries, StatisticsBounds
from ppgn.samplers import Adaptive, Annealed, Ascent, Langevin, Linear, ReleasedLangevin, Spaced
from ppgn.starts import GaussianCodes, NoiseLevelCodes, Normal, Unclipped
from ppgn.types import CodeSpace, ImageSpec

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
STORED = {
    "tiny": {"recipes": {"class": RECIPE}, "papers": {"class": TINY_PAPERS}},
    **{file.parent.name: json.loads(file.read_text()) for file in sorted(CHECKPOINTS.glob("*/bundle.json"))},
}


def bundle_of(name: str) -> Bundle:
    """The recipes of a bundle, without its networks."""
    space, image = CodeSpace((4,), low=0.0, high=1.0), ImageSpec(8, 8)
    kept = {kind: STORED[name][kind] for kind in ("recipes", "papers")}
    return Bundle(name, {"generator": abs, "encoder": abs}, space, image, **kept)


OF_BUNDLES = {
    f"{name} {part} {kind}": recipe
    for name, stored in STORED.items()
    for part in ("recipes", "papers")
    for kind, recipe in stored[part].items()
}
OF_PAPERS = {
    f"{name} {paper} {kind}": recipes.recipe_for(bundle_of(name), kind, paper)
    for name in STORED
    for paper in recipes.PAPERS
    for kind in ("class", "plugged", "caption")
}
OTHERS = {
    "default": Recipe(),
    "annealed": Recipe(Annealed(), NoiseLevelPrior(0.3), NoiseLevelCodes(), LogSoftmax(2.0), bounds=NoBounds()),
    "three levels": Recipe(Annealed((1.0, 0.5, 0.2)), NoiseLevelPrior(), NoiseLevelCodes(), bounds=NoBounds()),
    "spaced": Recipe(Annealed(Spaced(2.0, 0.1, 3, 5.0)), NoiseLevelPrior(), NoiseLevelCodes(), bounds=NoBounds()),
    "scheduled": Recipe(Langevin(Linear(1.0, 0.0), 3, Linear(0.5, 0.1, 4, 2), 0.25), start=Unclipped(0.5, 2.0)),
    "ascent": Recipe(Ascent(Linear(8.0, 1e-10)), NoPrior(), Unclipped(), Logit(), bounds=StatisticsBounds()),
    "momentum": Recipe(Adaptive(0.1, 0.2, momentum=0.5), start=GaussianCodes(), choice=Choice(7, 2.0), retries=Retries(3, -1.5)),
}
EVERY = {**{name: Recipe.from_json(stored) for name, stored in OF_BUNDLES.items()}, **OF_PAPERS, **OTHERS}


def as_stored(recipe: Recipe) -> dict[str, Any]:
    return json.loads(json.dumps(recipe.to_json(), allow_nan=False))


@pytest.mark.parametrize("name", EVERY)
def test_a_recipe_is_its_json(name: str) -> None:
    recipe = EVERY[name]
    stored = as_stored(recipe)
    assert Recipe.from_json(stored) == recipe
    assert as_stored(Recipe.from_json(stored)) == stored == recipe.to_json()


@pytest.mark.parametrize("name", OF_BUNDLES)
def test_a_stored_recipe_comes_back_as_it_is_in_the_bundle(name: str) -> None:
    stored = OF_BUNDLES[name]
    made = Recipe.from_json(stored).to_json()
    assert {key: made[key] for key in stored} == stored


@pytest.mark.parametrize("name", EVERY)
def test_the_settings_on_one_level_make_the_same_recipe(name: str) -> None:
    recipe = EVERY[name]
    flat = recipe.flat()
    assert all(isinstance(flat[member], str) for member in recipes.FAMILIES)
    assert Recipe().changed(**flat) == recipe
    assert recipe.changed(**flat) == recipe == recipe.changed()


def test_two_levels_stay_two_and_are_not_the_ends_of_many() -> None:
    recipe = Recipe(Annealed((1.0, 0.2), 0, 0.5), NoiseLevelPrior(), NoiseLevelCodes(), bounds=NoBounds())
    for again in (Recipe.from_json(as_stored(recipe)), Recipe().changed(**recipe.flat())):
        assert again.sampler == Annealed(Spaced(1.0, 0.2, 2), 0, 0.5)
        assert again.sampler.levels.levels == pytest.approx((1.0, 0.2))


def test_what_a_stored_recipe_does_not_say_has_its_default() -> None:
    assert Recipe.from_json({}) == Recipe()
    stored = {"sampler": {"name": "langevin", "prior_scale": 0.1, "condition_scale": 2}, "start": {"name": "normal", "std": 2.0}}
    assert Recipe.from_json(stored) == Recipe(Langevin(0.1, 2), start=Normal(0.0, 2.0))


def switching() -> Bundle:
    """A bundle with an adaptive recipe of its own and a Langevin one for the papers."""
    bundle = tiny_bundle()
    bundle.recipes["class"] = Recipe(Adaptive(0.15, Linear(0.2, 0.05), momentum=0.3), measure=LogSoftmax(4.0)).to_json()
    bundle.papers["class"] = Recipe(Langevin(0.5, 20.0, 0.1, 0.25)).to_json()
    return bundle


def test_a_sampler_by_name_takes_the_settings_that_the_bundle_stores_for_it() -> None:
    bundle = switching()
    assert recipes.recipe_for(bundle, sampler="langevin").sampler == Langevin(0.5, 20.0, 0.1, 0.25)
    assert recipes.recipe_for(bundle, sampler="langevin", condition_scale=3).sampler == Langevin(0.5, 3, 0.1, 0.25)
    assert recipes.recipe_for(bundle, sampler="adaptive").sampler == Adaptive(0.15, Linear(0.2, 0.05), momentum=0.3)


def test_else_it_takes_those_of_the_same_name_from_the_one_it_replaces_and_then_its_defaults() -> None:
    adaptive = Recipe(Langevin(0.3, 7.0, 0.1)).changed(sampler="adaptive", step_size=0.2)
    assert adaptive.sampler == Adaptive(prior_scale=0.3, step_size=0.2, noise_scale=0.1, momentum=0.0)
    released = recipes.recipe_for(switching(), sampler="released").sampler
    assert released == ReleasedLangevin(0.15, 1.0, 0.0, Linear(0.2, 0.05), 0)
    stored = Recipe(Adaptive(0.9, 0.8))
    assert Recipe(Langevin(0.3, 7.0, 0.1)).changed([stored], sampler="adaptive").sampler == Adaptive(0.9, 0.8)
    with pytest.raises(ValueError, match="the sampler adaptive needs step_size, got none: pass step_size=VALUE"):
        Recipe(Langevin(0.3, 7.0)).changed(sampler="adaptive")


def test_a_setting_that_only_shares_its_name_is_not_taken_over() -> None:
    annealed = Recipe(ReleasedLangevin(step_size=Linear(1.0, 0.5))).changed(
        sampler="annealed", prior="noise_level", start="noise_level", bounds="none"
    )
    assert annealed.sampler == Annealed()  # whose step_size is a number, not a schedule


def test_other_members_by_name_keep_what_they_have_in_common() -> None:
    recipe = Recipe(start=Normal(0.5, 2.0), measure=Released(3.0), bounds=FixedBounds(0.0, 5.0))
    changed = recipe.changed(start="unclipped", measure="log_softmax", bounds="statistics")
    assert (changed.start, changed.measure, changed.bounds) == (Unclipped(0.5, 2.0), LogSoftmax(3.0), StatisticsBounds())
    assert recipe.changed(start_std=4.0, temperature=2.0, bounds_high=6.0) == Recipe(
        start=Normal(0.5, 4.0), measure=Released(2.0), bounds=FixedBounds(0.0, 6.0)
    )


def test_whole_members_are_taken_as_they_are_and_changes_come_on_top() -> None:
    recipe = Recipe().changed(sampler=Langevin(1.0, 2.0), prior=NoPrior(), start=Unclipped(std=3.0), noise_scale=0.5)
    assert recipe == Recipe(Langevin(1.0, 2.0, 0.5), NoPrior(), Unclipped(std=3.0))
    stored = {"name": "langevin", "prior_scale": 1.0, "condition_scale": 2.0}
    assert Recipe().changed(sampler=stored, noise_scale=0.5).sampler == Langevin(1.0, 2.0, 0.5)
    assert Recipe().changed(choice=Choice(4), retries={"tries": 2}, draw_power=2.0) == Recipe(
        choice=Choice(4, 2.0), retries=Retries(2)
    )


@pytest.mark.parametrize("falling", [(0.2, 0.05), [0.2, 0.05], "0.2:0.05", Linear(0.2, 0.05)])
def test_a_schedule_may_be_a_pair(falling: Any) -> None:
    assert Recipe().changed(step_size=falling).sampler.step_size == Linear(0.2, 0.05)
    assert recipes.recipe_for(switching(), step_size=falling).sampler.step_size == Linear(0.2, 0.05)
    assert recipes.recipe_for(switching(), step_size=0.1).sampler.step_size == 0.1


def test_none_leaves_a_setting_as_it_is_and_the_recipe_is_not_changed_in_place() -> None:
    recipe = Recipe(Langevin(0.3, 7.0))
    assert recipe.changed(sampler=None, steps=None, prior_scale=None, draws=None) == recipe
    assert recipe.changed(steps=3, prior_scale=0.5) != recipe == Recipe(Langevin(0.3, 7.0))


@dataclass(frozen=True)
class Nudge:
    """A start of somebody's own: the same code for every chain."""

    value: float = 0.25

    def draw(self, seeds: Any, draws: Any, space: CodeSpace, passes: Any) -> Any:
        import torch

        return torch.full((len(draws), len(seeds), *space.shape), self.value)


class Pull:
    """A prior with an argument that is no field."""

    def __init__(self, goal: float = 0.0) -> None:
        self.goal = goal

    def __call__(self, code: Any, image: Any) -> Any:
        return self.goal - code


@pytest.mark.parametrize("prior", [Pull(3.0), Gaussian(3.0)])
def test_a_member_whose_arguments_nothing_tells_is_not_read_back_with_its_defaults(prior: Any) -> None:
    stored = as_stored(Recipe(prior=prior))
    assert stored["prior"]["arguments"] == "unknown"
    with pytest.raises(ValueError, match="was saved without its arguments, expected a dataclass"):
        Recipe.from_json(stored)


def test_somebodys_own_member_is_named_by_its_module() -> None:
    sys.modules.setdefault("test_recipe_values", sys.modules[__name__])
    recipe = Recipe().changed(start="test_recipe_values:Nudge", start_value=0.5)
    assert recipe.start == sys.modules["test_recipe_values"].Nudge(0.5)
    assert as_stored(recipe)["start"] == {"name": "test_recipe_values:Nudge", "value": 0.5}
    assert Recipe.from_json(as_stored(recipe)) == recipe
    made = ppgn.sample(tiny_bundle(), 0, count=2, steps=1, start=Nudge(0.75))
    assert made.codes.unique().tolist() == [0.75]
