"""Samplers against closed forms on the toy world; every sampler against one contract."""

from collections.abc import Sequence

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
from ppgn.types import Code, CodeSpace, Evaluator, Sampler

RELEASED_BOUNDS = CodeSpace((3,), 0.0, 30.0)
CASES: list[tuple[Sampler, CodeSpace]] = [
    (Langevin(0.05, 0.02, 0.3), CodeSpace((3,))),
    (Langevin(0.05, 0.02, lambda step: 0.3 / (1 + step)), CodeSpace((3,), -0.5, 0.5)),
    (ReleasedLangevin(noise_scale=0.4, step_size=0.3), CodeSpace((3,), -1.0, 1.0)),
    (ReleasedLangevin(), RELEASED_BOUNDS),
]


def last(sampler: Sampler, objective: Evaluator, code: Code, seeds: Sequence[int], steps: int) -> Code:
    return [after.code for after, _ in run(sampler, objective, sampler.init(code, seeds), steps)][-1]


def stepped(sampler: Sampler, objective: Evaluator, code: Code | None = None) -> Code:
    """The code after one step."""
    code = make_code() if code is None else code
    return sampler.step(sampler.init(code, range(len(code))), objective)[0].code


def test_without_noise_langevin_converges_to_the_exact_posterior_mean():
    world, size = make_world(), 0.02
    code = last(Langevin(size / world.prior_std**2, size), world.objective(), make_code(), [0, 1, 2], 1000)
    assert (code - world.posterior_mean).abs().max() < 1e-10


def test_one_noiseless_langevin_step_is_the_affine_map_of_equation_11():
    world, code = make_world(), make_code()
    after = stepped(Langevin(0.07, 0.03, 0.0), world.objective(), code)
    precision = world.matrix.T @ world.matrix / world.noise_std**2
    slope = torch.eye(3, dtype=torch.float64) * (1 - 0.07) - 0.03 * precision
    offset = 0.03 * world.matrix.T @ world.target / world.noise_std**2
    assert torch.allclose(after, code @ slope.T + offset, rtol=0, atol=1e-12)


def test_langevin_noise_is_the_seeded_normal_times_the_noise_scale():
    objective = make_world().objective()
    code, seeds = make_code(), (4, 5, 6)
    quiet, noisy = Langevin(0.1, 0.1, 0.0), Langevin(0.1, 0.1, 0.25)
    for step in (0, 1):
        base = quiet.init(code, seeds)
        state = type(base)(base.code, base.seeds, step)
        noise = noisy.step(state, objective)[0].code - quiet.step(state, objective)[0].code
        expected = 0.25 * normal(seeds, step, (3,), dtype=torch.float64)
        assert torch.allclose(noise, expected, rtol=0, atol=1e-12)


def test_no_noise_is_drawn_when_its_scale_is_zero(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("noise was drawn")

    monkeypatch.setattr("ppgn.samplers.langevin.normal", refuse)
    objective = make_world().objective()
    for sampler in (Langevin(0.1, 0.1, 0.0), ReleasedLangevin(noise_scale=0.0)):
        assert not torch.equal(stepped(sampler, objective), make_code())
    with pytest.raises(AssertionError, match="noise was drawn"):
        stepped(Langevin(0.1, 0.1, 0.1), objective)


def test_schedules_are_asked_for_the_scale_of_each_step():
    objective = make_world().objective()
    scheduled = Langevin(lambda step: 0.1 * step, lambda step: 0.01 * (step + 1), 0.0)
    state = scheduled.init(make_code(), [0, 1, 2])
    code = make_code()
    for step in range(3):
        state, _ = scheduled.step(state, objective)
        evaluation = objective.evaluate(code)
        code = update(code, evaluation.direction, evaluation.gradient, 0.0, 0.1 * step, 0.01 * (step + 1), 0.0)
    assert torch.allclose(state.code, code, rtol=0, atol=1e-12)


def test_the_update_rule_is_equation_11():
    code, direction, gradient, noise = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    assert float(update(code, direction, gradient, noise, 2.0, 3.0, 4.0)) == 1 + 20 + 300 + 4000


def test_the_code_space_clips_each_unit_to_its_own_bounds():
    low = torch.tensor([-0.1, -9.0, 0.2], dtype=torch.float64)
    high = torch.tensor([0.1, 9.0, 0.2], dtype=torch.float64)
    sampler, world = Langevin(0.1, 0.1, 0.5), make_world()
    expected = stepped(sampler, world.objective()).clamp(low, high)
    assert torch.equal(stepped(sampler, world.objective(CodeSpace((3,), low, high))), expected)
    assert (expected[:, 2] == 0.2).all()


def test_bounds_given_as_floats_keep_double_precision():
    objective = make_world().objective(CodeSpace((3,), 0.1, 0.1))
    assert (stepped(Langevin(0.1, 0.1, 0.5), objective) == 0.1).all()


@pytest.mark.parametrize("high", [0.0, torch.tensor([2.0, 0.0, 2.0])])
def test_a_code_space_upside_down_is_refused(high):
    with pytest.raises(ValueError, match="expected low <= high"):
        CodeSpace((3,), 1.0, high)


@pytest.mark.parametrize("sampler", [Langevin(0.1, 0.1, 0.5), ReleasedLangevin(noise_scale=0.5)])
def test_a_bound_on_one_side_leaves_the_other_side_open(sampler):
    world = make_world()
    free = stepped(sampler, world.objective())
    assert torch.equal(stepped(sampler, world.objective(CodeSpace((3,), low=0.2))), free.clamp(min=0.2))
    assert torch.equal(stepped(sampler, world.objective(CodeSpace((3,), high=0.2))), free.clamp(max=0.2))


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
    objective = world.objective(RELEASED_BOUNDS)
    sampler = ReleasedLangevin(step_size=lambda step: schedule[step])
    state = sampler.init(make_code(), seeds)
    chains = list(make_code().numpy())
    for step in range(5):
        state, _ = sampler.step(state, objective)
        noise = normal(seeds, step, (3,), dtype=torch.float64).numpy()
        chains = [released_in_numpy(world, chains[i], noise[i], schedule[step]) for i in range(3)]
        assert np.abs(state.code.numpy() - np.stack(chains)).max() < 1e-12


def test_before_the_clip_every_released_step_moves_each_chain_by_the_step_size_on_average():
    code = make_code() * torch.tensor([[0.1], [1.0], [100.0]], dtype=torch.float64)
    moved = stepped(ReleasedLangevin(noise_scale=0.5, step_size=0.7), make_world().objective(), code) - code
    assert torch.allclose(moved.abs().mean(1), torch.full((3,), 0.7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_released_scales_set_only_ratios():
    objective = make_world().objective()
    small, large = ReleasedLangevin(1e-3, 2e-3, 3e-3), ReleasedLangevin(1e3, 2e3, 3e3)
    assert torch.allclose(stepped(small, objective), stepped(large, objective), rtol=0, atol=1e-12)


def test_a_released_chain_without_a_direction_stays_put_and_its_neighbour_moves():
    code = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)
    prior = Gaussian(torch.tensor([1.0, 2.0], dtype=torch.float64))
    objective = Objective(lambda code: code[:, None, None, :], prior)
    moved = stepped(ReleasedLangevin(1.0, 0.0, 0.0, step_size=0.5), objective, code)
    assert torch.equal(moved, torch.tensor([[1.0, 2.0], [2.5, 3.5]], dtype=torch.float64))


def test_released_mean_is_taken_over_all_axes_of_a_code_map():
    code = torch.rand(2, 2, 3, 3, dtype=torch.float64)
    objective = Objective(lambda code: code, NoPrior(), [Term("bright", lambda image: (image**2).sum((1, 2, 3)))])
    moved = stepped(ReleasedLangevin(noise_scale=0.0, step_size=0.2), objective, code)
    expected = code + 0.2 * code / code.mean((1, 2, 3), keepdim=True)
    assert torch.allclose(moved, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sampler", "space"), CASES)
def test_a_chain_alone_equals_the_same_chain_in_a_batch(sampler, space):
    objective, code, seeds = make_world().objective(space), make_code(8), tuple(range(10, 18))
    batch = last(sampler, objective, code, seeds, 10)
    for chain in range(8):
        alone = last(sampler, objective, code[chain : chain + 1], seeds[chain : chain + 1], 10)
        assert torch.allclose(alone[0], batch[chain], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("sampler", "space"), CASES)
def test_every_langevin_sampler_keeps_the_contract(sampler, space):
    check_sampler(sampler, make_world().objective(space), make_code(), tolerance=1e-10)


@pytest.mark.parametrize(("sampler", "space"), CASES)
def test_a_step_calls_the_generator_once_and_evaluates_the_code_before_the_update(sampler, space):
    calls = []
    world, inner = make_world(), make_world().objective(space)
    objective = Objective(lambda code: calls.append(1) or world.generator(code), inner.prior, inner.terms, space)
    state = sampler.init(make_code(), [0, 1, 2])
    after, evaluation = sampler.step(state, objective)
    assert len(calls) == 1
    assert torch.equal(evaluation.code, state.code) and not torch.equal(after.code, state.code)


@pytest.mark.parametrize("sampler", [case[0] for case in CASES[::2]])
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
        return stepped(Langevin(0.25, 1.0, 0.1, condition_limit=limit), objective, start)

    rest = moved(0.0) - slopes
    torch.testing.assert_close(moved(2.0) - rest, slopes * torch.tensor([[0.25], [1.0]], dtype=torch.float64))
    for limit in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="expected at least 0: 0 is no limit"):
            Langevin(0.25, 1.0, 0.1, condition_limit=limit)
