"""What stands on the one loop: thinning, thresholds, the best, early stop, several conditions in one chain, callbacks."""

import io
import math
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from ppgn.chain import Sample, Stage, Step, above, best, run, run_in_turn, thin, turn, until
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import Langevin, Linear, ReleasedLangevin, Scale
from ppgn.toy import LinearWorld
from ppgn.types import ChainState, CodeSpace


def make_world(sign: float = 1.0) -> LinearWorld:
    matrix = torch.tensor([[1.0, 0.5], [0.3, -1.0], [0.0, 0.4]], dtype=torch.float64)
    return LinearWorld(matrix, sign * torch.tensor([0.4, -0.1, 0.9], dtype=torch.float64), noise_std=0.5, prior_std=0.8)


SAMPLER, OBJECTIVE = Langevin(0.1, 0.05, Linear(0.5, 0.1, 10)), make_world().objective()


def make_code() -> torch.Tensor:
    return torch.sin(torch.arange(6, dtype=torch.float64)).reshape(3, 2)


def make_start() -> ChainState:
    return SAMPLER.init(make_code(), [10, 11, 12])


CLIMBER = Langevin(1.0, 0.0, 0.0)


def make_climb(slopes: list[float]) -> tuple[Objective, ChainState]:
    """For CLIMBER: chains whose log-probability "up" at step i is slope * i, and whose "down" is its negative."""
    terms = [Term("up", lambda image: image.sum((1, 2, 3))), Term("down", lambda image: -image.sum((1, 2, 3)), 0.0)]
    rate = torch.tensor(slopes, dtype=torch.float64)[:, None]
    objective = Objective(lambda code: code[:, None, None, :], lambda code, image: rate + 0 * code, terms)
    return objective, CLIMBER.init(torch.zeros(len(slopes), 1, dtype=torch.float64), list(range(len(slopes))))


def kept(samples: list[Sample]) -> list[tuple[int, int, float]]:
    return [(one.step, one.chain, one.log_prob) for one in samples]


def test_thinning_keeps_steps_0_k_2k_of_the_whole_chain_also_after_a_resume():
    whole = list(run(SAMPLER, OBJECTIVE, make_start(), 20))
    thinned = [state.step - 1 for state, _ in thin(whole, 5)]
    assert thinned == [0, 5, 10, 15]
    resumed = run(SAMPLER, OBJECTIVE, whole[6][0], 13)
    assert [state.step - 1 for state, _ in thin(resumed, 5)] == [10, 15]


def test_samples_above_a_log_probability_come_one_by_one_with_chain_seed_and_step():
    objective, start = make_climb([1.0, 3.0, 0.0])
    samples = list(above(run(CLIMBER, objective, replace(start, seeds=(7, 8, 9)), 5), 2.0))
    assert kept(samples) == [(1, 1, 3.0), (2, 1, 6.0), (3, 0, 3.0), (3, 1, 9.0), (4, 0, 4.0), (4, 1, 12.0)]
    assert [one.seed for one in samples] == [8, 8, 7, 8, 7, 8]


def test_the_image_and_code_of_a_sample_are_those_before_the_update_of_its_step():
    befores = [make_start(), *(state for state, _ in run(SAMPLER, OBJECTIVE, make_start(), 3))]
    for sample in above(run(SAMPLER, OBJECTIVE, make_start(), 4), -math.inf):
        code = befores[sample.step].code
        assert torch.equal(sample.code, code[sample.chain])
        assert torch.allclose(sample.image, make_world().generator(code)[sample.chain], rtol=0, atol=1e-12)
        assert sample.image.shape == (1, 1, 3)


def test_the_threshold_can_be_on_one_term_of_the_objective():
    objective, start = make_climb([1.0, -1.0])
    assert kept(list(above(run(CLIMBER, objective, start, 3), 0.5, "down"))) == [(1, 1, 1.0), (2, 1, 2.0)]


@pytest.mark.parametrize("consume", [above, best])
def test_a_term_that_the_objective_does_not_have_is_refused_with_those_it_has(consume):
    objective, start = make_climb([1.0])
    arguments = (0.0, "side") if consume is above else ("side",)
    with pytest.raises(ValueError, match=r"term 'side' were asked for, expected one of \['up', 'down'\]"):
        list(consume(run(CLIMBER, objective, start, 3), *arguments))


def test_the_best_of_each_chain_is_its_first_highest_sample():
    objective, start = make_climb([1.0, -1.0, 0.0])
    assert kept(best(run(CLIMBER, objective, start, 4))) == [(3, 0, 3.0), (0, 1, 0.0), (0, 2, 0.0)]
    assert kept(best(run(CLIMBER, objective, start, 4), "down")) == [(0, 0, 0.0), (3, 1, 3.0), (0, 2, 0.0)]


def test_the_best_of_a_run_that_made_no_step_is_empty():
    assert best(iter(())) == []


def test_an_early_stop_yields_the_step_that_fulfils_it_and_makes_no_further_one():
    calls = []
    objective, start = make_climb([1.0, 2.0])
    generator = objective.generator
    objective.generator = lambda code: calls.append(1) or generator(code)
    steps = list(until(run(CLIMBER, objective, start, 100), lambda state, evaluation: bool((evaluation.log_prob >= 4).all())))
    assert [state.step - 1 for state, _ in steps] == [0, 1, 2, 3, 4]
    assert len(calls) == 5


def test_an_early_stop_that_never_comes_lets_the_run_end_by_itself():
    objective, start = make_climb([1.0])
    assert len(list(until(run(CLIMBER, objective, start, 7), lambda state, evaluation: False))) == 7


def make_turns(step_size: Scale = 0.5) -> list[Stage]:
    sampler, space = ReleasedLangevin(0.3, 1e-2, 1e-3, step_size, reset_every=5), CodeSpace((2,), -2.0, 2.0)
    return [(sampler, world.objective(space)) for world in (make_world(), make_world(-1.0), make_world(2.0))]


def begun(stages: list[Stage]) -> ChainState:
    return stages[0][0].init(make_code(), [0, 1, 2])


def test_k_conditions_of_n_steps_make_n_times_k_plus_1_updates_with_one_more_for_the_first():
    acted = []

    def noting(number: int, world: LinearWorld) -> Stage:
        term = Term("likelihood", lambda image: acted.append(number) or world.condition(image))
        return Langevin(0.0, 0.05, 0.0), Objective(world.generator, NoPrior(), [term])

    stages = [noting(number, make_world()) for number in range(3)]
    states = [state for state, _ in run_in_turn(stages, begun(stages), 4)]
    assert acted == [0] * 5 + [1] * 4 + [2] * 4
    assert [state.step for state in states] == list(range(1, 4 * 3 + 2))
    assert [turn(step, 4) for step in range(13)] == acted


def test_a_sequence_of_conditions_is_their_runs_one_after_the_other_with_code_step_and_carry_carried_over():
    stages = make_turns(Linear(0.5, 0.1, 13))
    states = [state for state, _ in run_in_turn(stages, begun(stages), 4)]
    expected, state = [], begun(stages)
    for (sampler, objective), steps in zip(stages, (5, 4, 4), strict=True):
        for _ in range(steps):
            state, _ = sampler.step(state, objective)
            expected.append(state)
    assert all(torch.equal(one.code, other.code) for one, other in zip(states, expected, strict=True))
    assert torch.equal(states[-1].carry["prior_scale"], expected[-1].carry["prior_scale"])


@pytest.mark.parametrize("done", [1, 4, 5, 6, 9, 12])
def test_a_sequence_of_conditions_resumed_from_disk_equals_the_uninterrupted_one_to_the_bit(done):
    stages = make_turns()
    whole = [state for state, _ in run_in_turn(stages, begun(stages), 4)]
    file = io.BytesIO()
    torch.save(whole[done - 1].state_dict(), file)
    file.seek(0)
    resumed = ChainState.from_state_dict(torch.load(file, weights_only=True))
    rest = [state.code for state, _ in run_in_turn(stages, resumed, 4)]
    assert all(torch.equal(one.code, other) for one, other in zip(whole[done:], rest, strict=True))


def test_a_sequence_that_is_done_empty_or_without_steps_is_refused_before_the_first_step():
    stages = make_turns()
    *_, (end, _) = run_in_turn(stages, begun(stages), 4)
    with pytest.raises(ValueError, match="3 stages of 4 steps and a state at step 13, expected one with a step left"):
        run_in_turn(stages, end, 4)
    with pytest.raises(ValueError, match="0 stages"):
        run_in_turn([], begun(stages), 4)
    with pytest.raises(ValueError, match="a run in turn got steps 0"):
        run_in_turn(stages, begun(stages), 0)


def test_callbacks_see_every_step_in_order_and_the_next_step_starts_from_what_they_return():
    seen = []

    def halve(state, evaluation):
        seen.append(("halve", state.step))
        return replace(state, code=state.code / 2)

    def look(state, evaluation):
        seen.append(("look", state.step, float(state.code.abs().max())))

    pairs = list(run(SAMPLER, OBJECTIVE, make_start(), 3, [halve, look]))
    state = make_start()
    for after, evaluation in pairs:
        assert torch.equal(evaluation.code, state.code)
        state = SAMPLER.step(state, OBJECTIVE)[0]
        state = replace(state, code=state.code / 2)
        assert torch.equal(after.code, state.code)
    assert [entry[:2] for entry in seen] == [(name, step) for step in (1, 2, 3) for name in ("halve", "look")]
    assert seen[-1][2] == float(pairs[-1][0].code.abs().max())


def test_callbacks_of_a_sequence_see_all_its_steps():
    steps, stages = [], make_turns()
    list(run_in_turn(stages, begun(stages), 4, [lambda state, _: steps.append(state.step)]))
    assert steps == list(range(1, 14))


@pytest.mark.parametrize(
    ("callback", "got"),
    [
        (lambda state, evaluation: evaluation, "a value of type Evaluation"),
        (lambda state, evaluation: state.code, "a value of type Tensor"),
        (lambda state, evaluation: replace(state, step=0), r"a ChainState of shape \(3, 2\) and step 0"),
        (lambda state, evaluation: ChainState(state.code[:2], state.seeds[:2], state.step), r"shape \(2, 2\) and step 1"),
    ],
)
def test_a_callback_that_returns_no_state_or_one_of_another_shape_or_step_is_refused(callback, got):
    with pytest.raises(ValueError, match=rf"a callback returned .*{got}.* at step 1, expected None or a ChainState"):
        next(run(SAMPLER, OBJECTIVE, make_start(), 3, [callback]))


def test_what_is_not_finite_after_a_callback_is_named_at_the_next_step():
    chain = run(SAMPLER, OBJECTIVE, make_start(), 3, [lambda state, _: replace(state, code=state.code / 0)])
    next(chain)
    with pytest.raises(ValueError, match=r"the code of chain 0 \(seed 10\) became infinite or NaN at step 1"):
        next(chain)


def most_images_alive(pairs: Iterator[Step]) -> tuple[int, list]:
    """The largest number of a run's evaluations that were alive after a step, and what `above` kept of them."""
    alive: weakref.WeakSet = weakref.WeakSet()
    most = []

    def counted() -> Iterator[Step]:
        for state, evaluation in pairs:
            alive.add(evaluation)
            yield state, evaluation
            del state, evaluation
            most.append(len(alive))

    samples = list(above(thin(counted(), 10), -math.inf))
    return max(most), samples


def test_a_long_run_holds_no_more_than_its_last_two_steps_and_what_is_kept():
    most, samples = most_images_alive(run(SAMPLER, OBJECTIVE, make_start(), 60))
    assert most <= 2
    assert len(samples) == 6 * 3
    assert all(sample.image.untyped_storage().nbytes() == 3 * 8 for sample in samples)  # not the batch of three


@pytest.mark.parametrize("every", [0, -1, 2.0, True])
def test_thinning_by_no_whole_number_is_refused_before_the_first_step(every):
    with pytest.raises(ValueError, match="thinning got every"):
        thin(run(SAMPLER, OBJECTIVE, make_start(), 3), every)
