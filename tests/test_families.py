"""Every entry of SAMPLERS, PRIORS and STARTS keeps its contract in a recipe, under the name that the table gives it.

An entry needs no case here: what it lacks of settings, parts and codes follows from its fields and its class variables.
"""

import dataclasses
import functools
import json
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from test_noise_level import untrained
from torch import Tensor

import ppgn
from ppgn import recipes, requests
from ppgn.bundle import Bundle
from ppgn.checks import check_prior, check_sampler
from ppgn.networks import PixelDenoiser, PixelDenoiserConfig, RectifiedGaussian, RectifiedGaussianConfig
from ppgn.priors import PRIORS
from ppgn.probe import Passes
from ppgn.recipes import Recipe, Setup
from ppgn.samplers import SAMPLERS
from ppgn.starts import STARTS
from ppgn.types import Code, Image, LogProb

TOLERANCE = 1e-9  # relative, of float64 after 4 steps
SETTINGS = {"prior_scale": 0.1, "condition_scale": 0.5, "noise_scale": 0.2, "step_size": 0.3}
"""Of whichever sampler has them: at these a chain of the tiny bundle moves and stays finite."""
NOISE_LEVELS = {"prior": "noise_level", "start": "noise_level"}
PIXELS = {"generator": "pixels", "prior": "pixel_denoiser", "bounds_low": 0.0, "bounds_high": 1.0}


def wave(*shape: int) -> Tensor:
    """Numbers in [0, 1] without a pattern."""
    return (0.5 + 0.5 * torch.cos(torch.arange(torch.Size(shape).numel(), dtype=torch.float64) ** 1.5)).reshape(shape)


@functools.cache
def full_bundle(dtype: torch.dtype = torch.float64) -> Bundle:
    """The tiny bundle with every part that a prior or a start may need."""
    bundle = tiny_bundle()
    bundle.parts["noise_level"] = untrained(code_size=12)
    bundle.parts["start"] = RectifiedGaussian(RectifiedGaussianConfig(12))
    bundle.parts["pixel_denoiser"] = PixelDenoiser(PixelDenoiserConfig(channels=1, width=4, blocks=1))
    for network in bundle.parts.values():
        network.to(dtype).eval().requires_grad_(False)
    bundle.parts["noise_level"].mean += 0.5
    for name in ("noise_level", "pixel_denoiser"):  # whose last layer begins at 0
        weight = bundle.parts[name].last.weight
        weight.add_(0.1 * wave(*weight.shape))
    return bundle


def bright(image: Image) -> LogProb:
    return -10 * (image - 1).square().flatten(1).sum(1)


def prepared(dtype: torch.dtype = torch.float64, **changes: Any) -> Setup:
    return recipes.prepare(full_bundle(dtype), recipes.recipe_for(full_bundle(dtype), "class", **changes))


def with_sampler(name: str) -> Setup:
    """A run of 6 steps with a sampler of that name, noise-level codes where it has levels."""
    fields = {field.name for field in dataclasses.fields(SAMPLERS[name])}
    needs = NOISE_LEVELS if "levels" in fields else PIXELS if name == "regularised" else {}
    return prepared(sampler=name, steps=6, **needs, **{field: value for field, value in SETTINGS.items() if field in fields})


def with_prior(name: str) -> Setup:
    codes = getattr(PRIORS[name], "codes", "codes")
    needs: dict[str, dict[str, Any]] = {"before_relu": {"start": "noise_level"}, "pixels": PIXELS, "codes": {}}
    return prepared(**{**needs[codes], "prior": name})


def with_start(name: str, codes: str) -> Setup:
    """In float32, in which codes are drawn."""
    return prepared(torch.float32, **{**(NOISE_LEVELS if codes == "before_relu" else {}), "start": name})


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_table_keeps_the_contract(name: str) -> None:
    setup = with_sampler(name)
    objective = recipes.objective(setup, requests.function(bright, 3))
    code = recipes.starting_codes(setup, range(3)).double()
    check_sampler(setup.sampler(), objective, code, tolerance=TOLERANCE)
    sampler = setup.sampler()
    after, evaluation = sampler.step(sampler.init(code, range(3)), objective)
    assert bool(evaluation.gradient.any()) and not torch.equal(after.code, evaluation.code)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_of_the_table_needs_no_more_than_its_own_settings_from_a_recipe(name: str) -> None:
    recipe = with_sampler(name).recipe
    assert type(recipe.sampler) is SAMPLERS[name] and recipe.flat()["sampler"] == name
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@pytest.mark.parametrize("name", PRIORS)
def test_every_prior_of_the_table_keeps_the_contract(name: str) -> None:
    setup = with_prior(name)
    objective = recipes.objective(setup)
    code = 2 * wave(3, *setup.space.shape)
    with torch.no_grad():
        image = objective.generator(code)
    check_prior(objective.prior, code, image, tolerance=TOLERANCE)
    assert bool(objective.prior(code, image).any()) == (name != "none")
    assert Recipe.from_json(json.loads(json.dumps(setup.recipe.to_json()))) == setup.recipe


def passes_for(setup: Setup, chains: int) -> Passes:
    """The passes that a start gets, of chains that are all asked for one class."""
    passes = setup.passes()
    passes.code_condition = requests.classes(setup.bundle, [1] * chains).code_condition(passes)
    return passes


CODES_OF_STARTS = [(name, codes) for name, kind in STARTS.items() for codes in ("codes", "before_relu") if codes in kind.codes]


@pytest.mark.parametrize(("name", "codes"), CODES_OF_STARTS)
def test_every_start_of_the_table_draws_codes_that_depend_on_seed_and_number_alone(name: str, codes: str) -> None:
    setup = with_start(name, codes)

    def draw(seeds: list[int], draws: range) -> Code:
        return setup.recipe.start.draw(seeds, draws, setup.space, passes_for(setup, len(seeds)))

    drawn = draw([5, 6, 2**63], range(4))
    assert drawn.shape == (4, 3, 12) and bool(drawn.isfinite().all())
    assert torch.equal(drawn, draw([5, 6, 2**63], range(4)))
    torch.testing.assert_close(drawn[1:3, 1:2], draw([6], range(1, 3)), rtol=1e-5, atol=1e-5)
    if name == "centre":
        assert torch.equal(drawn, torch.as_tensor(setup.space.mean).expand(4, 3, 12))
        return
    assert len({tuple(code.tolist()) for code in drawn.flatten(0, 1)}) == 12  # each differs from every other
    assert bool((drawn < 0).any()) == (codes == "before_relu" or name == "unclipped")


@pytest.mark.parametrize(("name", "codes"), CODES_OF_STARTS)
def test_chains_begin_at_the_codes_of_every_start_of_the_table(name: str, codes: str) -> None:
    setup = with_start(name, codes)
    found = recipes.starting_codes(setup, [5, 6], recipes.objective(setup, requests.classes(setup.bundle, [1, 1])))
    assert torch.equal(found, setup.recipe.start.draw([5, 6], range(1), setup.space, passes_for(setup, 2))[0])
    assert Recipe.from_json(json.loads(json.dumps(setup.recipe.to_json()))) == setup.recipe


def test_starts_for_pixels_draw_pictures() -> None:
    for name in (name for name, kind in STARTS.items() if "pixels" in kind.codes):
        setup = prepared(torch.float32, **PIXELS, start=name)
        assert recipes.starting_codes(setup, [5, 6]).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"sampler": "ascent", "prior": "none", "measure": "logit", "momentum": 0.9},
            r"got momentum 0\.9, which the sampler ascent does not have \(its settings: step_size, decay, prior_scale\): "
            r"leave it out, or choose sampler adaptive",
        ),
        (
            {"sampler": "langevin", "step_size": 9},
            r"got step_size 9, which the sampler langevin does not have \(its settings: prior_scale, condition_scale, "
            r"noise_scale, condition_limit\): leave it out, or choose sampler released or ascent or adaptive or annealed",
        ),
        (
            {"measure": "logit", "temperature": 2.0},
            r"got temperature 2\.0, which the measure logit does not have \(its settings: none\).*log_softmax or released",
        ),
        ({"prior": "denoiser", "level": 0.5}, "got level 0.5, which the prior denoiser does not have .*noise_level"),
        ({"start": "codes", "start_std": 2.0}, "got start_std 2.0, which the start codes does not have"),
        ({"bounds": "none", "bounds_high": 2.0}, "got bounds_high 2.0, which the bounds none does not have"),
        ({"sampler": "adaptive", "step_size": "fast"}, "step_size got 'fast', expected a number, or a start and an end"),
        ({"sampler": "released", "reset_every": 2.5}, "reset_every got 2.5, expected a whole number"),
        ({"sampler": "langevin", "momentun": 0.9}, "unknown settings momentun: choose from .*momentum"),
        ({"sampler": "lngevin"}, "unknown sampler 'lngevin': choose langevin, released, ascent, adaptive, annealed"),
    ],
)
def test_a_setting_that_the_chosen_rule_does_not_read_is_refused_by_name(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ppgn.sample(tiny_bundle(), 0, **given)


def test_a_generator_without_an_encoder_samples_a_function() -> None:
    """G(h) = sigmoid(h A), a function of codes, and a function of pictures that prefers bright ones: nothing else is there."""
    matrix = 2 * wave(3, 48).float() - 1
    bundle = Bundle.of(lambda code: (code @ matrix).sigmoid().reshape(-1, 3, 4, 4), (3,))
    assert bundle.encoder is None and recipes.recipe_for(bundle).flat()["prior"] == "none"
    given: dict[str, Any] = {"count": 3, "sampler": "langevin", "condition_scale": 0.005, "noise_scale": 0.0}
    first = ppgn.sample(bundle, bright, **given, steps=1)
    last = ppgn.sample(bundle, bright, **given, prior="none", steps=60)
    assert last.images.shape == (3, 3, 4, 4) and last.codes.shape == (3, 3)
    assert bool((last.log_prob > first.log_prob + 1).all())
    torch.testing.assert_close(last.images, bundle.generator(last.codes))
    torch.testing.assert_close(last.log_prob, bright(last.images))
    alone = ppgn.sample(bundle, bright, **{**given, "count": 1}, prior="none", seed=1, steps=60)
    torch.testing.assert_close(alone.codes[0], last.codes[1])


@pytest.mark.parametrize("prior", ["reconstruction", "denoiser"])
def test_a_prior_whose_network_a_generator_alone_lacks_is_refused_with_what_there_is(prior: str) -> None:
    bundle = Bundle.of(lambda code: code.sigmoid().reshape(-1, 1, 1, 3), (3,), name="three")
    with pytest.raises(ValueError, match=r"three has no (encoder|denoiser), .*it has generator"):
        ppgn.sample(bundle, bright, prior=prior, count=1)
