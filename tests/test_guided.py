"""Starts guided by the head in code space: the flow, its guidance, and who can be asked."""

from __future__ import annotations

import math

import pytest
import torch
from conftest import tiny_bundle
from test_noise_level import untrained
from torch import Tensor

import ppgn
from ppgn import recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import LogSoftmax
from ppgn.networks import NoiseLevelDenoiser
from ppgn.probe import Passes
from ppgn.starts import GuidedCodes
from ppgn.types import CodeSpace

SPACE = CodeSpace((400,))


def exact_gaussian() -> NoiseLevelDenoiser:
    """The score model of codes N(2, 3^2): D(z; s) = z / (1 + s^2) of standardised codes, in closed form."""
    network = untrained(code_size=SPACE.shape[0])
    torch.nn.init.zeros_(network.last.bias)
    network.mean, network.std = torch.full(SPACE.shape, 2.0), torch.full(SPACE.shape, 3.0)
    return network


def drawn(start: GuidedCodes, chains: int = 50) -> Tensor:
    return start.draw(range(chains), range(1), SPACE, Passes({"noise_level": exact_gaussian()}))[0]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The tiny bundle with a score model, and a head that tells classes by single units of the code."""
    made = tiny_bundle()
    made.parts["noise_level"] = untrained(code_size=12)
    made.encoder.logits_from_code = lambda code: 3 * code[:, :4]
    return made


def expected_std(steps: int, churn: float) -> float:
    """Of standardised draws: a linear D makes every step a factor, after the noise that it adds."""
    levels = exact_gaussian().levels(steps).tolist()
    variance = levels[0] ** 2
    for level, following in zip(levels, levels[1:], strict=False):
        noise = churn * level if 0.05 <= level <= 5 else 0.0
        raised = math.hypot(level, noise)
        shrink = 1 / (1 + raised**2)
        variance = (variance + noise**2) * (shrink + (1 - shrink) * following / raised) ** 2
    return math.sqrt(variance)


@pytest.mark.parametrize(("steps", "churn"), [(25, 0.0), (60, 0.0), (60, 0.2), (60, 0.6)])
def test_draws_of_a_gaussian_have_the_spread_of_the_closed_form(steps: int, churn: float) -> None:
    draws = (drawn(GuidedCodes(guidance=0.0, steps=steps, churn=churn)) - 2) / 3
    expected = expected_std(steps, churn)
    assert abs(float(draws.mean())) < 0.02 * expected
    assert abs(float(draws.std()) / expected - 1) < 0.02  # 20,000 numbers
    assert abs(expected - 1) < 0.1


def test_guidance_makes_the_head_surer_of_what_each_chain_is_asked_for(bundle: Bundle) -> None:
    sure = []
    for guidance in (0.0, 1.0, 6.0):
        changes = {"start": "guided", "start_guidance": guidance, "start_steps": 20}
        made = ppgn.sample(bundle, [0, 1, 2, 3] * 3, seed=list(range(12)), steps=1, **changes)
        log_prob = bundle.encoder.logits_from_code(made.codes).log_softmax(1)
        sure.append(float(log_prob[range(12), [0, 1, 2, 3] * 3].mean()))
    assert sure[0] < sure[1] < sure[2]


def test_guidance_turns_codes_and_does_not_lengthen_them() -> None:
    """Of N(2, 3^2), with a head that prefers long codes; without the scaling they would be several times as long."""

    def towards_long(measure: LogSoftmax) -> object:
        return lambda code: code.sum(1)

    passes = Passes({"noise_level": exact_gaussian()})
    passes.code_condition = towards_long  # type: ignore[assignment]
    free, guided = (GuidedCodes(guidance=one).draw(range(50), range(1), SPACE, passes)[0] for one in (0.0, 3.0))
    assert float(guided.mean()) > float(free.mean()) + 1
    lengths = [((codes - 2) / 3).norm(dim=1).mean() for codes in (guided, free)]
    assert float(lengths[0]) < 1.1 * float(lengths[1])


def test_a_chain_begins_at_the_same_code_alone_and_in_a_batch(bundle: Bundle) -> None:
    together = ppgn.sample(bundle, [3, 1, 0], seed=[5, 6, 7], start="guided", start_steps=10, steps=1)
    alone = ppgn.sample(bundle, [1], seed=[6], start="guided", start_steps=10, steps=1)
    torch.testing.assert_close(together.codes[1:2], alone.codes, rtol=1e-5, atol=1e-5)


def test_several_draws_differ_and_one_is_chosen(bundle: Bundle) -> None:
    first, chosen = (ppgn.sample(bundle, 2, count=6, start="guided", start_steps=8, draws=draws, steps=1) for draws in (1, 6))
    assert not torch.equal(first.codes, chosen.codes)
    assert float(chosen.log_prob.mean()) >= float(first.log_prob.mean())


def test_a_sum_of_classes_is_read_off_the_code_with_its_weights(bundle: Bundle) -> None:
    request = requests.weighted([requests.classes(bundle, 0), requests.classes(bundle, 1)], [1.0, -0.5])
    code, passes = torch.rand(1, 12), Passes(bundle.parts)
    found = request.code_condition(passes)
    assert found is not None
    log_prob = (3 * code[:, :4] / 2).log_softmax(1)[0]
    torch.testing.assert_close(found(LogSoftmax(2.0))(code), (log_prob[0] - 0.5 * log_prob[1])[None])


def test_what_only_pictures_tell_is_refused_unless_nothing_guides(bundle: Bundle) -> None:
    def bright(image: Tensor) -> Tensor:
        return image.mean((1, 2, 3))

    with pytest.raises(ValueError, match=r"only pictures answer.*choose start noise_level"):
        ppgn.sample(bundle, bright, count=2, start="guided", steps=1)
    assert ppgn.sample(bundle, bright, count=2, start="guided", start_guidance=0.0, steps=1).codes.isfinite().all()


@pytest.mark.parametrize("wrong", [{"guidance": -1.0}, {"temperature": 0.0}, {"steps": 0}, {"churn": float("nan")}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a guided start got"):
        GuidedCodes(**wrong)  # type: ignore[arg-type]


def test_a_recipe_holds_its_settings() -> None:
    recipe = recipes.Recipe(start=GuidedCodes(guidance=3.0))
    assert recipe.to_json()["start"] == {"name": "guided", "guidance": 3.0, "temperature": 3.0, "steps": 60, "churn": 0.2}
    assert recipes.Recipe.from_json(recipe.to_json()) == recipe
