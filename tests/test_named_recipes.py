"""The methods of the papers and the released examples by name: which parts they wire, how many updates they make."""

import dataclasses
import math
from typing import Any

import pytest
import torch
from conftest import tiny_bundle, tiny_parts
from torch import Tensor

from ppgn import chain, masks, recipes, starts
from ppgn.bundle import Bundle
from ppgn.networks import PixelDenoiser, PixelDenoiserConfig
from ppgn.objective import Objective
from ppgn.priors import NoPrior
from ppgn.recipes import examples
from ppgn.recipes.runs import start_for
from ppgn.recipes.settings import Settings
from ppgn.recipes.wiring import objective_for, sampler_for
from ppgn.samplers import Ascent, ReleasedLangevin
from ppgn.types import Sampler

HIGH = [1.0 + 0.25 * unit for unit in range(12)]


def full_bundle() -> Bundle:
    """The tiny bundle with a second generator, a denoiser of pixels, and a range of each unit."""
    bundle = tiny_bundle()
    joint = tiny_parts()["generator"].eval().requires_grad_(False)
    denoiser = PixelDenoiser(PixelDenoiserConfig(channels=1, width=4, blocks=1)).eval().requires_grad_(False)
    for parameter in (*joint.parameters(), denoiser.last.weight):
        parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    bundle.parts.update(joint_generator=joint, pixel_denoiser=denoiser)
    bundle.info["code"]["high"] = HIGH
    return bundle


def picture(seed: int = 0) -> Tensor:
    return torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("recipe", list(recipes.NAMED))
def test_every_recipe_is_reproducible_and_a_chain_is_the_same_alone_and_in_a_batch(recipe: str) -> None:
    bundle = full_bundle()
    together, again = (recipes.sample(bundle, 2, count=3, seed=4, steps=4, recipe=recipe) for _ in range(2))
    alone = recipes.sample(bundle, 2, count=1, seed=5, steps=4, recipe=recipe)
    assert torch.equal(together.images, again.images)
    torch.testing.assert_close(together.images[1:2], alone.images, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.codes[1:2], alone.codes, rtol=0, atol=1e-4)
    assert not torch.equal(together.images[0], together.images[1])


@pytest.mark.parametrize("recipe", list(recipes.NAMED))
def test_every_recipe_moves_the_code_from_where_it_started(recipe: str) -> None:
    bundle = full_bundle()
    first, last = (recipes.sample(bundle, 2, count=2, steps=steps, recipe=recipe) for steps in (1, 4))
    assert float((first.codes - last.codes).abs().amax()) > 1e-6


def used(recipe: str) -> set[str]:
    """The networks of the bundle that a chain of the recipe runs."""
    bundle, seen = full_bundle(), set[str]()
    for name, network in bundle.parts.items():
        network.register_forward_hook(lambda *_, name=name: seen.add(name))
    recipes.sample(bundle, 1, count=1, steps=1, recipe=recipe)
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
    made = recipes.sample(full_bundle(), 1, count=2, steps=5, recipe="ppgn_x", condition_scale=100.0)
    assert torch.equal(made.codes, made.images)
    assert bool(((made.images >= 0) & (made.images <= 1)).all())


def wired(recipe: str, **changes: Any) -> tuple[Sampler, Objective]:
    bundle = full_bundle()
    settings = recipes.settings_for(bundle, recipe, **changes)
    objective = objective_for(bundle, [1], settings)
    return sampler_for(bundle, objective, settings), objective


def test_dgn_am_is_the_ascent_of_section_3_to_the_constant() -> None:
    sampler, objective = wired("dgn_am")
    assert isinstance(sampler, Ascent) and isinstance(objective.prior, NoPrior)
    assert sampler.decay == 0.99
    assert callable(sampler.step_size)
    assert [sampler.step_size(step) for step in (0, 100, 200)] == pytest.approx([8.0, 4.0, 1e-10], rel=1e-6)
    assert sampler.code_range is not None
    assert torch.as_tensor(sampler.code_range[0]).tolist() == 0.0
    assert torch.as_tensor(sampler.code_range[1]).tolist() == HIGH
    assert recipes.settings_for(full_bundle(), "dgn_am").steps == 200


def test_the_code_of_dgn_am_stays_within_the_statistics_of_each_unit() -> None:
    made = recipes.sample(full_bundle(), 1, count=2, steps=5, recipe="dgn_am")
    assert bool((made.codes >= 0).all()) and bool((made.codes <= 0.99 * torch.tensor(HIGH)).all())
    assert float(made.codes.max()) > 1.0  # more than the lowest of the bounds


def test_the_released_recipe_is_the_sampler_of_section_2_to_the_constant() -> None:
    sampler, _ = wired("noiseless_joint_ppgn_h_released")
    assert isinstance(sampler, ReleasedLangevin)
    assert (sampler.prior_scale, sampler.condition_scale, sampler.noise_scale) == (1e-5, 1.0, 1e-17)
    assert callable(sampler.step_size) and sampler.step_size(0) == sampler.step_size(200) == 1.0
    assert (sampler.code_range, sampler.reset_every) == ((0.0, 30.0), 0)
    assert recipes.settings_for(full_bundle(), "noiseless_joint_ppgn_h_released").steps == 200 + 1


def test_the_released_start_keeps_the_negative_entries_of_its_noise() -> None:
    bundle = full_bundle()
    released = start_for(bundle, [3], recipes.settings_for(bundle, "noiseless_joint_ppgn_h_released"))
    assert torch.equal(released, starts.random_code([3], (12,)))
    assert float(released.min()) < 0
    clipped = start_for(bundle, [3], recipes.settings_for(bundle))
    assert torch.equal(clipped, released.clamp_min(0))


def test_changes_win_over_the_recipe_and_the_recipe_over_the_bundle() -> None:
    bundle = full_bundle()
    assert recipes.settings_for(bundle).steps == 5  # the bundle's own
    assert recipes.settings_for(bundle, "dgn_am").steps == 200
    assert recipes.settings_for(bundle, "ppgn_h").steps == 5  # the paper form leaves it alone
    assert recipes.settings_for(bundle, "dgn_am", steps=7, decay=None) == dataclasses.replace(
        recipes.settings_for(bundle, "dgn_am"), steps=7, decay=0.99
    )


def test_an_unknown_recipe_names_all_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'ppgn': choose ppgn_x, dgn_am.*noiseless_joint_ppgn_h_released"):
        recipes.settings_for(tiny_bundle(), "ppgn")


@pytest.mark.parametrize(("recipe", "lacking"), [("ppgn_x", "pixel_denoiser"), ("joint_ppgn_h", "joint_generator")])
def test_a_part_that_the_bundle_lacks_names_the_recipes_that_it_can_run(recipe: str, lacking: str) -> None:
    can = "dgn_am, dgn_am_released, ppgn_h, ppgn_h_released, noiseless_joint_ppgn_h, noiseless_joint_ppgn_h_released"
    with pytest.raises(ValueError, match=f"has no {lacking}: .* {can}$"):
        recipes.sample(tiny_bundle(), 0, recipe=recipe)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generator": "pixels"}, "prior 'reconstruction' with generator 'pixels': choose prior pixel_denoiser or none"),
        ({"prior": "pixel_denoiser"}, "choose generator pixels"),
        ({"recipe": "ppgn_x", "start": "codes"}, "choose start normal"),
        ({"recipe": "ppgn_x", "bounds": "statistics"}, "choose bounds fixed"),
        ({"generator": "gan"}, "choose generator, joint_generator, pixels"),
        ({"bounds": "none"}, "choose fixed, statistics"),
        ({"decay": 0.0}, r"\(0, 1\]"),
        ({"reset_every": -1}, "at least 0"),
    ],
)
def test_a_setting_that_does_not_fit_is_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recipes.sample(full_bundle(), 0, count=1, **changes)


def test_statistics_that_the_bundle_lacks_are_refused() -> None:
    bundle = full_bundle()
    del bundle.info["code"]["high"]
    with pytest.raises(ValueError, match="no low and high of its codes"):
        recipes.sample(bundle, 0, count=1, recipe="dgn_am")


def test_classes_in_turn_make_n_times_k_plus_1_updates_and_change_class_where_chain_turn_says() -> None:
    bundle = full_bundle()
    steps = list(recipes.in_turn(bundle, ["golf ball", 0, "pump"], 4, count=2, recipe="joint_ppgn_h_released"))
    assert len(steps) == 4 * 3 + 1 == steps[-1][0].step
    for index, (_, evaluation) in enumerate(steps):
        wanted = [2, 0, 3][chain.turn(index, 4)]
        logits = bundle.encoder.logits_from_code(bundle.encoder(evaluation.image))
        torch.testing.assert_close(evaluation.log_prob, logits.log_softmax(1)[:, wanted])
    for before, after in zip(steps, steps[1:], strict=False):
        assert torch.equal(before[0].code, after[1].code)


def test_step_sizes_begin_anew_with_each_condition_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[list[float]] = []

    def spied(bundle: Bundle, objective: Objective, settings: Settings, begin: int = 0) -> Sampler:
        sampler = sampler_for(bundle, objective, settings, begin)
        assert isinstance(sampler, ReleasedLangevin) and callable(sampler.step_size)
        sizes.append([sampler.step_size(step) for step in range(9)])
        return sampler

    monkeypatch.setattr("ppgn.recipes.sampling.sampler_for", spied)
    list(recipes.in_turn(full_bundle(), [0, lambda image: image.mean((1, 2, 3))], 4, step_size=1.0, step_size_end=0.0))
    assert sizes == [[1.0, 0.75, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]]


def test_plugged_conditions_run_by_the_settings_that_the_bundle_has_for_them() -> None:
    bundle = full_bundle()
    bundle.info["recipe"]["plugged"] = {"steps": 2, "step_size": 0.1}
    plugged = recipes.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1)
    assert (plugged.settings.steps, plugged.settings.step_size) == (2, 0.1)
    assert recipes.sample(bundle, 0, count=1).settings.steps == 5
    assert recipes.sample(bundle, lambda image: image.mean((1, 2, 3)), count=1, steps=3).settings.steps == 3


def test_named_methods_begin_as_in_the_papers_where_the_bundle_goes_past_them() -> None:
    bundle = full_bundle()
    bundle.info["recipe"]["settings"].update(draws=40, steps=25)
    bundle.info["recipe"]["papers"] = {"draws": 1, "steps": 50}
    default, named = recipes.settings_for(bundle), recipes.settings_for(bundle, "ppgn_h")
    assert (default.draws, default.steps) == (40, 25)
    assert (named.draws, named.steps) == (1, 50)
    assert recipes.settings_for(bundle, "ppgn_h", draws=3).draws == 3


def test_one_class_in_turn_is_the_chain_of_sample() -> None:
    bundle = full_bundle()
    *_, (_, last) = recipes.in_turn(bundle, [1], 4, count=2, seed=7, step_size_end=0.5)
    assert torch.equal(last.image, recipes.sample(bundle, 1, count=2, seed=7, steps=5, step_size_end=0.5).images)


def test_chains_in_turn_without_a_condition_are_refused() -> None:
    with pytest.raises(ValueError, match="got no condition"):
        recipes.in_turn(full_bundle(), [], 4)


def test_the_first_evaluation_from_a_picture_is_of_its_own_code() -> None:
    bundle = full_bundle()
    made = recipes.from_picture(bundle, picture(), [0, 1, 2], steps=1)
    assert torch.equal(made.codes, bundle.encoder(picture()[None]).expand(3, -1))


def test_ppgn_x_from_a_picture_begins_with_the_picture() -> None:
    made = recipes.from_picture(full_bundle(), picture(), 0, steps=1, recipe="ppgn_x")
    assert torch.equal(made.images[0], picture())


@pytest.mark.parametrize("wrong", [picture()[None], picture()[:, :7], 2 * picture(), picture() * math.nan])
def test_what_is_no_picture_of_the_bundle_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="got a picture"):
        recipes.from_picture(full_bundle(), wrong, 0)


@pytest.mark.parametrize("condition", ["golf ball", lambda image: image.mean((1, 2, 3)), None])
@pytest.mark.parametrize("recipe", [None, "noiseless_joint_ppgn_h_released", "ppgn_x"])
def test_in_painting_keeps_the_known_pixels_exactly_and_fills_the_hole(condition: Any, recipe: str | None) -> None:
    known = masks.box_mask("2,3,4,2", 8)
    filled = recipes.in_paint(full_bundle(), picture(), known, condition, count=3, steps=3, recipe=recipe)
    hole = known[0] == 0
    assert filled.images.shape == (3, 1, 8, 8)
    assert torch.equal(filled.images[..., ~hole], picture()[None].expand(3, 1, 8, 8)[..., ~hole])
    assert torch.equal(filled.images[..., hole], filled.samples.images[..., hole])
    assert not torch.equal(filled.images[0][..., hole], picture()[..., hole])


def test_in_painting_starts_from_the_masked_picture_with_the_mean_of_what_is_known_in_the_hole() -> None:
    bundle, known = full_bundle(), masks.box_mask("2,3,4,2", 8)
    mean = float(picture()[known == 1].mean())
    filled = recipes.in_paint(bundle, picture(), known, 1, steps=1)
    start = starts.from_masked_image(bundle.encoder, picture()[None], known, mean)
    torch.testing.assert_close(filled.samples.codes, start)


def test_encoder_and_condition_of_in_painting_see_the_composite_in_one_pass() -> None:
    bundle, known, passes = full_bundle(), masks.box_mask("2,3,4,2", 8), []
    bundle.encoder.register_forward_hook(lambda module, given, made: passes.append(given[0].detach()))
    filled = recipes.in_paint(bundle, picture(), known, 1, steps=3)
    assert len(passes) == 1 + 3  # the start, then one a step
    assert torch.equal(passes[-1], filled.images)


def test_the_context_term_is_epsilon_4_times_the_released_gradient() -> None:
    bundle, known = full_bundle(), masks.box_mask("2,3,4,2", 8)
    settings = recipes.settings_for(bundle, "noiseless_joint_ppgn_h_released", condition_scale=2.0)
    objective = objective_for(bundle, None, settings, recipes.Hole(picture(), known, 1e-3))
    code = torch.rand(2, 12, generator=torch.Generator().manual_seed(2))
    leaf = code.clone().requires_grad_()
    error = 255 * (bundle.generator(leaf) - picture()) * known
    (expected,) = torch.autograd.grad(-1e-3 * (error**2).sum() / 2, leaf)
    gradient = objective.evaluate(code).gradient
    torch.testing.assert_close(settings.condition_scale * gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_filling_reports_the_log_prob_of_its_condition_without_the_context() -> None:
    bundle, known = full_bundle(), masks.box_mask("2,3,4,2", 8)
    filled = recipes.in_paint(bundle, picture(), known, [1, 3], steps=3, context_scale=0.1)
    logits = bundle.encoder.logits_from_code(bundle.encoder(filled.images)) / filled.samples.settings.temperature
    torch.testing.assert_close(filled.samples.log_prob, logits.log_softmax(1)[[0, 1], [1, 3]])


@pytest.mark.parametrize("method", ["from_picture", "in_paint"])
def test_chains_from_a_picture_are_the_same_in_batches_of_two(method: str) -> None:
    changes = {"steps": 3, "recipe": "noiseless_joint_ppgn_h_released", "noise_scale": 1e-3}
    given = (masks.box_mask("2,3,4,2", 8), [0, 1, 2]) if method == "in_paint" else ([0, 1, 2],)
    made = [getattr(recipes, method)(full_bundle(), picture(), *given, batch=batch, **changes).images for batch in (32, 2)]
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-5)
    assert not torch.equal(made[0][0], made[0][1])


@pytest.mark.parametrize(
    ("known", "changes", "said"),
    [
        (torch.ones(1, 7, 8), {}, "a mask has shape"),
        (2 * torch.ones(1, 8, 8), {}, r"outside \[0, 1\]"),
        (torch.ones(1, 8, 8), {"condition_scale": 0.0}, "condition_scale 0"),
        (torch.ones(1, 8, 8), {"count": 0}, "at least 1"),
    ],
)
def test_in_painting_that_cannot_work_is_a_sentence(known: Tensor, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recipes.in_paint(full_bundle(), picture(), known, 1, **changes)


def constants(example: examples.Example) -> tuple[Any, ...]:
    """Updates, first and last step size, e1, e2, e3, reset, kept every and above: a row of the released table."""
    (sampler, *_), updates = example.samplers, example.steps_each * len(example.samplers) + 1
    assert isinstance(sampler, ReleasedLangevin) and callable(sampler.step_size)
    sizes = (sampler.step_size(0), sampler.step_size(example.steps_each))
    scales = (sampler.prior_scale, sampler.condition_scale, sampler.noise_scale)
    return updates, *sizes, *scales, sampler.reset_every, example.every, example.above


ROWS = [
    ("example_1", {"wanted": 1}, (201, 1.0, 1.0, 1e-5, 1.0, 1e-17, 0, 5, -math.inf)),
    ("example_2", {"classes": [1, 2, 0]}, (301, 1.0, 1.0, 1e-5, 1.0, 1e-17, 0, 1, -math.inf)),
    ("example_3", {"unit": "trunk.block0.3:2@centre"}, (1001, 1.0, 1.0, 1e-5, 1.0, 1e-17, 100, 1, math.log(0.98))),
    ("example_4", {"unit": "trunk.block0.3:2@centre"}, (1001, 1.0, 1.0, 1e-7, 1.0, 1e-17, 100, 1, math.log(0.98))),
    ("example_6", {"wanted": 1, "picture": picture()}, (201, 0.5, 0.5, 1e-5, 1.0, 1e-17, 0, 1, -math.inf)),
    ("example_7", {"wanted": 1, "picture": picture()}, (21, 1.0, 1e-32, 1e-5, 1.0, 0.0, 0, 1, -math.inf)),
]


def released_example(name: str, arguments: dict[str, Any]) -> examples.Example:
    bundle = full_bundle()
    more = {"network": bundle.encoder} if name == "example_4" else {}
    return getattr(examples, name)(bundle, **arguments, **more)


@pytest.mark.parametrize(("name", "arguments", "row"), ROWS)
def test_a_released_example_has_the_constants_of_its_row(name: str, arguments: dict[str, Any], row: tuple[Any, ...]) -> None:
    assert constants(released_example(name, arguments)) == pytest.approx(row, rel=1e-9, abs=1e-31)


@pytest.mark.parametrize(("name", "arguments"), [(name, {**arguments, "steps": 10}) for name, arguments, _ in ROWS])
def test_a_released_example_makes_n_times_k_plus_1_updates_and_keeps_what_it_says(name: str, arguments: dict[str, Any]) -> None:
    example = released_example(name, arguments)
    steps = list(example.run())
    assert len(steps) == 10 * len(example.samplers) + 1
    kept = [
        (index, place)
        for index, (_, evaluation) in enumerate(steps)
        for place, value in enumerate(evaluation.log_probs["condition"].tolist())
        if index % example.every == 0 and value > example.above
    ]
    assert [(sample.step, sample.chain) for sample in example.kept()] == kept
    assert kept or name in ("example_3", "example_4")


def test_the_unit_example_asks_for_the_centre_before_the_activation() -> None:
    bundle = full_bundle()
    example = examples.example_3(bundle, "trunk.block0.4:2@centre", steps=1)
    evaluation = next(example.run())[1]
    before_relu = bundle.encoder.trunk.block0[:5](2 * evaluation.image - 1)
    torch.testing.assert_close(evaluation.log_prob, before_relu[:, :, 4, 4].log_softmax(1)[:, 2])
    assert float(before_relu[:, :, 4, 4].min()) < 0


def test_the_in_painting_example_has_ten_chains_and_a_hole_of_100_of_256_of_the_side() -> None:
    example = released_example("example_7", {"wanted": 1, "picture": picture()})
    assert len(example.state.seeds) == 10
    assert example.hole is not None
    assert int((example.hole.known == 0).sum()) == 3 * 3
    assert example.hole.context_scale == 1e-9


def test_the_caption_example_says_that_a_bundle_has_no_captioner() -> None:
    with pytest.raises(ValueError, match="has no captioner of its own"):
        examples.example_5(full_bundle(), "a red car")


@pytest.mark.parametrize("name", ["condition_scale", "condition_limit"])
def test_a_scale_that_the_bundles_own_sampler_does_not_use_is_refused(name: str) -> None:
    bundle = tiny_bundle()
    bundle.info["recipe"]["settings"]["sampler"] = "adaptive"
    with pytest.raises(ValueError, match=f"got {name} 3, which .* adaptive, does not use"):
        recipes.settings_for(bundle, **{name: 3.0})
    assert getattr(recipes.settings_for(bundle, sampler="langevin", **{name: 3.0}), name) == 3.0
    assert recipes.settings_for(bundle, "noiseless_joint_ppgn_h", condition_scale=3.0).sampler == "langevin"
    assert recipes.settings_for(bundle, sampler="adaptive", **{name: 3.0}).sampler == "adaptive"
