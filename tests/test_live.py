"""Chains that run a step at a time: stopped at any step, gone on with, and turned to another request."""

import math
import warnings
from itertools import islice
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from test_papers import full_bundle
from torch import Tensor

import ppgn
from ppgn import images, recipes
from ppgn.errors import ChainStopped
from ppgn.evaluation import Course
from ppgn.sampling import LiveRun, Samples

pytestmark = pytest.mark.usefixtures("one_thread")

NOISY = {"sampler": "langevin", "noise_scale": 0.3, "prior_scale": 1e-3, "condition_scale": 0.1, "condition_limit": 0.0}


def bright(image: Tensor) -> Tensor:
    return image.mean((1, 2, 3))


def same(found: Samples, expected: Samples) -> None:
    for name in ("images", "codes", "log_prob"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert (found.seeds, found.names, found.recipe) == (expected.seeds, expected.names, expected.recipe)
    assert (found.quantity, found.about, found.bundle) == (expected.quantity, expected.about, expected.bundle)


def done(run: LiveRun) -> LiveRun:
    for _ in run.steps():
        pass
    return run


def test_a_live_run_of_the_shipped_bundle_ends_with_the_samples_of_sample_bit_for_bit() -> None:
    bundle = ppgn.load("imagenette64")
    options: dict[str, Any] = {"count": 2, "seed": 3, "steps": 3, "draws": 4}
    same(done(LiveRun(bundle, "church", **options)).samples, ppgn.sample(bundle, "church", batch=2, **options))


@pytest.mark.parametrize("recipe", [None, *recipes.PAPERS])
def test_a_live_run_ends_with_the_samples_of_sample_by_every_recipe(recipe: str | None) -> None:
    bundle = full_bundle()
    options: dict[str, Any] = {"count": 3, "seed": 4, "steps": 4, "recipe": recipe}
    run = LiveRun(bundle, "golf ball", **options)
    assert (run.step, run.left, run.evaluation) == (0, 4, None)
    done(run)
    assert (run.step, run.left) == (4, 0)
    same(run.samples, ppgn.sample(bundle, "golf ball", batch=3, **options))


@pytest.mark.parametrize("wanted", [[0, 2, 3], bright, "golf ball"])
def test_a_live_run_takes_what_sample_takes(wanted: Any) -> None:
    bundle = full_bundle()
    options: dict[str, Any] = {"count": 3, "seed": [9, 2, 5], "steps": 3, "draws": 3}
    same(done(LiveRun(bundle, wanted, **options)).samples, ppgn.sample(bundle, wanted, batch=3, **options))


def test_one_reproducible_chain_runs_live_as_it_does_in_sample() -> None:
    bundle = full_bundle()
    options: dict[str, Any] = {"count": 1, "seed": 4, "steps": 3, "precision": "reproducible"}
    same(done(LiveRun(bundle, 1, **options)).samples, ppgn.sample(bundle, 1, **options))


def test_a_run_that_is_left_and_goes_on_is_the_run_that_was_not_left() -> None:
    bundle = full_bundle()
    options: dict[str, Any] = {"count": 2, "seed": 1, "steps": 9, "step_size": (0.5, 0.1), "noise_scale": 0.2}
    whole, parts = LiveRun(bundle, 0, **options), LiveRun(bundle, 0, **options)
    expected = [seen.image for seen in whole.steps()]
    found = [next(parts.steps()).image]
    found += [seen.image for seen in parts.steps(3)]
    found += [seen.image for seen in islice(parts.steps(), 2)]
    assert (parts.step, parts.left) == (6, 3)
    for seen in parts.steps():
        found.append(seen.image)
        if len(found) == 8:
            break
    found += [seen.image for seen in parts.steps()]
    assert len(found) == 9 and all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    same(parts.samples, whole.samples)
    assert list(parts.steps()) == []


def test_steps_beyond_the_recipe_have_the_scales_of_its_end() -> None:
    """The released rule moves a chain by its step size, on average over units, where nothing clips its code."""
    run = LiveRun(full_bundle(), 0, count=1, steps=2, step_size=(1.0, 0.25), bounds="none")
    codes = [seen.code for seen in run.steps(5)]
    moves = [float((after - before).abs().mean()) for before, after in zip(codes, codes[1:], strict=False)]
    assert moves == pytest.approx([1.0, 0.625, 0.25, 0.25], rel=1e-5)
    assert (run.step, run.left) == (5, -3) and list(run.steps()) == []


def test_a_run_that_is_asked_for_something_else_goes_on_from_its_codes_as_a_walk_does() -> None:
    bundle = full_bundle()
    changes = {**NOISY, "bounds": "none"}
    walked = [evaluation for _, evaluation in ppgn.walk(bundle, [2, 0], 4, count=2, seed=7, **changes)]
    run = LiveRun(bundle, 2, count=2, seed=7, steps=5, **changes)
    found = list(run.steps())  # a walk makes a step more of its first stage
    run.ask(0, steps=4, **changes)
    assert (run.step, run.left, run.evaluation) == (5, 4, None)
    found += run.steps()
    assert run.step == 9
    for seen, expected in zip(found, walked, strict=True):
        assert torch.equal(seen.image, expected.image) and torch.equal(seen.log_prob, expected.log_prob)
    assert run.samples.names == ("tench", "tench")


def noises(run: LiveRun) -> list[Tensor]:
    """What a step adds to the codes where neither prior nor condition moves them."""
    codes = [seen.code for seen in run.steps()]
    return [after - before for before, after in zip(codes, codes[1:], strict=False)]


def test_no_noise_comes_twice_when_a_run_is_asked_again_for_the_same() -> None:
    changes = {**NOISY, "prior_scale": 0.0, "condition_scale": 0.0, "bounds": "none", "steps": 4}
    run = LiveRun(full_bundle(), 0, count=2, seed=3, **changes)
    found = noises(run)
    run.ask(0, **changes)
    found += noises(run)
    flat = [noise.flatten(1) for noise in found]
    assert len(flat) == 6 and all(0.1 < float(noise.std()) < 0.6 for noise in flat)
    for place, noise in enumerate(flat):
        assert not torch.equal(noise[0], noise[1])
        assert not any(torch.allclose(noise, other) for other in flat[:place])


def test_schedules_begin_anew_with_each_request() -> None:
    changes: dict[str, Any] = {"step_size": (1.0, 0.0), "bounds": "none", "steps": 4}
    run = LiveRun(full_bundle(), 0, count=1, **changes)
    codes = [seen.code for seen in run.steps()]
    run.ask(bright, **changes)
    codes += [seen.code for seen in run.steps()]
    moves = [float((after - before).abs().mean()) for before, after in zip(codes, codes[1:], strict=False)]
    assert moves == pytest.approx([1.0, 0.75, 0.5, 0.25, 1.0, 0.75, 0.5], rel=1e-5)


def hole() -> Tensor:
    return images.box_mask("2,2,4,4", (8, 8))


def test_a_hole_is_filled_live_as_by_in_paint() -> None:
    bundle, picture = full_bundle(), torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    options: dict[str, Any] = {"count": 3, "seed": 5, "steps": 4, "start_noise": 0.3}
    for wanted in (None, "pump"):
        run = done(LiveRun.in_paint(bundle, picture, hole(), wanted, **options))
        expected = ppgn.in_paint(bundle, picture, hole(), wanted, **options)
        same(run.samples, expected.samples)
        assert torch.equal(run.inpainted.images, expected.images)
        assert torch.equal(run.inpainted.blended(), expected.blended())


def test_a_hole_stays_where_it_is_when_something_else_is_asked() -> None:
    bundle, picture = full_bundle(), torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    run = done(LiveRun.in_paint(bundle, picture, hole(), "pump", count=2, steps=3))
    run.ask("tench", recipe=run.recipe)
    done(run)
    outside = hole().bool().expand(2, 1, 8, 8)
    assert run.step == 6 and run.samples.names == ("tench", "tench")
    assert torch.equal(run.inpainted.images[outside], picture.expand(2, 1, 8, 8)[outside])


def test_chains_begin_at_given_codes() -> None:
    bundle = full_bundle()
    code = torch.rand(3, 12, generator=torch.Generator().manual_seed(2))
    first = next(LiveRun(bundle, 0, count=3, code=code).steps())
    assert torch.equal(first.code, code)
    assert torch.equal(next(LiveRun(bundle, 0, count=3, code=code.double()).steps()).code, code)
    assert torch.equal(next(LiveRun(bundle, 0, count=3, code=code[:1]).steps()).code, code[:1].expand(3, 12))


def test_the_noise_of_the_start_is_that_of_in_painting_and_differs_between_chains() -> None:
    """In-painting begins at the code of the masked picture plus the same noise."""
    bundle, picture = full_bundle(), torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    plain, noised = (next(LiveRun.in_paint(bundle, picture, hole(), count=3, start_noise=std).steps()).code for std in (0.0, 0.3))
    found = next(LiveRun(bundle, 0, count=3, code=plain[:1], start_noise=0.3).steps()).code
    assert torch.equal(found, noised)
    assert not torch.equal(found[0], found[1])


def test_codes_of_pixels_are_pictures() -> None:
    picture = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    run = LiveRun(full_bundle(), 0, count=2, code=picture, recipe="ppgn_x", steps=2)
    assert torch.equal(next(run.steps()).image, picture.expand(2, 1, 8, 8))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tries": 3}, "a live run got tries 3, expected none"),
        ({"accept": -0.5}, "a live run got accept -0.5, expected none"),
        ({"precision": "reproducible", "count": 2}, "got precision reproducible and 2 chains, expected 1"),
        ({"code": torch.zeros(2, 12)}, r"got starting codes of shape \[2, 12\], expected .* = \[3, 12\]"),
        ({"code": torch.zeros(3, 11)}, r"got starting codes of shape \[3, 11\]"),
        ({"code": torch.zeros(())}, r"got starting codes of shape \[\]"),
        ({"code": [0.0] * 12}, "got starting codes of list"),
        ({"code": torch.full((1, 12), math.nan)}, "got starting codes with NaN or infinity"),
        ({"code": torch.zeros(1, 12), "start_noise": -0.1}, "got start_noise -0.1, expected at least 0"),
        ({"code": torch.zeros(1, 12), "start_noise": math.nan}, "got start_noise nan, expected at least 0"),
        ({"start_noise": 0.3}, "got start_noise 0.3 without a code, expected both"),
        ({"code": torch.zeros(1, 12), "recipe": "ppgn_x"}, r"expected .* = \[3, 1, 8, 8\]"),
        ({"no_setting": 1}, "unknown settings no_setting"),
        ({"seed": [1, 2]}, "got 2 seeds for 3 chains"),
        ({"count": 0}, "count"),
    ],
)
def test_a_live_run_refuses_what_it_cannot_do(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        LiveRun(full_bundle(), 0, **{"count": 3, **options})


def test_tries_of_one_are_no_tries() -> None:
    bundle = full_bundle()
    same(done(LiveRun(bundle, 0, count=1, tries=1)).samples, ppgn.sample(bundle, 0, count=1, batch=1))


def test_there_are_no_samples_before_the_first_step_and_no_filling_without_a_hole() -> None:
    run = LiveRun(tiny_bundle(), 0, count=1)
    with pytest.raises(ValueError, match="got no step of a live run"):
        run.samples  # noqa: B018
    next(run.steps())
    with pytest.raises(ValueError, match="got a live run without a hole"):
        run.inpainted  # noqa: B018
    with pytest.raises(ValueError, match="count"):
        next(run.steps(0))


def test_a_request_of_other_codes_is_refused_and_the_run_goes_on() -> None:
    bundle = full_bundle()
    run = LiveRun(bundle, 0, count=2, steps=4)
    list(run.steps(2))
    for wrong in ({"recipe": "ppgn_x"}, {"tries": 2}, {"no_setting": 1}):
        with pytest.raises(ValueError, match=r"got a recipe of pixels for chains of codes|tries|unknown"):
            run.ask(1, **wrong)
    with pytest.raises(ValueError, match="no class"):
        run.ask("no such class")
    same(done(run).samples, ppgn.sample(bundle, 0, count=2, batch=2, steps=4))


class Breaks:
    """A condition that is not a number for one chain, at one of its calls."""

    def __init__(self, chains: list[int], at: int) -> None:
        self.chains, self.at, self.calls = chains, at, 0

    def __call__(self, image: Tensor) -> Tensor:
        self.calls += 1
        value = bright(image)
        return value * torch.tensor([math.nan if c in self.chains and self.calls == self.at else 1.0 for c in range(len(image))])


def test_a_chain_that_breaks_stays_stopped_over_several_calls_of_steps() -> None:
    run = LiveRun(full_bundle(), Breaks([1], at=3), count=3, steps=8)
    with pytest.warns(ChainStopped, match="chain 1"):
        seen = list(run.steps(3))
    held = seen[-1].image[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ChainStopped)  # said once
        for step in range(4, 9):
            for now in run.steps(1):
                assert list(now.stopped) == [1] and torch.equal(now.image[1], held), step
                assert not torch.equal(now.code[0], seen[-1].code[0])
    assert list(run.samples.stopped) == [1]
    assert not torch.equal(run.samples.images[0], seen[-1].image[0])


def test_a_run_whose_chains_all_broke_says_so_keeps_its_pictures_and_can_be_asked_anew() -> None:
    run = LiveRun(full_bundle(), Breaks([0, 1], at=3), count=2, steps=8)
    with pytest.raises(ValueError, match="chain 0"):
        list(run.steps())
    assert run.step == 2
    kept = run.samples
    with pytest.raises(ValueError, match="got more steps of a live run that failed after step 2"):
        list(run.steps(1))
    assert torch.equal(run.samples.images, kept.images)
    run.ask(0, steps=3)
    assert done(run).step == 5 and run.samples.images.isfinite().all()


def test_a_course_goes_on_beyond_its_recipe_with_frames_evenly_spread() -> None:
    """Frames are told apart by the step in their brightness."""
    bundle = tiny_bundle()
    seen = next(LiveRun(bundle, 0, count=1).steps())
    for steps in (25, 120):
        course = Course(steps)
        for step in range(1, 1001):
            image = torch.full_like(seen.image, (step % 250) / 255)
            course(step, ppgn.types.Evaluation(**{**vars(seen), "image": image}))
        assert len(course.values) == 1000 and 40 <= len(course.frames) <= 100
        made = [frame.convert("L").getpixel((frame.width // 2, frame.height // 2)) for frame in course.frames]
        gaps = {(after - before) % 250 for before, after in zip(made, made[1:], strict=False)}
        assert len(gaps) == 1, (steps, made)
        assert (steps % 250) in made  # the recipe's end
