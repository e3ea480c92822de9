"""The released sampler over twenty steps, with and without resets, against its loop in NumPy."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import make_code, make_world

from ppgn.chain import Step, run
from ppgn.checks import check_sampler
from ppgn.objective import Objective
from ppgn.priors import Gaussian
from ppgn.samplers import Langevin, Linear, ReleasedLangevin
from ppgn.seeds import Stream, normal, uniform
from ppgn.types import ChainState, CodeSpace

SEEDS = (3, 4, 2**40)
OBJECTIVE = make_world().objective(CodeSpace((3,), -0.5, 2.0))


def make_sampler(reset_every: int = 6) -> ReleasedLangevin:
    return ReleasedLangevin(0.3, 1e-3, 1e-4, Linear(0.5, 0.1, 20), reset_every)


def steps_of(sampler: ReleasedLangevin, count: int = 20) -> list[Step]:
    return list(run(sampler, OBJECTIVE, sampler.init(make_code(), SEEDS), count))


def drawn(draw, step: int, seed: int, shape: tuple[int, ...], stream: int):
    return draw([seed], step, shape, stream=stream, dtype=torch.float64)[0].numpy()


def released_in_numpy(code: np.ndarray, seed: int, reset_every: int) -> list[np.ndarray]:
    """The codes after each of twenty iterations for one chain; only the random numbers are the library's."""
    world, codes, epsilon1 = make_world(), [], 0.3
    matrix, target = world.matrix.numpy(), world.target.numpy()
    for i in range(20):
        step_size = 0.5 + (0.1 - 0.5) * i / 20
        d_prior = -code
        d_condition = matrix.T @ (target - matrix @ code) / 0.25
        d = epsilon1 * d_prior + 1e-3 * d_condition + 1e-4 * drawn(normal, i, seed, (3,), 0)
        code = np.clip(code + step_size * d / np.abs(d).mean(), -0.5, 2.0)
        if reset_every > 0 and i % reset_every == 0 and i > 0:
            code = drawn(normal, i, seed, (3,), Stream.RESET_CODE)
            epsilon1 = 1e-6 + (1e-2 - 1e-6) * drawn(uniform, i, seed, (), Stream.RESET_PRIOR_SCALE)
        codes.append(code)
    return codes


@pytest.mark.parametrize("reset_every", [0, 1, 6, 19, 20])
def test_twenty_released_steps_with_resets_are_the_loop_written_in_numpy(reset_every):
    states = [state.code.numpy() for state, _ in steps_of(make_sampler(reset_every))]
    for chain, seed in enumerate(SEEDS):
        expected = released_in_numpy(make_code().numpy()[chain], seed, reset_every)
        for step in range(20):
            assert np.abs(states[step][chain] - expected[step]).max() < 1e-12


def test_twenty_langevin_steps_are_equation_11_written_in_numpy():
    world = make_world()
    objective = world.objective(CodeSpace((3,), -0.8, 0.9))
    sampler = Langevin(0.07, lambda step: 0.03 / (1 + step), 0.2)
    states = [state.code.numpy() for state, _ in run(sampler, objective, sampler.init(make_code(), SEEDS), 20)]
    matrix, target = world.matrix.numpy(), world.target.numpy()
    for chain, seed in enumerate(SEEDS):
        code = make_code().numpy()[chain]
        for i in range(20):
            condition = matrix.T @ (target - matrix @ code) / 0.25
            code = code + 0.07 * -code + 0.03 / (1 + i) * condition + 0.2 * drawn(normal, i, seed, (3,), 0)
            code = np.clip(code, -0.8, 0.9)
            assert np.abs(states[i][chain] - code).max() < 1e-12


def test_a_reset_comes_after_the_updates_of_steps_k_and_2k_and_is_not_clipped():
    states = [state for state, _ in steps_of(make_sampler(6))]
    fresh = [
        torch.equal(after.code, normal(SEEDS, step, (3,), stream=2, dtype=torch.float64)) for step, after in enumerate(states)
    ]
    assert [step for step, is_fresh in enumerate(fresh) if is_fresh] == [6, 12, 18]
    assert bool((states[6].code < -0.5).any())


def test_each_chain_carries_its_own_prior_scale_from_its_last_reset_on():
    states = [state for state, _ in steps_of(make_sampler(6))]
    assert all("prior_scale" not in state.carry for state in states[:6])
    scales = [state.carry["prior_scale"] for state in states[6:]]
    assert all(bool(((scale >= 1e-6) & (scale < 1e-2)).all()) and len(set(scale.tolist())) == 3 for scale in scales)
    drawn_in = [{tuple(scale.tolist()) for scale in scales[first:last]} for first, last in ((0, 6), (6, 12), (0, 14))]
    assert [len(drawn) for drawn in drawn_in] == [1, 1, 3]


def test_prior_scales_of_many_chains_spread_over_the_whole_released_range():
    code = torch.zeros(4000, 3, dtype=torch.float64)
    sampler = replace(make_sampler(1), noise_scale=0.0)
    state = ChainState(code, tuple(range(4000)), step=1)
    scales = sampler.step(state, OBJECTIVE)[0].carry["prior_scale"]
    assert float(scales.mean()) == pytest.approx((1e-6 + 1e-2) / 2, abs=2e-4)
    assert float(scales.min()) < 1e-5 and float(scales.max()) > 0.999e-2


def test_a_run_with_resets_resumed_from_disk_anywhere_equals_the_uninterrupted_run_to_the_bit():
    sampler = make_sampler(6)
    whole = [state for state, _ in steps_of(sampler)]
    for done in (1, 6, 7, 15):
        file = io.BytesIO()
        torch.save(whole[done - 1].state_dict(), file)
        file.seek(0)
        resumed = ChainState.from_state_dict(torch.load(file, weights_only=True))
        rest = [state.code for state, _ in run(sampler, OBJECTIVE, resumed, 20 - done)]
        assert all(torch.equal(one.code, other) for one, other in zip(whole[done:], rest, strict=True))


def test_a_chain_with_resets_is_the_same_alone_as_in_a_batch():
    sampler, seeds = make_sampler(3), tuple(range(8))
    *_, (batch, _) = run(sampler, OBJECTIVE, sampler.init(make_code(8), seeds), 10)
    for chain in seeds:
        *_, (alone, _) = run(sampler, OBJECTIVE, sampler.init(make_code(8)[chain : chain + 1], (chain,)), 10)
        assert torch.allclose(alone.code[0], batch.code[chain], rtol=0, atol=1e-12)
        assert torch.equal(alone.carry["prior_scale"][0], batch.carry["prior_scale"][chain])


def test_the_released_sampler_with_resets_keeps_the_contract():
    check_sampler(make_sampler(1), OBJECTIVE, make_code(), tolerance=1e-12)


def test_the_image_of_the_step_that_resets_is_made_before_it():
    pairs = steps_of(make_sampler(6), 9)
    for (before, _), (_, evaluation) in zip(pairs, pairs[1:], strict=False):
        assert torch.equal(evaluation.image, make_world().generator(before.code))


def test_a_code_map_in_single_precision_is_reset_whole():
    objective, sampler = Objective(lambda code: code, Gaussian()), ReleasedLangevin(1.0, reset_every=1)
    state = ChainState(torch.ones(2, 3, 4, 4), (0, 1), step=1)
    after, _ = sampler.step(state, objective)
    assert after.code.dtype == torch.float32 and after.carry["prior_scale"].shape == (2,)
    assert torch.equal(after.code, normal((0, 1), 1, (3, 4, 4), stream=Stream.RESET_CODE))
    assert sampler.step(after, objective)[0].code.shape == (2, 3, 4, 4)


@pytest.mark.parametrize("reset_every", [-1, 2.5, True, None])
def test_a_reset_that_is_no_whole_number_is_refused(reset_every):
    with pytest.raises(ValueError, match="reset_every .* expected a whole number of at least 0"):
        ReleasedLangevin(reset_every=reset_every)
