"""The loop, and the state that it can be resumed from."""

import io
import itertools

import pytest
import torch

from ppgn.chain import run
from ppgn.errors import ChainStopped
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import Langevin, Linear, ReleasedLangevin
from ppgn.toy import LinearWorld
from ppgn.types import ChainState, CodeSpace


def make_world() -> LinearWorld:
    matrix = torch.tensor([[1.0, 0.5], [0.3, -1.0], [0.0, 0.4]], dtype=torch.float64)
    return LinearWorld(matrix, torch.tensor([0.4, -0.1, 0.9], dtype=torch.float64), noise_std=0.5, prior_std=0.8)


OBJECTIVE, SAMPLER = make_world().objective(), Langevin(0.1, 0.05, Linear(0.5, 0.1, 10))
BOUNDED = make_world().objective(CodeSpace((2,), 0.0, 30.0))


def make_code() -> torch.Tensor:
    return torch.sin(torch.arange(6, dtype=torch.float64)).reshape(3, 2)


def test_a_run_yields_each_state_after_its_update_beside_the_evaluation_before_it():
    start = SAMPLER.init(make_code(), [0, 1, 2])
    pairs = list(run(SAMPLER, OBJECTIVE, start, 4))
    assert [state.step for state, _ in pairs] == [1, 2, 3, 4]
    befores = [start, *(state for state, _ in pairs[:-1])]
    for before, (_, evaluation) in zip(befores, pairs, strict=True):
        assert torch.equal(evaluation.code, before.code)


@pytest.mark.parametrize(("sampler", "objective"), [(SAMPLER, OBJECTIVE), (ReleasedLangevin(noise_scale=0.5), BOUNDED)])
def test_a_run_resumed_from_disk_equals_the_uninterrupted_run_to_the_bit(sampler, objective):
    start = sampler.init(make_code(), [0, 1, 2])
    whole = [state.code for state, _ in run(sampler, objective, start, 10)]
    *_, (half, _) = run(sampler, objective, start, 5)
    file = io.BytesIO()
    torch.save(half.state_dict(), file)
    file.seek(0)
    resumed = ChainState.from_state_dict(torch.load(file, weights_only=True))
    rest = [state.code for state, _ in run(sampler, objective, resumed, 5)]
    assert all(torch.equal(one, other) for one, other in zip(whole[5:], rest, strict=True))


def test_a_run_does_only_the_steps_that_are_asked_of_it():
    calls = []
    world = make_world()
    objective = Objective(lambda code: calls.append(1) or world.generator(code), NoPrior())
    sampler = Langevin(0.1, 0.0, 0.0)
    chain = run(sampler, objective, sampler.init(make_code(), [0, 1, 2]), 1000)
    assert calls == []
    list(itertools.islice(chain, 3))
    assert len(calls) == 3


def test_a_run_keeps_the_states_it_was_given_and_gave_unchanged():
    start = SAMPLER.init(make_code(), [0, 1, 2])
    first, _ = next(chain := run(SAMPLER, OBJECTIVE, start, 3))
    kept = first.code.clone()
    list(chain)
    assert torch.equal(first.code, kept) and torch.equal(start.code, make_code())


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_fewer_than_one_step_is_refused_before_the_first_is_asked_for(steps):
    with pytest.raises(ValueError, match="expected a whole number of at least 1"):
        run(SAMPLER, OBJECTIVE, SAMPLER.init(make_code(), [0, 1, 2]), steps)


def test_a_log_probability_that_is_not_finite_is_named_with_its_term_step_chain_and_seed():
    def breaks_late(image):
        return torch.log(1.25 - image.sum((1, 2, 3)))

    objective = Objective(
        lambda code: code[:, None, None, :], lambda code, image: torch.ones_like(code), [Term("late", breaks_late)]
    )
    code = torch.tensor([[-9.0], [0.5]], dtype=torch.float64)
    sampler = Langevin(0.5, 0.0, 0.0)
    chain = run(sampler, objective, sampler.init(code, [7, 8]), 10)
    next(chain)
    next(chain)
    with pytest.warns(ChainStopped, match=r"value of 'late' of chain 1 \(seed 8\) .* at step 2"):
        next(chain)


@pytest.mark.parametrize(
    ("generator", "prior", "condition", "what"),
    [
        (lambda code: code[:, None, None, :] / 0, None, lambda image: image.sum((1, 2, 3)), "image"),
        (None, None, lambda image: (image * 0).abs().sqrt().sum((1, 2, 3)), "condition gradient"),
        (None, lambda code, image: code / 0, lambda image: image.sum((1, 2, 3)), "prior direction"),
        (None, lambda code, image: code + 1e308, lambda image: image.sum((1, 2, 3)), "updated code"),
    ],
)
def test_the_first_quantity_that_is_not_finite_is_named(generator, prior, condition, what):
    generator = generator or (lambda code: code[:, None, None, :])
    objective = Objective(generator, prior or NoPrior(), [Term("y", condition)])
    sampler = Langevin(10.0, 1.0, 0.0)
    with pytest.raises(ValueError, match=rf"the {what} of chain 0 \(seed 5\) became infinite or NaN at step 0"):
        next(run(sampler, objective, sampler.init(torch.ones(1, 2, dtype=torch.float64), [5]), 1))


def test_a_state_survives_its_plain_form_with_all_that_a_sampler_carries():
    state = ChainState(make_code(), (3, 4, 2**64 - 1), 17, {"momentum": torch.ones(3, 2)})
    back = ChainState.from_state_dict(state.state_dict())
    assert torch.equal(back.code, state.code) and torch.equal(back.carry["momentum"], torch.ones(3, 2))
    assert (back.seeds, back.step) == (state.seeds, 17)


def test_a_plain_state_with_a_missing_key_is_refused():
    plain = ChainState(make_code(), (0, 1, 2)).state_dict()
    del plain["step"]
    with pytest.raises(ValueError, match=r"got the keys \['carry', 'code', 'seeds'\]"):
        ChainState.from_state_dict(plain)


def test_a_state_with_another_number_of_seeds_than_chains_is_refused():
    with pytest.raises(ValueError, match=r"2 seeds for a code of shape \(3, 2\)"):
        ChainState(make_code(), (0, 1))
