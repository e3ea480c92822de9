"""The adaptive sampler: free of the condition's units, still when it is met, Eq. 11 with a known scale, heavy ball."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from torch import Tensor

import ppgn
from ppgn import chain, priors
from ppgn.objective import Objective, Term
from ppgn.samplers import Adaptive, Langevin
from ppgn.types import CodeSpace, Image, LogProb

TARGET = torch.tensor([3.0, -1.0, 0.5], dtype=torch.float64)


def near(image: Image) -> LogProb:
    return -0.5 * ((image.flatten(1) - TARGET) ** 2).sum(1)


def objective(weight: float = 1.0, prior: Any = None, std: Tensor | None = None) -> Objective:
    terms = [Term("near", near, weight)]
    return Objective(lambda code: code[:, None, None, :], prior or priors.NoPrior(), terms, CodeSpace((3,), std=std))


def codes(sampler: Any, objective: Objective, steps: int, start: Tensor | None = None) -> list[Tensor]:
    start = torch.zeros(2, 3, dtype=torch.float64) + torch.tensor([[0.0], [1.0]]) if start is None else start
    return [state.code for state, _ in chain.run(sampler, objective, sampler.init(start, range(len(start))), steps)]


@pytest.mark.parametrize("weight", [1e-6, 1.0, 1e6])
def test_the_condition_may_count_in_any_unit(weight: float) -> None:
    sampler = Adaptive(prior_scale=0.1, step_size=0.3, noise_scale=0.05, momentum=0.5)
    wanted = codes(sampler, objective(1.0, priors.Gaussian()), 10)
    found = codes(sampler, objective(weight, priors.Gaussian()), 10)
    torch.testing.assert_close(torch.stack(found), torch.stack(wanted))


def test_at_its_steepest_the_condition_moves_the_code_by_step_size_standard_deviations() -> None:
    unit = torch.tensor([2.0, 0.5, 1.0], dtype=torch.float64)
    start = torch.zeros(4, 3, dtype=torch.float64)
    first = codes(Adaptive(0.0, 0.3), objective(std=unit), 1, start)[0]
    torch.testing.assert_close((first / unit).square().mean(1).sqrt(), torch.full((4,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(first / first[:, :1], (unit**2 * TARGET / (4 * TARGET[0])).expand(4, 3))


def test_chains_come_to_rest_where_the_condition_is_met() -> None:
    found = codes(Adaptive(0.0, 0.3), objective(), 60)
    moves = torch.stack(found).diff(dim=0).abs().amax((1, 2))
    assert float(moves[-1]) < 1e-3 * float(moves[0])
    torch.testing.assert_close(found[-1], TARGET.expand(2, 3), atol=1e-2, rtol=0)


def test_a_condition_that_gets_steeper_lowers_the_scale_from_then_on() -> None:
    steeper = Objective(lambda code: code[:, None, None, :], priors.NoPrior(), [Term("up", lambda x: x.flatten(1).exp().sum(1))])
    sampler = Adaptive(0.0, 0.3)
    states = [state for state, _ in chain.run(sampler, steeper, sampler.init(torch.zeros(1, 3), [0]), 5)]
    steepest = torch.cat([state.carry["steepest"] for state in states])
    assert bool((steepest.diff() > 0).all())
    torch.testing.assert_close(
        torch.cat([states[0].code, *[b.code - a.code for a, b in zip(states, states[1:], strict=False)]]), torch.full((5, 3), 0.3)
    )


def test_with_the_scale_it_found_it_is_the_sampler_of_eq_11() -> None:
    adaptive, world = Adaptive(0.1, 0.3, 0.05), objective(1.0, priors.Gaussian())
    start = torch.zeros(1, 3, dtype=torch.float64)
    after, _ = adaptive.step(adaptive.init(start, [5]), world)
    langevin = Langevin(0.1, 0.3 / float(after.carry["steepest"]), 0.05)  # the first gradient is the steepest
    torch.testing.assert_close(codes(adaptive, world, 8, start)[-1], codes(langevin, world, 8, start)[-1])


def test_momentum_is_the_heavy_ball() -> None:
    """Prior alone, code 1 towards 0: h' = h + v', v' = m v - e h."""
    alone = Objective(lambda code: code[:, None, None, :], priors.Gaussian())
    position, velocity, wanted = 1.0, 0.0, []
    for _ in range(6):
        velocity = 0.6 * velocity - 0.2 * position
        position += velocity
        wanted.append(position)
    found = torch.cat(codes(Adaptive(0.2, 0.3, momentum=0.6), alone, 6, torch.ones(1, 1, dtype=torch.float64)))
    torch.testing.assert_close(found[:, 0], torch.tensor(wanted, dtype=torch.float64))


@pytest.mark.parametrize("momentum", [-0.1, 1.0, float("nan")])
def test_a_momentum_that_never_ends_is_refused(momentum: float) -> None:
    with pytest.raises(ValueError, match=r"expected it in \[0, 1\)"):
        Adaptive(0.1, 0.3, momentum=momentum)
    sampler = {"name": "adaptive", "prior_scale": 0.1, "step_size": 0.3, "momentum": momentum}
    with pytest.raises(ValueError, match=r"expected it in \[0, 1\)|expected a finite number"):
        ppgn.Recipe.from_json({"sampler": sampler})


def test_a_bundle_gives_one_picture_for_a_condition_in_any_unit() -> None:
    bundle = tiny_bundle()
    bundle.code = replace(bundle.code, std=torch.tensor([0.5 + 0.1 * unit for unit in range(12)]))

    def asked(weight: float) -> Tensor:
        settings = {"sampler": "adaptive", "prior": "none", "step_size": 0.2, "steps": 6, "momentum": 0.5}
        return ppgn.sample(bundle, lambda image: weight * image.mean((1, 2, 3)), count=2, **settings).images

    torch.testing.assert_close(asked(1e-3), asked(1e3), rtol=1e-3, atol=1e-3)
