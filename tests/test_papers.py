"""The methods of the papers by name: the networks that they run, their constants, and what may change them."""

from typing import Any

import pytest
import torch
from conftest import tiny_bundle, tiny_parts
from torch import Tensor

import ppgn
from ppgn import recipes, requests, starts
from ppgn.bundle import Bundle
from ppgn.networks import PixelDenoiser, PixelDenoiserConfig
from ppgn.objective import Objective
from ppgn.priors import NoPrior
from ppgn.samplers import Adaptive, Ascent, Langevin, ReleasedLangevin

HIGH = [1.0 + 0.25 * unit for unit in range(12)]


def full_bundle() -> Bundle:
    """The tiny bundle with a second generator, a denoiser of pixels, and a range of each unit."""
    bundle = tiny_bundle()
    joint = tiny_parts()["generator"].eval().requires_grad_(False)
    denoiser = PixelDenoiser(PixelDenoiserConfig(channels=1, width=4, blocks=1)).eval().requires_grad_(False)
    for parameter in (*joint.parameters(), denoiser.last.weight):
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    bundle.parts.update(joint_generator=joint, pixel_denoiser=denoiser)
    bundle.code = ppgn.CodeSpace((12,), mean=0.5, std=1.0, low=0.0, high=torch.tensor(HIGH), relu=True)
    return bundle


def picture(seed: int = 0) -> Tensor:
    return torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("recipe", recipes.PAPERS)
def test_every_recipe_is_reproducible_and_a_chain_is_the_same_alone_and_in_a_batch(recipe: str) -> None:
    bundle = full_bundle()
    together, again = (ppgn.sample(bundle, 2, count=3, seed=4, steps=4, recipe=recipe) for _ in range(2))
    alone = ppgn.sample(bundle, 2, count=1, seed=5, steps=4, recipe=recipe)
    assert torch.equal(together.images, again.images)
    torch.testing.assert_close(together.images[1:2], alone.images, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.codes[1:2], alone.codes, rtol=0, atol=1e-4)
    assert not torch.equal(together.images[0], together.images[1])


@pytest.mark.parametrize("recipe", recipes.PAPERS)
def test_every_recipe_moves_the_code_from_where_it_started(recipe: str) -> None:
    bundle = full_bundle()
    first, last = (ppgn.sample(bundle, 2, count=2, steps=steps, recipe=recipe) for steps in (1, 4))
    assert float((first.codes - last.codes).abs().amax()) > 1e-6


def used(recipe: str) -> set[str]:
    """The networks of the bundle that a chain of the recipe runs."""
    bundle, seen = full_bundle(), set[str]()
    for name, network in bundle.parts.items():
        network.register_forward_hook(lambda *_, name=name: seen.add(name))
    ppgn.sample(bundle, 1, count=1, steps=1, recipe=recipe)
    return seen


@pytest.mark.parametrize(
    ("recipe", "networks"),
    [
        ("ppgn_x", {"pixel_denoiser", "encoder"}),
        ("dgn_am", {"generator", "encoder"}),
        ("ppgn_h", {"generator", "denoiser", "encoder"}),
        ("ppgn_h_released", {"generator", "denoiser", "encoder"}),
        ("joint_ppgn_h", {"joint_generator", "encoder"}),
        ("joint_ppgn_h_released", {"joint_generator", "encoder"}),
        ("noiseless_joint_ppgn_h", {"generator", "encoder"}),
        ("noiseless_joint_ppgn_h_released", {"generator", "encoder"}),
    ],
)
def test_a_recipe_runs_the_networks_of_its_method_and_no_other(recipe: str, networks: set[str]) -> None:
    assert used(recipe) == networks


def test_the_code_of_ppgn_x_is_its_image_and_stays_between_0_and_1() -> None:
    made = ppgn.sample(full_bundle(), 1, count=2, steps=5, recipe="ppgn_x", condition_scale=100.0)
    assert torch.equal(made.codes, made.images)
    assert bool(((made.images >= 0) & (made.images <= 1)).all())


def wired(name: str) -> tuple[Any, Objective]:
    """The sampler and the objective of a method."""
    bundle = full_bundle()
    request = requests.classes(bundle, 1)
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, name=name), request)
    return setup.sampler(), recipes.objective(setup, request)


def test_dgn_am_is_the_ascent_of_section_3_to_the_constant() -> None:
    sampler, objective = wired("dgn_am")
    assert isinstance(sampler, Ascent) and isinstance(objective.prior, NoPrior)
    assert sampler.decay == 0.99
    assert callable(sampler.step_size)
    assert [sampler.step_size(step) for step in (0, 100, 200)] == pytest.approx([8.0, 4.0, 1e-10], rel=1e-6)
    assert torch.as_tensor(objective.space.low).tolist() == 0.0
    assert torch.as_tensor(objective.space.high).tolist() == HIGH
    assert recipes.recipe_for(full_bundle(), name="dgn_am").steps == 200


def test_the_code_of_dgn_am_stays_within_the_statistics_of_each_unit() -> None:
    made = ppgn.sample(full_bundle(), 1, count=2, steps=5, recipe="dgn_am")
    assert bool((made.codes >= 0).all()) and bool((made.codes <= 0.99 * torch.tensor(HIGH)).all())
    assert float(made.codes.max()) > 1.0  # more than the lowest of the bounds


def test_the_released_recipe_is_the_sampler_of_section_2_to_the_constant() -> None:
    sampler, objective = wired("noiseless_joint_ppgn_h_released")
    assert sampler == ReleasedLangevin(prior_scale=1e-5, condition_scale=1.0, noise_scale=1e-17, step_size=1.0, reset_every=0)
    assert (objective.space.low, objective.space.high) == (0.0, 30.0)
    assert recipes.recipe_for(full_bundle(), name="noiseless_joint_ppgn_h_released").steps == 200 + 1


def test_the_released_start_keeps_the_negative_entries_of_its_noise() -> None:
    bundle = full_bundle()
    released, clipped = (
        recipes.starting_codes(recipes.prepare(bundle, recipes.recipe_for(bundle, name=name)), [3])
        for name in ("noiseless_joint_ppgn_h_released", None)
    )
    assert torch.equal(released, starts.random_code([3], (12,)))
    assert float(released.min()) < 0
    assert torch.equal(clipped, released.clamp_min(0))


def test_changes_win_over_the_recipe_and_the_recipe_over_the_bundle() -> None:
    bundle = full_bundle()
    assert recipes.recipe_for(bundle).steps == 5  # the bundle's own
    assert recipes.recipe_for(bundle, name="dgn_am").steps == 200
    assert recipes.recipe_for(bundle, name="ppgn_h").steps == 5  # the paper form leaves it alone
    changed = recipes.recipe_for(bundle, name="dgn_am", steps=7, decay=None)
    assert changed != recipes.recipe_for(bundle, name="dgn_am")
    assert changed.changed(steps=200) == recipes.recipe_for(bundle, name="dgn_am", decay=0.99)


def test_an_unknown_recipe_names_all_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'ppgn': choose ppgn_x, dgn_am.*noiseless_joint_ppgn_h_released"):
        recipes.recipe_for(tiny_bundle(), name="ppgn")


@pytest.mark.parametrize(("recipe", "lacking"), [("ppgn_x", "pixel denoiser"), ("joint_ppgn_h", "joint generator")])
def test_a_part_that_the_bundle_lacks_names_the_recipes_that_it_can_run(recipe: str, lacking: str) -> None:
    can = "dgn_am, dgn_am_released, ppgn_h, ppgn_h_released, noiseless_joint_ppgn_h, noiseless_joint_ppgn_h_released"
    with pytest.raises(ValueError, match=f"has no {lacking}, .* {can}$"):
        ppgn.sample(tiny_bundle(), 0, recipe=recipe)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": "pixels"}, "prior 'reconstruction' with generator 'pixels': choose prior pixel_denoiser or none"),
        ({"prior": "pixel_denoiser"}, "choose generator pixels"),
        ({"recipe": "ppgn_x", "start": "codes"}, "choose start normal"),
        ({"recipe": "ppgn_x", "bounds": "statistics"}, "choose bounds fixed"),
        ({"generator": "gan"}, r"has no gan, .*\(it has encoder, generator, denoiser, joint_generator, pixel_denoiser\)"),
        ({"bounds": "wide"}, "choose fixed, statistics, none"),
        ({"recipe": "dgn_am", "decay": 0.0}, r"\(0, 1\]"),
        ({"reset_every": -1}, "at least 0"),
    ],
)
def test_a_setting_that_does_not_fit_is_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ppgn.sample(full_bundle(), 0, count=1, **changes)


def test_statistics_that_the_bundle_lacks_are_refused() -> None:
    bundle = full_bundle()
    bundle.code = ppgn.CodeSpace((12,), low=0.0, relu=True)
    with pytest.raises(ValueError, match="no low and high of its codes"):
        ppgn.sample(bundle, 0, count=1, recipe="dgn_am")


def test_the_methods_that_a_bundle_can_run_are_those_whose_networks_and_bounds_it_has() -> None:
    bare = Bundle.of(lambda code: code.reshape(-1, 1, 3, 4), (12,))
    assert recipes.runnable(bare) == ()
    with pytest.raises(ValueError, match="has no encoder, .*: choose other settings$"):
        ppgn.sample(bare, lambda image: image.mean((1, 2, 3)), count=1, prior="reconstruction")
    bare.code = ppgn.CodeSpace((12,), low=0.0, high=1.0)
    assert recipes.runnable(bare) == ("dgn_am", "dgn_am_released")


def stored(bundle: Bundle, **changes: Any) -> dict[str, Any]:
    """The bundle's recipe for classes with some settings changed, as JSON."""
    return recipes.recipe_for(bundle, **changes).to_json()


def test_plugged_conditions_run_by_the_settings_that_the_bundle_has_for_them() -> None:
    bundle = full_bundle()
    bundle.recipes["plugged"] = stored(bundle, steps=2, step_size=0.1)
    plugged = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1)
    assert (plugged.recipe.steps, plugged.recipe.sampler.step_size) == (2, 0.1)
    assert ppgn.sample(bundle, 0, count=1).recipe.steps == 5
    assert ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1, steps=3).recipe.steps == 3


def test_named_methods_begin_as_in_the_papers_where_the_bundle_goes_past_them() -> None:
    bundle = full_bundle()
    bundle.papers["class"] = stored(bundle, draws=1, steps=50)
    bundle.recipes["class"] = stored(bundle, draws=40, steps=25)
    default, named = recipes.recipe_for(bundle), recipes.recipe_for(bundle, name="ppgn_h")
    assert (default.choice.draws, default.steps) == (40, 25)
    assert (named.choice.draws, named.steps) == (1, 50)
    assert recipes.recipe_for(bundle, name="ppgn_h", draws=3).choice.draws == 3


@pytest.mark.parametrize("name", ["condition_scale", "condition_limit"])
def test_a_scale_that_the_bundles_own_sampler_does_not_have_is_refused(name: str) -> None:
    bundle = tiny_bundle()
    bundle.recipes["class"] = stored(bundle, sampler=Adaptive(0.1, 0.2))
    refused = f"got {name} 3.0, which the sampler adaptive does not have .its settings: prior_scale, step_size, .* langevin"
    for changes in ({}, {"sampler": "adaptive"}):
        with pytest.raises(ValueError, match=refused):
            recipes.recipe_for(bundle, **changes, **{name: 3.0})
    assert getattr(recipes.recipe_for(bundle, sampler="langevin", **{name: 3.0}).sampler, name) == 3.0
    named = recipes.recipe_for(bundle, name="noiseless_joint_ppgn_h", condition_scale=3.0)
    assert isinstance(named.sampler, Langevin) and named.sampler.condition_scale == 3.0


@pytest.mark.parametrize("name", recipes.PAPERS)
def test_a_named_method_is_float32_and_tries_once_whatever_the_bundle_does(name: str) -> None:
    bundle = full_bundle()
    bundle.recipes["caption"] = bundle.papers["caption"] = stored(bundle, tries=2)
    bundle.recipes["class"] = bundle.papers["class"] = stored(bundle, tries=3, precision="bfloat16")
    for kind in ("class", "caption", "plugged"):
        recipe = recipes.recipe_for(bundle, kind, name)
        assert (recipe.retries.tries, recipe.precision) == (1, "float32")
