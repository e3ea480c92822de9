"""Chains that begin at a picture: on from it, or into a hole in it."""

import math
from typing import Any

import pytest
import torch
from test_papers import full_bundle, picture
from torch import Tensor

import ppgn
from ppgn import images, recipes, starts
from ppgn.recipes import Hole
from ppgn.sampling import examples

RELEASED = "noiseless_joint_ppgn_h_released"


def a_mask() -> Tensor:
    return images.box_mask("2,3,4,2", 8)


def test_the_first_evaluation_from_a_picture_is_of_its_own_code() -> None:
    bundle = full_bundle()
    made = ppgn.from_picture(bundle, picture(), [0, 1, 2], steps=1)
    assert torch.equal(made.codes, bundle.encoder(picture()[None]).expand(3, -1))


def test_ppgn_x_from_a_picture_begins_with_the_picture() -> None:
    made = ppgn.from_picture(full_bundle(), picture(), 0, steps=1, recipe="ppgn_x")
    assert torch.equal(made.images[0], picture())


@pytest.mark.parametrize("wrong", [picture()[None], picture()[:, :7], 2 * picture(), picture() * math.nan])
def test_what_is_no_picture_of_the_bundle_is_refused(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="got a picture"):
        ppgn.from_picture(full_bundle(), wrong, 0)


def test_white_that_a_users_own_scaling_rounds_above_1_begins_a_chain_fills_a_hole_and_fills_as_a_colour() -> None:
    bundle = full_bundle()
    white = images.resize(torch.ones(1, 1, 23, 23), 8)[0]
    assert float(white.max()) > 1
    ppgn.from_picture(bundle, white, 0, steps=1)
    examples.example_6(bundle, 0, white, steps=1)
    filled = ppgn.in_paint(bundle, white, images.box_mask("2,3,4,2", 8) * white, 0, steps=1, fill=white)
    assert float(filled.images.max()) == 1.0 and float(filled.known.max()) == 1.0
    with pytest.raises(ValueError, match="a mask has values outside"):
        ppgn.in_paint(bundle, white, 1.01 * white, 0, steps=1)


@pytest.mark.parametrize("side", range(3, 80))
def test_white_is_white_at_every_size_that_a_picture_is_cropped_from(side: int) -> None:
    assert float(images.cover(torch.ones(1, side, side + 1), 8).max()) == 1.0


@pytest.mark.parametrize("condition", ["golf ball", lambda image: image.mean((1, 2, 3)), None])
@pytest.mark.parametrize("recipe", [None, RELEASED, "ppgn_x"])
def test_in_painting_keeps_the_known_pixels_exactly_and_fills_the_hole(condition: Any, recipe: str | None) -> None:
    known = a_mask()
    filled = ppgn.in_paint(full_bundle(), picture(), known, condition, count=3, steps=3, recipe=recipe)
    hole = known[0] == 0
    assert filled.images.shape == (3, 1, 8, 8)
    assert torch.equal(filled.images[..., ~hole], picture()[None].expand(3, 1, 8, 8)[..., ~hole])
    assert torch.equal(filled.images[..., hole], filled.samples.images[..., hole])
    assert not torch.equal(filled.images[0][..., hole], picture()[..., hole])


def test_in_painting_starts_from_the_masked_picture_with_the_mean_of_what_is_known_in_the_hole() -> None:
    bundle, known = full_bundle(), a_mask()
    mean = float(picture()[known == 1].mean())
    filled = ppgn.in_paint(bundle, picture(), known, 1, steps=1)
    start = starts.from_masked_image(bundle.encoder, picture()[None], known, mean)
    torch.testing.assert_close(filled.samples.codes, start)


def test_encoder_and_condition_of_in_painting_see_the_composite_in_one_pass() -> None:
    bundle, passes = full_bundle(), []
    bundle.encoder.register_forward_hook(lambda module, given, made: passes.append(given[0].detach()))
    filled = ppgn.in_paint(bundle, picture(), a_mask(), 1, steps=3)
    assert len(passes) == 1 + 3  # the start, then one a step
    assert torch.equal(passes[-1], filled.images)


def test_the_context_term_is_epsilon_4_times_the_released_gradient() -> None:
    bundle, known = full_bundle(), a_mask()
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, name=RELEASED, condition_scale=2.0))
    objective = recipes.objective(setup, None, Hole(picture(), known, 1e-3))
    code = torch.rand(2, 12, generator=torch.Generator().manual_seed(2))
    leaf = code.clone().requires_grad_()
    error = 255 * (bundle.generator(leaf) - picture()) * known
    (expected,) = torch.autograd.grad(-1e-3 * (error**2).sum() / 2, leaf)
    gradient = objective.evaluate(code).gradient
    torch.testing.assert_close(setup.recipe.sampler.condition_scale * gradient, expected, rtol=1e-4, atol=1e-6)


def test_a_filling_reports_the_log_prob_of_its_condition_without_the_context() -> None:
    bundle = full_bundle()
    filled = ppgn.in_paint(bundle, picture(), a_mask(), [1, 3], steps=3, context_scale=0.1)
    logits = bundle.encoder.logits_from_code(bundle.encoder(filled.images)) / filled.samples.recipe.measure.temperature
    torch.testing.assert_close(filled.samples.log_prob, logits.log_softmax(1)[[0, 1], [1, 3]])


@pytest.mark.parametrize("method", [ppgn.from_picture, ppgn.in_paint])
def test_chains_from_a_picture_are_the_same_in_batches_of_two(method: Any) -> None:
    changes = {"steps": 3, "recipe": RELEASED, "noise_scale": 1e-3}
    given = (a_mask(), [0, 1, 2]) if method is ppgn.in_paint else ([0, 1, 2],)
    made = [method(full_bundle(), picture(), *given, batch=batch, **changes).images for batch in (32, 2)]
    torch.testing.assert_close(made[0], made[1], rtol=0, atol=1e-5)
    assert not torch.equal(made[0][0], made[0][1])


@pytest.mark.parametrize(
    ("known", "changes", "said"),
    [
        (torch.ones(1, 7, 8), {}, "a mask has shape"),
        (2 * torch.ones(1, 8, 8), {}, r"outside \[0, 1\]"),
        (images.box_mask("2,3,4,2", 8), {"condition_scale": 0.0}, "condition_scale 0"),
        (torch.ones(1, 8, 8), {"count": 0}, "at least 1"),
    ],
)
def test_in_painting_that_cannot_work_is_a_sentence(known: Tensor, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ppgn.in_paint(full_bundle(), picture(), known, 1, **changes)
