"""Every contract check: plug-ins that pass, and for each rule one that fails it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ppgn import checks
from ppgn.priors import Denoiser, Gaussian
from ppgn.samplers import Langevin
from ppgn.toy import LinearWorld


def make_world() -> LinearWorld:
    matrix = torch.tensor([[1.0, 0.5], [0.3, -1.0], [0.0, 0.4]], dtype=torch.float64)
    return LinearWorld(matrix, torch.tensor([0.4, -0.1, 0.9], dtype=torch.float64), noise_std=0.5, prior_std=0.8)


def make_code() -> torch.Tensor:
    return torch.sin(1 + torch.arange(6, dtype=torch.float64)).reshape(3, 2)


def make_image() -> torch.Tensor:
    return (0.5 + 0.5 * torch.cos(torch.arange(36, dtype=torch.float64))).reshape(3, 3, 2, 2)


def brightness(image):
    return image.mean((1, 2, 3))


def as_image(code):
    return code.reshape(len(code), 1, 1, -1)


def test_a_good_condition_passes():
    checks.check_condition(brightness, make_image())


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda image: image.mean(), r"returned shape \(\), expected \(3,\)"),
        (lambda image: image.mean((2, 3)), r"returned shape \(3, 3\), expected \(3,\)"),
        (lambda image: 0.5, "returned float, expected a tensor"),
        (lambda image: brightness(image).log() / 0, "returned infinity or NaN for chain 0"),
        (lambda image: brightness(image.detach()), "not connected to the image"),
        (lambda image: brightness((image * 0).abs().sqrt()), "infinite or NaN gradient to the image"),
        (lambda image: brightness(image.round()), "gradient of exactly 0 to the image"),
        (lambda image: brightness(image) + torch.rand(()), "differs by .* between two calls"),
        (lambda image: brightness(image) / len(image), "differs by .* between a chain alone and in the batch"),
        (
            lambda image: brightness(image - image.mean(0, keepdim=True)),
            "differs by .* between a chain alone and in the batch",
        ),
        (lambda image: image.mean((1, 2, 3)).squeeze(), r"returned shape \(\) for one chain.* do not squeeze"),
        (lambda image: brightness(image.mul_(2)), "changed its input"),
    ],
)
def test_a_condition_that_breaks_a_rule_is_refused(condition, message):
    with pytest.raises(ValueError, match=message):
        checks.check_condition(condition, make_image())


def test_a_condition_whose_gradient_alone_depends_on_the_batch_is_refused():
    def averaged_gradient(image):
        value = brightness(image)
        return value.detach() + (value - value.detach()) / len(image)

    with pytest.raises(ValueError, match="gradient of the condition differs by .* alone and in the batch"):
        checks.check_condition(averaged_gradient, make_image())


def test_batch_norm_in_train_mode_is_refused_and_in_eval_mode_passes():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 1), nn.Flatten(0)).double()
    with pytest.raises(ValueError, match="alone and in the batch .* call eval"):
        checks.check_condition(network.train(), make_image())
    checks.check_condition(network.eval(), make_image())


def test_good_priors_pass():
    code = make_code()
    for prior in (Gaussian(1.0, 0.5), Denoiser(lambda code: 0.9 * code)):
        checks.check_prior(prior, code, as_image(code))


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (lambda code, image: code.sum(1), r"returned shape \(3,\), expected the code's \(3, 2\)"),
        (lambda code, image: None, "returned NoneType, expected a tensor"),
        (lambda code, image: code / 0, "returned infinity or NaN for chain 0"),
        (lambda code, image: torch.randn_like(code), "differs by .* between two calls"),
        (lambda code, image: code.mean(0, keepdim=True) - code, "differs by .* between a chain alone and in the batch"),
        (lambda code, image: code.neg_(), "changed its input"),
    ],
)
def test_a_prior_that_breaks_a_rule_is_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        checks.check_prior(prior, make_code(), as_image(make_code()))


def test_good_generators_pass():
    checks.check_generator(make_world().generator, make_code())
    checks.check_generator(lambda code: as_image(code).softmax(-1), make_code())


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda code: code, r"returned shape \(3, 2\), expected \[3, channel, height, width\]"),
        (lambda code: code.reshape(1, 1, 3, 2), r"returned shape \(1, 1, 3, 2\), expected \[3,"),
        (lambda code: as_image(code).tolist(), "returned list, expected a tensor"),
        (lambda code: as_image(code) / 0, "returned infinity or NaN for chain 0"),
        (lambda code: as_image(code).detach(), "not connected to the code"),
        (lambda code: as_image(code * 0).abs().sqrt(), "infinite or NaN gradient to the code"),
        (lambda code: as_image(code).round(), "gradient of exactly 0 to the code"),
        (lambda code: as_image(code) + torch.rand(()), "differs by .* between two calls"),
        (lambda code: as_image(code) - code.mean(), "differs by .* between a chain alone and in the batch"),
        (lambda code: as_image(code)[..., : len(code)], r"returned shapes \(3, 1, 1, 1\) and \(3, 1, 1, 2\)"),
        (lambda code: as_image(code.mul_(2)), "changed its input"),
    ],
)
def test_a_generator_that_breaks_a_rule_is_refused(generator, message):
    with pytest.raises(ValueError, match=message):
        checks.check_generator(generator, make_code())


class Wrapped:
    """A good sampler to break, one rule per subclass."""

    def __init__(self):
        self.inner = Langevin(make_world().objective(), 0.1, 0.05, 0.3)

    def init(self, code, seeds):
        return self.inner.init(code, seeds)

    def step(self, state):
        return self.inner.step(state)


class ForgetsSeeds(Wrapped):
    def init(self, code, seeds):
        return self.inner.init(code, [0] * len(seeds))


class DoesNotCount(Wrapped):
    def step(self, state):
        after, evaluation = self.inner.step(state)
        return replace(after, step=state.step), evaluation


class WorksInPlace(Wrapped):
    def step(self, state):
        after, evaluation = self.inner.step(state)
        state.code.copy_(after.code)
        return after, evaluation


class EvaluatesLate(Wrapped):
    def step(self, state):
        after, _ = self.inner.step(state)
        return after, self.inner.objective.evaluate(after.code)


class DrawsFromTorch(Wrapped):
    def step(self, state):
        after, evaluation = self.inner.step(state)
        return replace(after, code=after.code + torch.randn_like(after.code)), evaluation


class RemembersOutsideTheState(Wrapped):
    momentum: torch.Tensor | float = 0.0

    def step(self, state):
        after, evaluation = self.inner.step(state)
        self.momentum = after.code - state.code + (0.5 * self.momentum if state.step else 0.0)
        return replace(after, code=state.code + self.momentum), evaluation


class MixesChains(Wrapped):
    def step(self, state):
        after, evaluation = self.inner.step(state)
        return replace(after, code=after.code - after.code.mean(0)), evaluation


class Diverges(Wrapped):
    def step(self, state):
        after, evaluation = self.inner.step(state)
        return replace(after, code=after.code / 0), evaluation


class CarriesMomentum(Wrapped):
    def init(self, code, seeds):
        return replace(self.inner.init(code, seeds), carry={"momentum": torch.zeros_like(code)})

    def step(self, state):
        after, evaluation = self.inner.step(state)
        momentum = 0.5 * state.carry["momentum"] + after.code - state.code
        return replace(after, code=state.code + momentum, carry={"momentum": momentum}), evaluation


@pytest.mark.parametrize("sampler", [Wrapped(), CarriesMomentum()])
def test_a_good_sampler_passes(sampler):
    checks.check_sampler(sampler, make_code(), tolerance=1e-10)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (ForgetsSeeds(), r"init returned .* seeds \(0, 0, 0\)"),
        (DoesNotCount(), "step returned .* step 0"),
        (WorksInPlace(), "changed the code of the state"),
        (EvaluatesLate(), "evaluation of another code"),
        (DrawsFromTorch(), "differs by .* between two runs"),
        (RemembersOutsideTheState(), "between a resumed and an uninterrupted run"),
        (MixesChains(), "differs by .* between a chain alone and in the batch"),
        (Diverges(), "became infinite or NaN at step 0"),
    ],
)
def test_a_sampler_that_breaks_a_rule_is_refused(sampler, message):
    with pytest.raises(ValueError, match=message):
        checks.check_sampler(sampler, make_code())


@pytest.mark.parametrize(
    "check",
    [
        lambda one: checks.check_condition(brightness, as_image(one)),
        lambda one: checks.check_prior(Gaussian(), one, as_image(one)),
        lambda one: checks.check_generator(as_image, one),
        lambda one: checks.check_sampler(Wrapped(), one),
    ],
)
def test_one_chain_is_too_few_to_check_independence(check):
    with pytest.raises(ValueError, match="expected at least two chains"):
        check(make_code()[:1])
