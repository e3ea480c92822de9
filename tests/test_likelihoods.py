"""Regressors and attributes as conditions: closed forms, what torch's own distributions say, and errors."""

import math

import pytest
import torch
from tiny_text_models import assert_gradient, gradient_of, image
from torch import distributions, nn

from ppgn.checks import check_condition
from ppgn.conditions import And, BernoulliLikelihood, ClassLogProb, GaussianLikelihood, Not


def network(outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 6), nn.Tanh(), nn.Linear(6, outputs)).double()


def one_number(pixels: torch.Tensor) -> torch.Tensor:
    return 100 * pixels.mean((1, 2, 3))


@pytest.mark.parametrize(
    ("target", "std", "index"),
    [
        ([0.1, 0.2, 0.3], 0.5, None),
        (torch.arange(6.0).reshape(2, 3), 0.5, None),
        (0.4, torch.tensor([0.1, 1.0, 10.0]), None),
        (0.4, 2.0, 1),
        ([0.4, -0.3], 2.0, 2),
    ],
)
def test_the_gaussian_value_is_torchs_log_density_less_that_at_the_mean(target, std, index) -> None:
    pixels, regressor = image(2), network()
    output = regressor(pixels) if index is None else regressor(pixels)[:, index, None]
    wanted = torch.as_tensor(target, dtype=torch.float64)
    wanted = wanted[:, None] if index is not None and wanted.ndim else wanted
    normal = distributions.Normal(output, torch.as_tensor(std, dtype=torch.float64))
    expected = (normal.log_prob(wanted) - normal.log_prob(output)).sum(1)
    found = GaussianLikelihood(regressor, target, std, index)(pixels)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_a_gaussian_is_zero_at_the_target_and_minus_a_half_one_std_from_it() -> None:
    pixels = torch.stack([torch.full((3, 8, 8), value, dtype=torch.float64) for value in (0.4, 0.45, 0.3)])
    found = GaussianLikelihood(one_number, 40, 5)(pixels)
    assert torch.allclose(found, torch.tensor([0.0, -0.5, -2.0], dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_gaussian_takes_one_target_per_chain_for_a_network_of_one_number() -> None:
    pixels = torch.full((3, 3, 8, 8), 0.4, dtype=torch.float64)
    found = GaussianLikelihood(one_number, [40, 45, 30], 5)(pixels)
    assert torch.allclose(found, torch.tensor([0.0, -0.5, -2.0], dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_bernoulli_value_is_the_sum_of_torchs_log_probabilities() -> None:
    pixels, attributes = image(3), network(5)
    bernoulli = distributions.Bernoulli(logits=attributes(pixels)[:, [1, 4]])
    expected = bernoulli.log_prob(torch.tensor([1.0, 0.0], dtype=torch.float64)).sum(1)
    found = BernoulliLikelihood(attributes, {1: True, 4: False})(pixels)
    assert torch.allclose(found, expected, rtol=0, atol=1e-12)


def test_each_chain_may_want_other_attributes() -> None:
    pixels, attributes = image(3), network(5)
    asked = [{0: True}, {0: False, 3: True}, {4: False}]
    expected = [BernoulliLikelihood(attributes, one)(pixels)[chain] for chain, one in enumerate(asked)]
    assert torch.equal(BernoulliLikelihood(attributes, asked)(pixels), torch.stack(expected))


@pytest.mark.parametrize(("logit", "there", "value", "slope"), [
    (1e4, True, 0.0, 0.0), (-1e4, True, -1e4, 1.0), (1e4, False, -1e4, -1.0), (-1e4, False, 0.0, 0.0),
    (0.0, True, -math.log(2), 0.5),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_bernoulli_is_exact_at_logits_of_ten_thousand(logit, there, value, slope, dtype) -> None:
    pixels = torch.zeros(1, 1, 1, 1, dtype=dtype)
    condition = BernoulliLikelihood(lambda seen: seen.flatten(1) + logit, {0: there})
    assert condition(pixels).item() == pytest.approx(value, abs=1e-6)
    assert gradient_of(condition, pixels).item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_a_gaussian_is_finite_ten_thousand_std_away(value) -> None:
    pixels = torch.zeros(1, 1, 1, 1)
    condition = GaussianLikelihood(lambda seen: seen.flatten(1) + value, 0.0, 1.0)
    assert condition(pixels).item() == pytest.approx(-5e7)
    assert gradient_of(condition, pixels).item() == pytest.approx(-value)


CONDITIONS = {
    "gaussian": lambda: GaussianLikelihood(network(), [0.1, 0.5, -0.2], 0.3),
    "gaussian of one": lambda: GaussianLikelihood(network(), 0.7, 0.3, index=1),
    "bernoulli": lambda: BernoulliLikelihood(network(), {0: True, 2: False}),
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_likelihoods_keep_the_contract_and_their_gradient_agrees_with_finite_differences(kind) -> None:
    condition, pixels = CONDITIONS[kind](), image(2)
    check_condition(condition, pixels, tolerance=1e-10)
    assert_gradient(condition, pixels)


def test_likelihoods_combine_with_classes_and_with_not() -> None:
    classifier, pixels = network(), image(2)
    gaussian, smiling, third = CONDITIONS["gaussian"](), CONDITIONS["bernoulli"](), ClassLogProb(classifier, 2)
    both = And(gaussian, smiling, third)(pixels)
    assert torch.equal(both, gaussian(pixels) + smiling(pixels) + third(pixels))
    for part in (gaussian, smiling):
        assert torch.allclose(Not(part)(pixels).exp() + part(pixels).exp(), torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLikelihood(network(), 0.0, 0.0), "a Gaussian likelihood got std 0.0"),
        (
            lambda: GaussianLikelihood(network(), [0.0, 1.0], 1.0)(image(3)),
            r"a target of shape \(2,\), expected a number, \(3,\)",
        ),
        (lambda: GaussianLikelihood(network(), [0.0, 1.0], 1.0, 1)(image(3)), r"shape \(2,\)"),
        (lambda: GaussianLikelihood(network(), 0.0, 1.0, 3)(image(3)), "output 3, expected 0 to 2"),
        (lambda: GaussianLikelihood(nn.Identity(), 0.0, 1.0)(image(3)), r"expected \[3\] or \[3, output\]"),
        (lambda: BernoulliLikelihood(network(), {}), "at least one"),
        (lambda: BernoulliLikelihood(network(), {1: 0.5}), "with True or False"),  # pyright: ignore[reportArgumentType]
        (lambda: BernoulliLikelihood(network(), {"smiling": True}), "expected whole numbers"),  # pyright: ignore[reportArgumentType]
        (lambda: BernoulliLikelihood(network(), {3: True})(image(3)), "output 3, expected 0 to 2"),
        (lambda: BernoulliLikelihood(network(), {-1: True})(image(3)), "output -1, expected 0 to 2"),
        (lambda: BernoulliLikelihood(network(), [{1: True}] * 2)(image(3)), "2 targets for 3 chains"),
        (lambda: BernoulliLikelihood(network(), [{1: True}, {}]), "at least one"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_sentence(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()
