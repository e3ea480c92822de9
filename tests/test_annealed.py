"""Annealed Langevin over noise levels: closed forms on Gaussians, and its place in a bundle."""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from conftest import tiny_bundle
from test_noise_level import untrained
from torch import Tensor

import ppgn
from ppgn import chain, priors
from ppgn.networks import RectifiedGaussian, RectifiedGaussianConfig
from ppgn.objective import Objective, Term
from ppgn.samplers import Annealed, Spaced, bound
from ppgn.types import Code, CodeSpace, Image, LogProb

PRIOR_STD, NOISE_STD, TARGET = 2.0, 1.0, 3.0


def denoise(code: Code, level: float) -> Code:
    """Exact for codes ~ N(0, PRIOR_STD^2)."""
    return code * PRIOR_STD**2 / (PRIOR_STD**2 + level**2)


def likelihood(image: Image) -> LogProb:
    return -((image.flatten(1) - TARGET) ** 2).sum(1) / (2 * NOISE_STD**2)


class Blurred:
    """A denoiser as a prior; conditions see the noisy code, not the denoised one, as the closed forms below do."""

    def __init__(self, denoise: Callable[[Code, float], Code], level: float) -> None:
        self.denoise = denoise
        self.level = level

    def __call__(self, code: Code, image: Image) -> Code:
        return self.denoise(code, self.level) - code

    def denoised(self, code: Code) -> Code:
        return code

    def at_level(self, level: float) -> "Blurred":
        return Blurred(self.denoise, level)


def world(guided: bool) -> Objective:
    terms = [Term("likelihood", likelihood)] if guided else []
    return Objective(lambda code: code[:, None, None, :], Blurred(denoise, 1.0), terms)


def end(sampler: Annealed, objective: Objective, chains: int, updates: int | None = None) -> Tensor:
    start = torch.zeros(chains, 1, dtype=torch.float64)
    *_, (state, _) = chain.run(sampler, objective, sampler.init(start, range(chains)), updates or sampler.updates)
    return state.code


def test_the_flow_alone_is_a_product_of_factors() -> None:
    """Every Euler step multiplies a Gaussian's code by 1 - f s^2 / (P^2 + s^2)."""
    levels = Spaced(5.0, 0.1, 6).levels
    sampler = Annealed(levels, corrections=0)
    begun = sampler.init(torch.ones(3, 1, dtype=torch.float64), range(3)).code
    factor = 1.0
    for level, following in zip(levels, [*levels[1:], 0.0], strict=True):
        factor *= 1 - (1 - following / level) * level**2 / (PRIOR_STD**2 + level**2)
    *_, (state, _) = chain.run(sampler, world(False), sampler.init(torch.ones(3, 1, dtype=torch.float64), range(3)), 6)
    torch.testing.assert_close(state.code, factor * begun)


def test_many_levels_lead_noise_to_the_density_of_the_codes() -> None:
    sampler = Annealed(Spaced(40.0, 0.02, 60), corrections=1, step_size=0.2)
    assert abs(float(end(sampler, world(False), 2000).std()) - PRIOR_STD) < 0.12


def test_guided_chains_end_in_the_posterior() -> None:
    """At a level that hardly falls: p_s(h) p(y | h) of two Gaussians, up to the step size of the corrections, e s^2 = 0.05."""
    levels = [*Spaced(4.0, 0.5, 8).levels, *[0.5 - 1e-6 * place for place in range(1, 60)]]
    sampler = Annealed(levels, corrections=2, step_size=0.2)
    codes = end(sampler, world(True), 500, sampler.updates - 1)
    variance = 1 / (1 / (PRIOR_STD**2 + 0.5**2) + 1 / NOISE_STD**2)
    assert abs(float(codes.mean()) - variance * TARGET / NOISE_STD**2) < 0.15
    assert abs(float(codes.std()) - math.sqrt(variance)) < 0.15


def test_one_guided_step_of_the_flow_is_the_affine_map_of_its_equation() -> None:
    """D(h; s) = c h, so p(y | h) = N(y; c h, NOISE_STD^2): h' = h + f (c h - h) + f w s^2 c (y - c h) / NOISE_STD^2."""
    objective = Objective(lambda code: code[:, None, None, :], priors.NoiseLevel(denoise, 1.0), [Term("likelihood", likelihood)])
    sampler = Annealed((3.0, 1.2), corrections=0, condition_scale=0.7)
    code = sampler.init(torch.ones(3, 1, dtype=torch.float64), range(3)).code
    after, evaluation = sampler.step(sampler.init(torch.ones(3, 1, dtype=torch.float64), range(3)), objective)
    c, f = PRIOR_STD**2 / (PRIOR_STD**2 + 3.0**2), 1 - 1.2 / 3.0
    expected = code + f * (c - 1) * code + f * 0.7 * 3.0**2 * c * (TARGET - c * code) / NOISE_STD**2
    torch.testing.assert_close(after.code, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(evaluation.image[:, 0, 0], c * code)  # the picture is that of the denoised code


def test_after_its_updates_a_chain_stays_where_it_is() -> None:
    sampler = Annealed((1.0, 0.5), corrections=1)
    states = [state for state, _ in chain.run(sampler, world(True), sampler.init(torch.zeros(2, 1), [3, 4]), 6)]
    assert sampler.updates == 4
    assert not torch.equal(states[2].code, states[3].code)
    assert torch.equal(states[3].code, states[4].code) and torch.equal(states[3].code, states[5].code)


def test_the_spread_of_the_codes_scales_noise_and_guidance() -> None:
    """A world whose code is ten times as large, with a standard deviation of 10, is the same world."""
    prior = Blurred(lambda code, level: 10 * denoise(code / 10, level), 1.0)
    large = Objective(lambda code: code[:, None, None, :] / 10, prior, [Term("likelihood", likelihood)])
    sampler = Annealed((1.0, 0.5, 0.2), corrections=2)
    wide = bound(sampler, 10, space=CodeSpace((1,), std=torch.full((1,), 10.0, dtype=torch.float64)))
    torch.testing.assert_close(end(wide, large, 5), 10 * end(sampler, world(True), 5))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"levels": (0.5, 1.0)}, "expected falling ones above 0"),
        ({"levels": ()}, "expected falling ones above 0"),
        ({"levels": (1.0, 0.0)}, "expected falling ones above 0"),
        ({"step_size": 0.0}, r"expected it in \(0, 1\]"),
        ({"corrections": -1}, "expected a whole number of at least 0: pass 0 for the flow alone"),
    ],
)
def test_what_does_not_fit_is_said(changes: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(Annealed((1.0, 0.5)), **changes)


def test_levels_are_spaced_as_the_denoiser_spaces_them() -> None:
    network = untrained(steps=5, highest=8.0, lowest=0.1)
    torch.testing.assert_close(torch.tensor(Spaced(8.0, 0.1, 5).levels), network.levels()[:-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sampler", [{"sampler": "annealed", "step_size": 0.2}, {"sampler": "langevin"}])
@pytest.mark.parametrize("start", ["noise_level", "codes"])
def test_a_bundle_samples_with_the_noise_level_prior(sampler: dict, start: str) -> None:
    bundle = tiny_bundle()
    bundle.parts["noise_level"] = untrained(code_size=12)
    bundle.parts["start"] = RectifiedGaussian(RectifiedGaussianConfig(12))
    settings = {**sampler, "prior": "noise_level", "start": start, "steps": 7, "draws": 3}
    both = ppgn.sample(bundle, [1, 2], seed=5, **settings)
    alone = ppgn.sample(bundle, [2], seed=6, **settings)
    torch.testing.assert_close(both.codes[1:], alone.codes, rtol=1e-4, atol=1e-4)
    assert bool((both.codes < 0).any())  # before the ReLU
    torch.testing.assert_close(both.images, bundle.generator(both.codes.relu()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sampler": "annealed", "prior": "reconstruction"}, "choose prior noise_level, which knows levels"),
        ({"prior": "noise_level", "start": "normal"}, "choose start codes or noise_level"),
        ({"sampler": "annealed", "levels": (0.1, 0.2)}, "expected 0 < lowest < highest: swap the two"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ppgn.Recipe().changed(**changes)


def test_a_walk_through_several_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="whose noise is gone after the first request"):
        ppgn.walk(tiny_bundle(), [0, 1], 5, sampler="annealed", prior="noise_level", start="noise_level")
