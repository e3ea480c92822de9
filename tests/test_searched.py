"""A search without gradients runs in the one loop: it climbs, stays within the code space, and is resumed like any chain."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from conftest import make_code, make_world, tiny_bundle
from test_checks_ask_tell import HillClimbing
from torch import Tensor

import ppgn
from ppgn.chain import best, run
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.samplers import Searched
from ppgn.types import ChainState, Code, CodeSpace, Image, LogProb

SEEDS = (3, 4, 5)
SEARCH = Searched(HillClimbing())


def likelihood(code: Code) -> LogProb:
    return make_world().objective().score(code)


def test_a_search_improves_a_closed_form_score_of_every_chain_and_never_loses_its_best() -> None:
    world = make_world()
    pairs = list(run(SEARCH, world.objective(), SEARCH.init(make_code(), SEEDS), 80))
    values = torch.stack([evaluation.log_prob for _, evaluation in pairs])
    torch.testing.assert_close(values[0], likelihood(make_code()))
    assert bool((values[2:].diff(dim=0) >= 0).all())  # the first round is told of proposals alone
    highest = likelihood((world.target @ torch.linalg.pinv(world.matrix.T))[None])  # of least squares
    assert bool((highest - values[0] > 0.4).all()) and bool((highest - values[-1] < 0.05).all())


def test_the_evaluation_of_a_round_is_that_of_the_code_before_it_with_directions_of_0() -> None:
    state = SEARCH.init(make_code(), SEEDS)
    for after, evaluation in run(SEARCH, make_world().objective(), state, 3):
        assert torch.equal(evaluation.code, state.code)
        torch.testing.assert_close(evaluation.log_prob, likelihood(state.code))
        assert not bool(evaluation.gradient.any()) and not bool(evaluation.direction.any())
        assert after.step == state.step + 1
        state = after


def test_a_search_sees_and_keeps_codes_of_the_code_space_alone() -> None:
    seen: list[Tensor] = []
    world, space = make_world(), CodeSpace((3,), -0.2, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    objective = Objective(lambda code: (seen.append(code), world.generator(code))[1], NoPrior(), world.objective().terms, space)
    start = space.clip(make_code())
    states = [state for state, _ in run(SEARCH, objective, SEARCH.init(start, SEEDS), 20)]
    for code in (*seen, *(state.code for state in states)):
        assert torch.equal(code, space.clip(code))
    assert bool((likelihood(states[-1].code) > likelihood(start)).all())


def test_a_search_resumed_from_disk_equals_the_uninterrupted_one_to_the_bit() -> None:
    objective = make_world().objective()
    whole = [state for state, _ in run(SEARCH, objective, SEARCH.init(make_code(), SEEDS), 9)]
    file = io.BytesIO()
    torch.save(whole[3].state_dict(), file)
    file.seek(0)
    resumed = ChainState.from_state_dict(torch.load(file, weights_only=True))
    rest = [state.code for state, _ in run(SEARCH, objective, resumed, 5)]
    assert all(torch.equal(one.code, other) for one, other in zip(whole[4:], rest, strict=True))


def count_of_bright_pixels(image: Image) -> LogProb:
    """Without a gradient: an argmax over dark and bright at each pixel."""
    return torch.stack([1 - image, image], -1).argmax(-1).flatten(1).sum(1).to(image.dtype)


def test_a_condition_with_an_argmax_is_scored_and_searched_but_not_differentiated() -> None:
    matrix = torch.cos(torch.arange(3 * 48, dtype=torch.float64) ** 1.5).reshape(3, 48)
    term = Term("bright", count_of_bright_pixels)
    objective = Objective(lambda code: (code @ matrix).sigmoid().reshape(-1, 3, 4, 4), NoPrior(), [term])
    begun = objective.score(make_code())
    assert torch.equal(begun, (make_code() @ matrix > 0).sum(1).double())
    found = best(run(SEARCH, objective, SEARCH.init(make_code(), SEEDS), 30))
    assert all(one.log_prob >= begun[one.chain] + 2 for one in found)
    with pytest.raises(ValueError, match="'bright' is not connected to the image"):
        objective.evaluate(make_code())


def test_a_bundle_is_searched_by_a_rule_that_is_given_as_its_sampler() -> None:
    def black_box(image: Image) -> LogProb:
        return torch.from_numpy(1e4 * image.detach().numpy().mean((1, 2, 3)))

    given: dict[str, Any] = {"count": 2, "sampler": HillClimbing(size=2.0)}
    first, last = (ppgn.sample(tiny_bundle(), black_box, steps=steps, **given) for steps in (1, 12))
    assert bool((last.log_prob > first.log_prob).all())
    assert bool(((last.codes >= 0) & (last.codes <= 30)).all())


def test_a_search_and_a_choice_of_starts_are_the_same_in_inference_mode() -> None:
    given: dict[str, Any] = {"count": 2, "steps": 3, "draws": 3, "sampler": HillClimbing(size=2.0)}
    found = ppgn.sample(tiny_bundle(), 0, **given)
    bundle = tiny_bundle()
    with torch.inference_mode():
        assert torch.equal(ppgn.sample(bundle, 0, **given).codes, found.codes)


@dataclass(frozen=True)
class AsksForOneCode:
    """A rule without an axis for its population."""

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        return ChainState(code, tuple(seeds))

    def ask(self, state: ChainState) -> Code:
        return state.code

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        return state


def test_a_rule_that_asks_for_no_population_is_refused() -> None:
    search = Searched(AsksForOneCode())
    with pytest.raises(ValueError, match=r"asked for codes of shape \(3, 3\), expected \[chain, population, \*code\]"):
        search.step(search.init(make_code(), SEEDS), make_world().objective())
