"""A chain that meets infinity or NaN stops alone: it is held, named, and the others are as if it had not been there."""

import math
import warnings
from dataclasses import replace

import pytest
import torch
from conftest import make_code, make_world, tiny_bundle
from torch import Tensor

from ppgn import sample
from ppgn.chain import above, best, run, run_in_turn
from ppgn.errors import AllStoppedError, ChainStopped
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import Langevin, ReleasedLangevin
from ppgn.types import ChainState, CodeSpace, Evaluation

SEEDS = (7, 8, 9)


def breaks(chain: int, at_step: int):
    """A callback that breaks the code of one chain before the step after `at_step`."""

    def callback(state: ChainState, evaluation: Evaluation) -> ChainState | None:
        if state.step != at_step:
            return None
        code = state.code.clone()
        code[chain, 0] = math.nan
        return replace(state, code=code)

    return callback


UNBOUNDED, BOUNDED = make_world().objective(), make_world().objective(CodeSpace((3,), 0.0, 30.0))
CASES = pytest.mark.parametrize(
    ("sampler", "objective"),
    [(Langevin(0.1, 0.05, 0.2), UNBOUNDED), (ReleasedLangevin(reset_every=2), BOUNDED)],
    ids=["langevin", "released"],
)


@CASES
def test_the_other_chains_go_on_as_if_nothing_had_happened(sampler, objective):
    whole = list(run(sampler, objective, sampler.init(make_code(), SEEDS), 6))
    with pytest.warns(ChainStopped, match=r"the code of chain 1 \(seed 8\) became infinite or NaN at step 3.* this chain stops"):
        broken = list(run(sampler, objective, sampler.init(make_code(), SEEDS), 6, [breaks(1, 3)]))
    for (state, evaluation), (wanted, seen) in zip(broken, whole, strict=True):
        for chain in (0, 2):
            assert torch.equal(state.code[chain], wanted.code[chain]) and torch.equal(evaluation.image[chain], seen.image[chain])


@CASES
def test_the_stopped_chain_keeps_its_last_finite_evaluation_and_says_why(sampler, objective):
    with pytest.warns(ChainStopped):
        pairs = list(run(sampler, objective, sampler.init(make_code(), SEEDS), 6, [breaks(1, 3)]))
    assert [1 in evaluation.stopped for _, evaluation in pairs] == [False, False, False, True, True, True]
    for state, evaluation in pairs[3:]:
        assert torch.equal(evaluation.image[1], pairs[2][1].image[1])
        assert torch.equal(evaluation.log_prob[1], pairs[2][1].log_prob[1])
        assert state.code[1].isfinite().all()
    assert "at step 3" in pairs[5][1].stopped[1]


@CASES
def test_a_chain_is_warned_of_once(sampler, objective):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        list(run(sampler, objective, sampler.init(make_code(), SEEDS), 6, [breaks(0, 2)]))
    assert len([one for one in said if one.category is ChainStopped]) == 1


@CASES
def test_the_run_ends_with_the_reason_when_no_chain_is_left(sampler, objective):
    chains = run(sampler, objective, sampler.init(make_code(1), SEEDS[:1]), 6, [breaks(0, 3)])
    with pytest.raises(AllStoppedError, match=r"the code of chain 0 \(seed 7\) became infinite or NaN at step 3"):
        list(chains)


def test_a_chain_that_breaks_at_its_first_step_has_a_log_prob_of_minus_infinity_and_is_never_kept():
    def undefined_for_one(image: Tensor) -> Tensor:
        return (image.sum((1, 2, 3)) * torch.tensor([1.0, math.nan, 1.0], dtype=image.dtype)[: len(image)]).abs()

    objective = Objective(lambda code: code[:, None, None, :], NoPrior(), [Term("y", undefined_for_one)])
    sampler = Langevin(0.0, 0.01, 0.0)
    with pytest.warns(ChainStopped, match=r"the value of 'y' of chain 1 \(seed 8\).* at step 0"):
        pairs = list(run(sampler, objective, sampler.init(make_code(), SEEDS), 4))
    assert pairs[0][1].log_prob[1] == -math.inf and pairs[0][1].image.isfinite().all()
    assert {found.chain for found in above(pairs, -math.inf)} == {0, 2}
    assert [found.log_prob == -math.inf for found in best(pairs)] == [False, True, False]


@CASES
def test_a_chain_stopped_under_one_condition_stays_stopped_under_the_next(sampler, objective):
    with pytest.warns(ChainStopped):
        pairs = list(run_in_turn([(sampler, objective)] * 2, sampler.init(make_code(), SEEDS), 3, [breaks(2, 1)]))
    assert [2 in evaluation.stopped for _, evaluation in pairs] == [False, *[True] * 6]


def test_samples_name_the_chains_that_stopped_across_batches():
    count = 0

    def breaks_in_the_second_batch(image: Tensor) -> Tensor:
        nonlocal count
        count += 1
        wrong = torch.zeros(len(image))
        wrong[-1] = math.nan if count > 5 else 0.0
        return image.mean((1, 2, 3)) + wrong

    with pytest.warns(ChainStopped):
        samples = sample(tiny_bundle(), breaks_in_the_second_batch, count=4, batch=2, sampler="released")
    assert list(samples.stopped) == [3] and samples.images.isfinite().all()
