"""Samplers against closed forms on the toy world; every sampler against one contract."""

import numpy as np
import pytest
import torch
from conftest import make_code, make_world

from ppgn.chain import run
from ppgn.checks import check_sampler
from ppgn.objective import Objective, Term
from ppgn.priors import Gaussian, NoPrior
from ppgn.samplers import Langevin, ReleasedLangevin, update
from ppgn.seeds import normal


def make_samplers() -> list:
    objective = make_world().objective()
    return [
        Langevin(objective, 0.05, 0.02, 0.3),
        Langevin(objective, 0.05, 0.02, lambda step: 0.3 / (1 + step), code_range=(-0.5, 0.5)),
        ReleasedLangevin(objective, noise_scale=0.4, step_size=0.3, code_range=(-1.0, 1.0)),
        ReleasedLangevin(objective),
    ]


def last(sampler, state, steps):
    return [after for after, _ in run(sampler, state, steps)][-1]


def test_without_noise_langevin_converges_to_the_exact_posterior_mean():
    world, size = make_world(), 0.02
    sampler = Langevin(world.objective(), size / world.prior_std**2, size, 0.0)
    code = last(sampler, sampler.init(make_code(), [0, 1, 2]), 1000).code
    assert (code - world.posterior_mean).abs().max() < 1e-10


def test_one_noiseless_langevin_step_is_the_affine_map_of_equation_11():
    world, code = make_world(), make_code()
    state, _ = (sampler := Langevin(world.objective(), 0.07, 0.03, 0.0)).step(sampler.init(code, [0, 1, 2]))
    precision = world.matrix.T @ world.matrix / world.noise_std**2
    slope = torch.eye(3, dtype=torch.float64) * (1 - 0.07) - 0.03 * precision
    offset = 0.03 * world.matrix.T @ world.target / world.noise_std**2
    assert torch.allclose(state.code, code @ slope.T + offset, rtol=0, atol=1e-12)


def test_langevin_noise_is_the_seeded_normal_times_the_noise_scale():
    objective = make_world().objective()
    code, seeds = make_code(), (4, 5, 6)
    quiet, noisy = Langevin(objective, 0.1, 0.1, 0.0), Langevin(objective, 0.1, 0.1, 0.25)
    for step in (0, 1):
        base = quiet.init(code, seeds)
        state = type(base)(base.code, base.seeds, step)
        noise = noisy.step(state)[0].code - quiet.step(state)[0].code
        expected = 0.25 * normal(seeds, step, (3,), dtype=torch.float64)
        assert torch.allclose(noise, expected, rtol=0, atol=1e-12)


def test_no_noise_is_drawn_when_its_scale_is_zero(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("noise was drawn")

    monkeypatch.setattr("ppgn.samplers.langevin.normal", refuse)
    objective = make_world().objective()
    for sampler in (Langevin(objective, 0.1, 0.1, 0.0), ReleasedLangevin(objective, noise_scale=0.0)):
        assert sampler.step(sampler.init(make_code(), [0, 1, 2]))[0].step == 1
    with pytest.raises(AssertionError, match="noise was drawn"):
        (sampler := Langevin(objective, 0.1, 0.1, 0.1)).step(sampler.init(make_code(), [0, 1, 2]))


def test_schedules_are_asked_for_the_scale_of_each_step():
    objective = make_world().objective()
    scheduled = Langevin(objective, lambda step: 0.1 * step, lambda step: 0.01 * (step + 1), 0.0)
    state = scheduled.init(make_code(), [0, 1, 2])
    code = make_code()
    for step in range(3):
        state, _ = scheduled.step(state)
        evaluation = objective.evaluate(code)
        code = update(code, evaluation.direction, evaluation.gradient, 0.0, 0.1 * step, 0.01 * (step + 1), 0.0)
    assert torch.allclose(state.code, code, rtol=0, atol=1e-12)


def test_the_update_rule_is_equation_11():
    code, direction, gradient, noise = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    assert float(update(code, direction, gradient, noise, 2.0, 3.0, 4.0)) == 1 + 20 + 300 + 4000


def test_the_code_range_clips_each_unit_to_its_own_bounds():
    low = torch.tensor([-0.1, -9.0, 0.2], dtype=torch.float64)
    high = torch.tensor([0.1, 9.0, 0.2], dtype=torch.float64)
    free = Langevin(make_world().objective(), 0.1, 0.1, 0.5)
    bounded = Langevin(free.objective, 0.1, 0.1, 0.5, code_range=(low, high))
    state = free.init(make_code(), [0, 1, 2])
    expected = free.step(state)[0].code.clamp(low, high)
    assert torch.equal(bounded.step(state)[0].code, expected)
    assert (expected[:, 2] == 0.2).all()


def test_bounds_given_as_floats_keep_double_precision():
    sampler = Langevin(make_world().objective(), 0.1, 0.1, 0.5, code_range=(0.1, 0.1))
    assert (sampler.step(sampler.init(make_code(), [0, 1, 2]))[0].code == 0.1).all()


@pytest.mark.parametrize("sampler_class", [Langevin, ReleasedLangevin])
def test_a_range_upside_down_is_refused(sampler_class):
    with pytest.raises(ValueError, match="expected low <= high"):
        sampler_class(make_world().objective(), 0.1, 0.1, 0.1, code_range=(1.0, 0.0))


def released_in_numpy(world, code, noise, step_size):
    """The released loop's body, one chain, written without the library: points 1 to 7 of its description."""
    matrix, target = world.matrix.numpy(), world.target.numpy()
    d_prior = 0.0 - code
    d_condition = matrix.T @ (target - matrix @ code) / world.noise_std**2
    d = 1e-5 * d_prior + 1.0 * d_condition + 1e-17 * noise
    moved = code + step_size * d / np.abs(d).mean()
    return np.clip(moved, 0.0, 30.0)


def test_released_langevin_is_the_released_loop_written_in_numpy():
    world, seeds = make_world(), (0, 1, 2)
    schedule = [1.0 + (1e-10 - 1.0) * i / 5 for i in range(5)]
    sampler = ReleasedLangevin(world.objective(), step_size=lambda step: schedule[step])
    state = sampler.init(make_code(), seeds)
    chains = list(make_code().numpy())
    for step in range(5):
        state, _ = sampler.step(state)
        noise = normal(seeds, step, (3,), dtype=torch.float64).numpy()
        chains = [released_in_numpy(world, chains[i], noise[i], schedule[step]) for i in range(3)]
        assert np.abs(state.code.numpy() - np.stack(chains)).max() < 1e-12


def test_before_the_clip_every_released_step_moves_each_chain_by_the_step_size_on_average():
    sampler = ReleasedLangevin(make_world().objective(), noise_scale=0.5, step_size=0.7, code_range=None)
    code = make_code() * torch.tensor([[0.1], [1.0], [100.0]], dtype=torch.float64)
    moved = sampler.step(sampler.init(code, [0, 1, 2]))[0].code - code
    assert torch.allclose(moved.abs().mean(1), torch.full((3,), 0.7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_released_scales_set_only_ratios():
    objective = make_world().objective()
    small = ReleasedLangevin(objective, 1e-3, 2e-3, 3e-3, code_range=None)
    large = ReleasedLangevin(objective, 1e3, 2e3, 3e3, code_range=None)
    state = small.init(make_code(), [0, 1, 2])
    assert torch.allclose(small.step(state)[0].code, large.step(state)[0].code, rtol=0, atol=1e-12)


def test_a_released_chain_without_a_direction_stays_put_and_its_neighbour_moves():
    code = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    prior = Gaussian(torch.tensor([1.0, 2.0], dtype=torch.float64))
    sampler = ReleasedLangevin(Objective(lambda code: code[:, None, None, :], prior), 1.0, 0.0, 0.0, step_size=0.5)
    moved = sampler.step(sampler.init(code, [0, 1]))[0].code
    assert torch.equal(moved, torch.tensor([[1.0, 2.0], [2.5, 3.5]], dtype=torch.float64))


def test_released_mean_is_taken_over_all_axes_of_a_code_map():
    code = torch.rand(2, 2, 3, 3, dtype=torch.float64)
    objective = Objective(lambda code: code, NoPrior(), [Term("bright", lambda image: (image**2).sum((1, 2, 3)))])
    sampler = ReleasedLangevin(objective, noise_scale=0.0, step_size=0.2)
    moved = sampler.step(sampler.init(code, [0, 1]))[0].code
    expected = code + 0.2 * code / code.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", make_samplers())
def test_a_chain_alone_equals_the_same_chain_in_a_batch(sampler):
    code, seeds = make_code(8), tuple(range(10, 18))
    batch = last(sampler, sampler.init(code, seeds), 10).code
    for chain in range(8):
        alone = last(sampler, sampler.init(code[chain : chain + 1], seeds[chain : chain + 1]), 10).code
        assert torch.allclose(alone[0], batch[chain], rtol=0, atol=1e-12)


@pytest.mark.parametrize("sampler", make_samplers())
def test_every_sampler_keeps_the_contract(sampler):
    check_sampler(sampler, make_code(), tolerance=1e-10)


@pytest.mark.parametrize("sampler", make_samplers())
def test_a_step_calls_the_generator_once_and_evaluates_the_code_before_the_update(sampler):
    calls = []
    world, inner = make_world(), sampler.objective
    objective = Objective(lambda code: calls.append(1) or world.generator(code), inner.prior, inner.terms)
    counted = type(sampler)(**{**vars(sampler), "objective": objective})
    state = counted.init(make_code(), [0, 1, 2])
    after, evaluation = counted.step(state)
    assert len(calls) == 1
    assert torch.equal(evaluation.code, state.code) and not torch.equal(after.code, state.code)


@pytest.mark.parametrize("sampler", make_samplers()[::2])
@pytest.mark.parametrize("seeds", [(0, 1), (0, 1, -2), (0, 1, 2.0)])
def test_missing_negative_and_fractional_seeds_are_refused_at_the_start(sampler, seeds):
    with pytest.raises(ValueError, match="seed"):
        sampler.init(make_code(), seeds)


def test_a_limit_shortens_what_the_condition_moves_and_nothing_else() -> None:
    """Two chains, one with a condition gradient of size 8, one of 0.5; the limit is 2; prior and noise stay."""
    slopes = torch.tensor([[8.0, -8.0, 8.0], [0.5, 0.5, -0.5]], dtype=torch.float64)
    objective = Objective(
        lambda code: code[:, None, None, :], Gaussian(1.0), [Term("slope", lambda image: (image[:, 0, 0] * slopes).sum(1))]
    )
    start = torch.zeros(2, 3, dtype=torch.float64)

    def moved(limit: float) -> torch.Tensor:
        sampler = Langevin(objective, 0.25, 1.0, 0.1, condition_limit=limit)
        return sampler.step(sampler.init(start, [0, 1]))[0].code

    rest = moved(0.0) - slopes
    torch.testing.assert_close(moved(2.0) - rest, slopes * torch.tensor([[0.25], [1.0]], dtype=torch.float64))
    for limit in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="expected at least 0: 0 is no limit"):
            Langevin(objective, 0.25, 1.0, 0.1, condition_limit=limit)
