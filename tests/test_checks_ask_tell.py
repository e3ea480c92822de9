"""The contract of searches without gradients: hill climbing passes, and for each rule a broken hill climbing is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from ppgn.checks import check_ask_tell, check_sampler
from ppgn.samplers import Searched
from ppgn.seeds import check_seeds, normal
from ppgn.toy import LinearWorld
from ppgn.types import ChainState, Code


@dataclass(frozen=True)
class HillClimbing:
    """Proposals around the best code known, whose score is carried."""

    population: int = 6
    size: float = 0.3

    def init(self, code: Code, seeds: Sequence[int]) -> ChainState:
        return ChainState(code.detach().clone(), check_seeds(seeds), 0, {"score": code.new_full((len(code),), -torch.inf)})

    def ask(self, state: ChainState) -> Code:
        noise = normal(state.seeds, state.step, (self.population, *state.code.shape[1:]), dtype=state.code.dtype)
        return state.code[:, None] + self.size * noise

    def tell(self, state: ChainState, scores: Tensor) -> ChainState:
        best, member = scores.max(1)
        proposed = HillClimbing.ask(self, state)[torch.arange(len(scores)), member]
        better = best > state.carry["score"]
        code = torch.where(better.reshape(-1, *[1] * (state.code.ndim - 1)), proposed, state.code)
        return ChainState(code, state.seeds, state.step + 1, {"score": torch.maximum(best, state.carry["score"])})


def make_code(*shape: int) -> Tensor:
    return torch.sin(1 + torch.arange(torch.Size(shape).numel(), dtype=torch.float64)).reshape(shape)


def test_climbing_reaches_the_target_of_a_closed_form_score():
    rule, target = HillClimbing(), torch.tensor([0.5, -0.25], dtype=torch.float64)
    state = rule.init(make_code(3, 2), range(3))
    first = (state.code - target).norm(dim=1)
    for _ in range(60):
        state = rule.tell(state, -(rule.ask(state) - target).square().sum(2))
    assert bool(((state.code - target).norm(dim=1) < 0.2 * first).all())


@pytest.mark.parametrize("shape", [(3, 2), (2, 5), (2, 1, 3, 4)])
def test_a_good_rule_passes(shape):
    check_ask_tell(HillClimbing(), make_code(*shape), tolerance=1e-10)


def test_a_good_rule_passes_in_single_precision_and_far_from_the_target():
    check_ask_tell(HillClimbing(), 30 * make_code(4, 8).float())


def test_a_search_in_the_loop_keeps_the_contract_of_samplers():
    matrix = torch.tensor([[1.0, 0.5], [0.3, -1.0], [0.0, 0.4]], dtype=torch.float64)
    world = LinearWorld(matrix, torch.tensor([0.4, -0.1, 0.9], dtype=torch.float64), noise_std=0.5, prior_std=0.8)
    check_sampler(Searched(HillClimbing()), world.objective(), make_code(3, 2), tolerance=1e-10)


class ForgetsSeeds(HillClimbing):
    def init(self, code, seeds):
        return super().init(code, [0] * len(seeds))


class StartsElsewhere(HillClimbing):
    def init(self, code, seeds):
        return super().init(code[:, None], seeds)


class AsksForOneCode(HillClimbing):
    def ask(self, state):
        return super().ask(state)[:, 0]


class PopulationFirst(HillClimbing):
    def ask(self, state):
        return super().ask(state).transpose(0, 1)


class AsksForNothing(HillClimbing):
    def ask(self, state):
        return super().ask(state)[:, :0]


class AsksForIntegers(HillClimbing):
    def ask(self, state):
        return super().ask(state).long()


class AsksForAList(HillClimbing):
    def ask(self, state):
        return super().ask(state).tolist()


class AsksElsewhere(HillClimbing):
    def ask(self, state):
        return super().ask(state).to("meta")


class AsksForInfinity(HillClimbing):
    def ask(self, state):
        return super().ask(state) / 0


class DrawsFromTorch(HillClimbing):
    def ask(self, state):
        return state.code[:, None] + 0.3 * torch.randn(len(state.code), 6, 2, dtype=state.code.dtype)


class AsksInPlace(HillClimbing):
    def ask(self, state):
        asked = super().ask(state)
        state.code.add_(0.1)
        return asked


class TellsInPlace(HillClimbing):
    def tell(self, state, scores):
        after = super().tell(state, scores)
        state.code.copy_(after.code)
        return after


class CarriesInPlace(HillClimbing):
    def tell(self, state, scores):
        state.carry["score"].fill_(0)
        return super().tell(state, scores)


class SortsScoresInPlace(HillClimbing):
    def tell(self, state, scores):
        after = super().tell(state, scores)
        scores.copy_(scores.sort(1).values)
        return after


class DoesNotCount(HillClimbing):
    def tell(self, state, scores):
        return replace(super().tell(state, scores), step=state.step)


class ReturnsThePopulation(HillClimbing):
    def tell(self, state, scores):
        return replace(super().tell(state, scores), code=self.ask(state))


class ReturnsACode(HillClimbing):
    def tell(self, state, scores):
        return super().tell(state, scores).code


class BecomesInfinite(HillClimbing):
    def tell(self, state, scores):
        return replace(super().tell(state, scores), code=state.code / 0)


class TellsAtRandom(HillClimbing):
    def tell(self, state, scores):
        after = super().tell(state, scores)
        return replace(after, code=after.code + torch.randn_like(after.code))


class KeepsItsProposals:
    """Keeps the codes of the last `ask` in itself, so that `tell` of another state mixes the two up."""

    def __init__(self):
        self.rule = HillClimbing()

    def init(self, code, seeds):
        return self.rule.init(code, seeds)

    def ask(self, state):
        self.asked = self.rule.ask(state)
        return self.asked

    def tell(self, state, scores):
        after = self.rule.tell(state, scores)
        return replace(after, code=self.asked[torch.arange(len(scores)), scores.argmax(1)])


class CountsItsCalls:
    """Shrinks its steps by a counter in itself, which counts from the round `since` on."""

    def __init__(self, since=0):
        self.since, self.told = since, 0

    @property
    def rule(self):
        return HillClimbing(size=0.3 * 0.9**self.told)

    def init(self, code, seeds):
        return self.rule.init(code, seeds)

    def ask(self, state):
        return self.rule.ask(state)

    def tell(self, state, scores):
        after = self.rule.tell(state, scores)
        self.told += state.step >= self.since
        return after


class KeepsItsSizeBesideTheCarry(HillClimbing):
    """Hangs the size of its steps on the state object, which `state_dict` does not know."""

    def ask(self, state):
        return replace(HillClimbing(), size=getattr(state, "size", 0.3)).ask(state)

    def tell(self, state, scores):
        size = getattr(state, "size", 0.3)
        after = HillClimbing(size=size).tell(state, scores)
        object.__setattr__(after, "size", 0.9 * size)
        return after


class IgnoresScores(HillClimbing):
    def tell(self, state, scores):
        return super().tell(state, torch.zeros_like(scores))


class Descends(HillClimbing):
    def tell(self, state, scores):
        return super().tell(state, -scores)


class ForgetsTheBest(HillClimbing):
    """Goes to the best code of each round, even where an earlier one was better."""

    def tell(self, state, scores):
        return super().tell(replace(state, carry={"score": torch.full_like(state.carry["score"], -torch.inf)}), scores)


class SharesTheBest(HillClimbing):
    """Every chain goes on from the best code of all chains."""

    def tell(self, state, scores):
        after = super().tell(state, scores)
        winner = int(after.carry["score"].argmax())
        return replace(after, code=after.code[winner].expand_as(after.code).clone())


class AsksAroundTheMean(HillClimbing):
    def ask(self, state):
        return super().ask(state) + 0.1 * state.code.mean(0)

    def tell(self, state, scores):
        asked = self.ask(state)[torch.arange(len(scores)), scores.argmax(1)]
        after = super().tell(state, scores)
        better = (after.carry["score"] > state.carry["score"])[:, None]
        return replace(after, code=torch.where(better, asked, state.code))


class AsksForFewerAlone(HillClimbing):
    def ask(self, state):
        return replace(HillClimbing(), population=2 * len(state.code)).ask(state)

    def tell(self, state, scores):
        return replace(HillClimbing(), population=2 * len(state.code)).tell(state, scores)


class Judged(HillClimbing):
    judge = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).double()

    def ask(self, state):
        self.judge(state.code)
        return super().ask(state)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (ForgetsSeeds(), r"the search's init returned .* seeds \(0, 0, 0\)"),
        (StartsElsewhere(), r"the search's init returned shape \(3, 1, 2\)"),
        (AsksForOneCode(), r"ask returned shape \(3, 2\), expected \[3, population, 2\]"),
        (PopulationFirst(), r"ask returned shape \(6, 3, 2\), expected \[3, population, 2\] .* the chain's axis first"),
        (AsksForNothing(), r"ask returned shape \(3, 0, 2\), .* a population of at least 1"),
        (AsksForIntegers(), r"ask returned a tensor of torch\.int64, expected floating-point codes"),
        (AsksForAList(), "ask returned list, expected floating-point codes"),
        (AsksElsewhere(), "ask returned codes on meta for a state on cpu, expected one device"),
        (AsksForInfinity(), "ask returned infinity or NaN for chain 0"),
        (DrawsFromTorch(), r"ask differs by .* between two calls on one state.* only by ppgn\.seeds\.normal"),
        (AsksInPlace(), "the search's ask changed the code of the state it was given"),
        (TellsInPlace(), "the search's tell changed the code of the state it was given"),
        (CarriesInPlace(), "the search's tell changed the carried 'score' of the state it was given"),
        (SortsScoresInPlace(), "the search's tell changed the scores it was given"),
        (DoesNotCount(), "tell returned .* step 0, expected .* and 1"),
        (ReturnsThePopulation(), r"tell returned shape \(3, 6, 2\)"),
        (ReturnsACode(), "tell returned Tensor, expected a ChainState"),
        (BecomesInfinite(), "tell returned infinity or NaN for chain 0"),
        (TellsAtRandom(), r"tell differs by .* between two calls on one state .*ppgn\.seeds\.normal"),
        (KeepsItsProposals(), r"tell differs by .* another state asked in between .* anew by self\.ask\(state\) inside tell"),
        (CountsItsCalls(), "tell differs by .* between two calls on one state .* into the carry"),
        (CountsItsCalls(since=2), "the search differs by .* between two runs .* into the carry"),
        (KeepsItsSizeBesideTheCarry(), "the search differs by .* between a resumed and an uninterrupted run .* into the carry"),
        (IgnoresScores(), r"lost the best code .* higher scores are better"),
        (Descends(), r"lost the best code .* higher scores are better"),
        (ForgetsTheBest(), r"lost the best code .* the best code known is kept as state\.code"),
        (SharesTheBest(), "lost the best code"),
        (AsksAroundTheMean(), "the search lets chains depend on each other: .* between a chain alone and in the batch"),
        (AsksForFewerAlone(), "the search returned shapes .* between a chain alone and in the batch"),
        (Judged(), r"the search has dropout left on: its module 'judge\.1' .* call eval"),
    ],
)
def test_a_rule_that_breaks_the_contract_is_refused(rule, message):
    with pytest.raises(ValueError, match=message) as refused:
        check_ask_tell(rule, make_code(3, 2))
    assert "\n" not in str(refused.value)


def test_one_chain_is_too_few_to_check_independence():
    with pytest.raises(ValueError, match="the check of the search got shape .* expected at least two chains"):
        check_ask_tell(HillClimbing(), make_code(1, 2))
