"""Rules of searches without gradients: the contract, closed forms, and what the published code states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgn.checks import check_ask_tell
from ppgn.evolution import COVARIANCES, RULES, CmaEs, Genetic, Nes, RandomSearch
from ppgn.types import ChainState, CodeSpace

SPACE = CodeSpace((12,), low=-3.0, high=3.0, mean=0.2, std=0.7)
CODES = torch.sin(torch.arange(24, dtype=torch.float64)).reshape(2, 12)
TARGET = torch.cos(torch.arange(12, dtype=torch.float64))


def score(codes: Tensor) -> Tensor:
    return -(codes - TARGET).square().sum(-1)


def reached(rule, rounds: int) -> Tensor:
    state = rule.bound_to(rounds, 0, SPACE).init(CODES, (0, 1))
    bound = rule.bound_to(rounds, 0, SPACE)
    for _ in range(rounds):
        state = bound.tell(state, score(bound.ask(state)))
    return score(state.code)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("shape", [(3, 5), (2, 1, 3, 2)])
def test_every_rule_keeps_the_contract(name: str, shape: tuple[int, ...]) -> None:
    rule = RULES[name](population=6).bound_to(4, 0, CodeSpace(std=0.5))
    check_ask_tell(rule, torch.sin(1.0 + torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape), tolerance=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("sphere", [False, True])
def test_every_form_of_cma_keeps_the_contract(covariance: str, sphere: bool) -> None:
    rule = CmaEs(6, covariance=covariance, sphere=sphere).bound_to(4, 0, CodeSpace(std=0.5))
    check_ask_tell(rule, CODES, tolerance=1e-9)


def test_each_search_beats_random_codes_and_cma_comes_closest() -> None:
    found = {name: reached(RULES[name](population=20), 60) for name in RULES}
    assert bool((found["genetic"] > found["random"]).all() and (found["nes"] > found["random"]).all())
    assert bool((found["cma"] > -0.01).all() and (found["cma"] > found["genetic"]).all())


def test_pycma_alone_gives_the_same_numbers() -> None:
    cma = pytest.importorskip("cma")
    rule = CmaEs(9, step_size=0.4, covariance="full").bound_to(9, 0, CodeSpace())
    random = np.random.Generator(np.random.Philox(key=7, counter=[0, 0, 0, 9]))
    theirs = cma.CMAEvolutionStrategy(
        np.zeros(12), 0.4, {"verbose": -9, "seed": math.nan, "popsize": 8, "randn": lambda *shape: random.standard_normal(shape)}
    )
    state = rule.init(CODES[:1], (7,))
    for _ in range(9):
        asked, wanted = rule.ask(state), np.array(theirs.ask()) + CODES[0].numpy()
        np.testing.assert_allclose(asked[0, :8].numpy(), wanted, rtol=1e-5)
        np.testing.assert_allclose(asked[0, 8].numpy(), theirs.mean + CODES[0].numpy(), rtol=1e-5)
        theirs.tell(list(wanted - CODES[0].numpy()), (-score(torch.from_numpy(wanted))).tolist())
        state = rule.tell(state, score(asked))


def test_cma_goes_on_where_its_centre_alone_has_a_score() -> None:
    rule = CmaEs(6).bound_to(4, 0, SPACE)
    state = rule.init(CODES, (0, 1))
    alone = torch.full((2, 6), math.nan, dtype=torch.float64)
    alone[:, 5] = 1.0
    after = rule.tell(rule.tell(state, alone), score(rule.ask(rule.tell(state, alone))))
    assert bool(rule.ask(after).isfinite().all())
    assert torch.equal(rule.tell(state, alone).code, rule.ask(state)[:, 5])


def test_a_resumed_search_in_another_object_goes_on_as_it_would_have() -> None:
    for name in RULES:
        rule = RULES[name](population=6).bound_to(8, 0, SPACE)
        state = rule.init(CODES, (3, 4))
        for _ in range(4):
            state = rule.tell(state, score(rule.ask(state)))
        stored = ChainState.from_state_dict(state.state_dict())
        fresh = RULES[name](population=6).bound_to(8, 0, SPACE)
        torch.testing.assert_close(fresh.ask(stored), rule.ask(state), rtol=0, atol=1e-12)


def test_a_child_has_the_units_of_its_parents_and_the_best_passes_on() -> None:
    rule = Genetic(population=50, mutation_rate=0.0, conserved=2).bound_to(1, 0, CodeSpace())
    parents = torch.arange(50.0, dtype=torch.float64)[None, :, None].expand(1, 50, 12).contiguous()
    state = rule.init_from(parents, (0,))
    scores = torch.arange(50.0, dtype=torch.float64)[None]
    children = rule.tell(state, scores).carry["population"][0]
    assert children[0, 0] == 49 and children[1, 0] == 48
    assert set(children.flatten().tolist()) <= set(range(50))
    heat = float(scores.std(correction=0)) / 2  # kT of the released code
    capped = scores[0].clamp(max=float(scores.quantile(0.95)))
    weights = ((capped - capped.max()) / heat).exp()
    expected = float((weights / weights.sum() * scores[0]).sum())
    assert float(children[2:].mean()) == pytest.approx(expected, abs=1.0)


def test_a_child_mixes_two_parents_in_the_share_that_was_asked_for() -> None:
    rule = Genetic(population=400, mutation_rate=0.0, conserved=0, heritability=0.25).bound_to(1, 0, CodeSpace())
    parents = torch.arange(400.0, dtype=torch.float64)[None, :, None].expand(1, 400, 60).contiguous()
    children = rule.tell(rule.init_from(parents, (0,)), torch.zeros(1, 400, dtype=torch.float64)).carry["population"][0]
    kinds = [child.unique(return_counts=True)[1] for child in children]
    assert max(len(kind) for kind in kinds) == 2
    rarer = torch.tensor([float(kind.min()) / 60 for kind in kinds if len(kind) == 2])
    assert float(rarer.mean()) == pytest.approx(0.25, abs=0.02)


def test_an_outlier_breeds_no_more_often_than_the_best_of_the_others() -> None:
    rule = Genetic(population=100, mutation_rate=0.0, conserved=0, selectivity=0.05).bound_to(1, 0, CodeSpace())
    parents = torch.arange(100.0, dtype=torch.float64)[None, :, None].expand(1, 100, 40).contiguous()
    scores = torch.zeros(1, 100, dtype=torch.float64)
    scores[0, :10] = 1.0
    scores[0, 0] = 1e6
    children = rule.tell(rule.init_from(parents, (0,)), scores).carry["population"][0]
    assert float((children == 0).double().mean()) < 0.05


def test_mutations_have_the_size_and_the_rate_that_were_asked_for() -> None:
    rule = Genetic(population=400, mutation_rate=0.25, mutation_size=0.75, conserved=0).bound_to(1, 0, CodeSpace(std=2.0))
    state = rule.init_from(torch.zeros(1, 400, 30, dtype=torch.float64), (1,))
    moved = rule.tell(state, torch.zeros(1, 400)).carry["population"][0]
    assert float((moved != 0).double().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(moved[moved != 0].std()) == pytest.approx(1.5, rel=0.03)


@pytest.mark.parametrize("name", RULES)
def test_a_picture_without_a_response_is_out_and_the_generation_goes_on(name: str) -> None:
    rule = RULES[name](population=6).bound_to(3, 0, SPACE)
    state = rule.init(CODES, (0, 1))
    scores = score(rule.ask(state))
    scores[0, 2] = scores[1, 5] = math.nan
    after = rule.tell(state, scores)
    assert bool(rule.ask(after).isfinite().all())
    assert score(after.code)[0] == pytest.approx(float(scores[0].nan_to_num(-math.inf).max()))
    for wrong in (torch.full_like(scores, math.nan), torch.full_like(scores, math.inf), scores[:, :0]):
        with pytest.raises(ValueError, match="expected"):
            rule.tell(state, wrong)


def test_the_sphere_keeps_the_length_of_the_first_codes_also_where_a_unit_has_no_spread() -> None:
    std = torch.full((12,), 2.0, dtype=torch.float64)
    std[3] = 0.0
    rule = CmaEs(9, sphere=True).bound_to(3, 0, CodeSpace((12,), mean=0.5, std=std))
    first = torch.stack([CODES, CODES.flip(1), 2 * CODES], 1)
    units = torch.arange(12) != 3
    state = rule.init_around(first, (0, 1))
    wanted = ((first - 0.5) / 2)[..., units].norm(dim=2).mean(1)
    for _ in range(3):
        asked = rule.ask(state)
        length = ((asked - 0.5) / 2)[..., units].norm(dim=2)
        torch.testing.assert_close(length, wanted[:, None].expand_as(length))
        state = rule.tell(state, score(asked))


def test_nes_stays_where_scores_are_equal_and_ignores_a_pair_with_a_gap() -> None:
    rule = Nes(8).bound_to(3, 0, SPACE)
    state = rule.init(CODES, (0, 1))
    flat = rule.tell(state, torch.ones(2, 8, dtype=torch.float64))
    torch.testing.assert_close(flat.carry["centre"], state.carry["centre"])
    gap = torch.ones(2, 8, dtype=torch.float64)
    gap[:, 1] = math.nan
    torch.testing.assert_close(rule.tell(state, gap).carry["centre"], state.carry["centre"])


def test_codes_stay_inside_the_bounds() -> None:
    narrow = CodeSpace((12,), low=0.0, high=0.5, mean=0.2, std=3.0)
    for name in RULES:
        rule = RULES[name](population=6).bound_to(3, 0, narrow)
        asked = rule.ask(rule.init(CODES.clamp(0, 0.5), (0, 1)))
        assert float(asked.min()) >= 0 and float(asked.max()) <= 0.5


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Genetic(0), "population 0, expected at least 1"),
        (lambda: Genetic(mutation_rate=1.5), "mutation_rate 1.5, expected 0 to 1"),
        (lambda: Genetic(selectivity=0.0), "expected both above 0"),
        (lambda: Genetic(5, conserved=6), "conserved 6, expected 0 to 5"),
        (lambda: Nes(5), "expected an even one"),
        (lambda: Nes(rate=math.nan), "expected both above 0"),
        (lambda: CmaEs(covariance="round"), "expected one of auto, full"),
        (lambda: CmaEs(step_size=0.0), "a size above 0"),
        (lambda: RandomSearch(-1), "population -1"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
