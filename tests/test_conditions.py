"""Class conditions against finite differences and against the formula of the released code."""

import pytest
import torch
from torch import nn

from ppgn.checks import check_condition
from ppgn.conditions import ClassLogProb, ReleasedClass


def make_network() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 5)).double()
    for index, weight in enumerate(network.parameters()):
        weight.data = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) + index).reshape(weight.shape)
    return network


def make_image(chains: int = 3) -> torch.Tensor:
    return (0.5 + 0.5 * torch.cos(torch.arange(chains * 12, dtype=torch.float64))).reshape(chains, 3, 2, 2)


def gradient_of(condition, image: torch.Tensor) -> torch.Tensor:
    leaf = image.clone().requires_grad_()
    return torch.autograd.grad(condition(leaf).sum(), leaf)[0]


@pytest.mark.parametrize("condition_class", [ClassLogProb, ReleasedClass])
@pytest.mark.parametrize("target", [2, [4, 0, 2]])
def test_the_value_is_the_log_of_the_softmax_at_the_target(condition_class, target):
    network, image = make_network(), make_image()
    targets = [2, 2, 2] if target == 2 else target
    expected = network(image).softmax(1)[range(3), targets].log()
    assert torch.allclose(condition_class(network, target)(image), expected, rtol=0, atol=1e-12)


def test_the_class_gradient_agrees_with_finite_differences():
    condition, image, width = ClassLogProb(make_network(), [4, 0, 2]), make_image(), 1e-5
    numeric = torch.zeros(3, 12, dtype=torch.float64)
    for pixel in range(12):
        shift = torch.zeros(3, 12, dtype=torch.float64)
        shift[:, pixel] = width
        shift = shift.reshape(3, 3, 2, 2)
        numeric[:, pixel] = (condition(image + shift) - condition(image - shift)).detach() / (2 * width)
    assert torch.allclose(gradient_of(condition, image).reshape(3, 12), numeric, rtol=0, atol=1e-8)


def test_the_released_gradient_is_one_minus_p_times_that_of_the_targets_logit():
    network, image, targets = make_network(), make_image(), [4, 0, 2]
    leaf = image.clone().requires_grad_()
    logits = network(leaf)
    logit_gradient = torch.autograd.grad(logits[range(3), targets].sum(), leaf)[0]
    p = logits.detach().softmax(1)[range(3), targets]
    expected = (1 - p)[:, None, None, None] * logit_gradient
    got = gradient_of(ReleasedClass(network, targets), image)
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    assert not torch.allclose(got, gradient_of(ClassLogProb(network, targets), image), atol=1e-3)


def test_with_two_opposed_logits_the_true_gradient_is_twice_the_released_one():
    def opposed(image):
        score = image.sum((1, 2, 3))
        return torch.stack([score, -score], 1)

    image = make_image()
    true, released = gradient_of(ClassLogProb(opposed, 0), image), gradient_of(ReleasedClass(opposed, 0), image)
    assert torch.allclose(true, 2 * released, rtol=0, atol=1e-12)


@pytest.mark.parametrize("condition_class", [ClassLogProb, ReleasedClass])
def test_class_conditions_keep_the_contract(condition_class):
    check_condition(condition_class(make_network(), 3), make_image(), tolerance=1e-10)


@pytest.mark.parametrize("condition_class", [ClassLogProb, ReleasedClass])
@pytest.mark.parametrize(
    ("target", "message"),
    [
        (5, "target 5, expected 0 to 4"),
        (-1, "target -1, expected 0 to 4"),
        ([0, 1, 7], "target 7, expected 0 to 4"),
        ([0, 1], "2 targets for 3 chains"),
    ],
)
def test_a_target_that_does_not_fit_network_or_batch_is_refused(condition_class, target, message):
    with pytest.raises(ValueError, match=message):
        condition_class(make_network(), target)(make_image())


@pytest.mark.parametrize("condition_class", [ClassLogProb, ReleasedClass])
@pytest.mark.parametrize("target", ["church", 1.5, [0, 0.5], None])
def test_a_target_that_is_no_int_is_refused_when_the_condition_is_made(condition_class, target):
    with pytest.raises(ValueError, match="expected an int or one int per chain"):
        condition_class(make_network(), target)


@pytest.mark.parametrize("condition_class", [ClassLogProb, ReleasedClass])
@pytest.mark.parametrize("network", [nn.Identity(), nn.Flatten(0), nn.Flatten(0, 1)])
def test_a_network_without_one_row_of_logits_per_image_is_refused(condition_class, network):
    with pytest.raises(ValueError, match=r"expected \[chain, class\] with 3 chains"):
        condition_class(network, 0)(make_image())
