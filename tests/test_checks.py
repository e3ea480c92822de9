"""Every contract check: plug-ins that pass, and for each rule a plug-in that fails it.

Faults of conditions are in test_checks_faults.py, searches without gradients in test_checks_ask_tell.py.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from ppgn import checks
from ppgn.bundle import load_bundle
from ppgn.conditions import ClassLogProb
from ppgn.objective import Objective, Term
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


def test_a_gradient_that_jumps_where_a_chain_alone_is_rounded_otherwise_passes():
    image = make_image().float()
    kink = brightness(image)[1]

    def rounded(image):
        brighter = brightness(image) - kink + (1e-8 if len(image) > 1 else -1e-8)
        return brightness(image) + brighter.relu()

    together, alone = (torch.func.grad(lambda image: rounded(image).sum())(batch) for batch in (image, image[1:2]))
    assert float((together[1] - alone[0]).abs().max()) > 0.4 * float(together.max())
    checks.check_condition(rounded, image)


def test_a_class_condition_of_the_shipped_encoder_passes_in_single_precision():
    bundle = load_bundle("imagenette64")
    network = bundle.encoder
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    checks.check_condition(ClassLogProb(lambda image: network.logits_from_code(network(image)), 2), images)


@pytest.mark.parametrize(("image", "pixels"), [(255 * make_image(), "to 254|to 255"), (2 * make_image() - 1, "from -")])
def test_images_of_another_range_are_refused_as_such(image, pixels):
    with pytest.raises(
        ValueError, match=rf"got an image with pixels .*({pixels}).* the wrong range, expected pixels in \[0, 1\]"
    ):
        checks.check_condition(brightness, image)


def test_images_that_are_not_finite_are_refused_as_such():
    with pytest.raises(ValueError, match="got an image with infinity or NaN"):
        checks.check_condition(brightness, make_image() / 0)


def test_an_error_of_the_condition_itself_stays_as_it_is():
    with pytest.raises(KeyError, match="nothing"):
        checks.check_condition(lambda image: {}["nothing"], make_image())


def test_a_check_inside_inference_mode_says_the_same():
    with torch.inference_mode():
        checks.check_condition(brightness, make_image())
        with pytest.raises(ValueError, match="changed its input in place"):
            checks.check_condition(lambda image: brightness(image.clamp_(0, 1)), make_image())


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
        (lambda code, image: torch.randn_like(code), "random or .* differs by .* between two calls"),
        (
            lambda code, image: code.mean(0, keepdim=True) - code,
            "depend on each other: .* between a chain alone and in the batch",
        ),
        (lambda code, image: code / len(code), "depends on how many chains run: .* divide"),
        (lambda code, image: code.neg_(), "changed its input in place"),
        (
            Denoiser(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).double()),
            r"dropout left on: its module 'network\.1'.* call eval",
        ),
        (Denoiser(nn.Sequential(nn.BatchNorm1d(2)).double()), r"BatchNorm in train mode: its module 'network\.0'.* call eval"),
        (Denoiser(nn.Linear(2, 2, device="meta")), r"device mismatch: its module 'network' .Linear. is on meta"),
        (Gaussian(torch.zeros(2, device="meta")), r"device mismatch: it holds 'mean' on meta"),
    ],
)
def test_a_prior_that_breaks_a_rule_is_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        checks.check_prior(prior, make_code(), as_image(make_code()))


def made_by(layer):
    return nn.Sequential(layer, nn.Unflatten(1, (1, 1, 2))).double()


def test_good_generators_pass():
    checks.check_generator(lambda code: make_world().generator(code).sigmoid(), make_code())
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
        (lambda code: as_image(code) + torch.rand(()), "random or .* differs by .* between two calls"),
        (lambda code: as_image(code) - code.mean(), "depend on each other: .* between a chain alone and in the batch"),
        (lambda code: as_image(code) / len(code), "depends on how many chains run: .* divide"),
        (lambda code: as_image(code)[..., : len(code)], r"returned shapes \(3, 1, 1, 1\) and \(3, 1, 1, 2\)"),
        (lambda code: as_image(code.mul_(2)), "changed its input in place"),
        (lambda code: as_image(code).tanh(), r"pixels from -0\.\d+ to 0\.\d+, the wrong range.*\(x \+ 1\) / 2 after a tanh"),
        (lambda code: 255 * as_image(code).sigmoid(), r"pixels from 7\d\.\d to 18\d, the wrong range.*divide by 255"),
        (made_by(nn.BatchNorm1d(2)), "BatchNorm in train mode: its module '0' .* call eval"),
        (made_by(nn.Dropout(0.5)), "dropout left on: its module '0' .* call eval"),
        (made_by(nn.Linear(2, 2, device="meta")), "device mismatch: its module '0' .Linear. is on meta"),
        (lambda code, bias=torch.ones(1, 1, 2, device="meta").double(): as_image(code) + bias, "it holds 'bias' on meta"),
    ],
)
def test_a_generator_that_breaks_a_rule_is_refused(generator, message):
    with pytest.raises(ValueError, match=message):
        checks.check_generator(generator, make_code())


class Wrapped:
    """A good sampler to break, one rule per subclass."""

    inner = Langevin(0.1, 0.05, 0.3)

    def init(self, code, seeds):
        return self.inner.init(code, seeds)

    def step(self, state, objective):
        return self.inner.step(state, objective)


class ForgetsSeeds(Wrapped):
    def init(self, code, seeds):
        return self.inner.init(code, [0] * len(seeds))


class ReturnsCodes(Wrapped):
    def init(self, code, seeds):
        return code


class DoesNotCount(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        return replace(after, step=state.step), evaluation


class WorksInPlace(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        state.code.copy_(after.code)
        return after, evaluation


class EvaluatesLate(Wrapped):
    def step(self, state, objective):
        after, _ = super().step(state, objective)
        return after, objective.evaluate(after.code)


class KeepsItsObjective(Wrapped):
    def step(self, state, objective):
        return super().step(state, make_world().objective())


class DrawsFromTorch(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        return replace(after, code=after.code + torch.randn_like(after.code)), evaluation


class RemembersOutsideTheState(Wrapped):
    momentum: torch.Tensor | float = 0.0

    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        self.momentum = after.code - state.code + (0.5 * self.momentum if state.step else 0.0)
        return replace(after, code=state.code + self.momentum), evaluation


class MixesChains(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        return replace(after, code=after.code - after.code.mean(0)), evaluation


class DividesByChains(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        return replace(after, code=after.code / len(after.code)), evaluation


class Diverges(Wrapped):
    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        return replace(after, code=after.code / 0), evaluation


class CarriesMomentum(Wrapped):
    def init(self, code, seeds):
        return replace(super().init(code, seeds), carry={"momentum": torch.zeros_like(code)})

    def step(self, state, objective):
        after, evaluation = super().step(state, objective)
        momentum = 0.5 * state.carry["momentum"] + after.code - state.code
        return replace(after, code=state.code + momentum, carry={"momentum": momentum}), evaluation


class AddsToItsMomentum(CarriesMomentum):
    def step(self, state, objective):
        state.carry["momentum"].add_(1)
        return super().step(state, objective)


@pytest.mark.parametrize("sampler", [Wrapped(), CarriesMomentum()])
def test_a_good_sampler_passes(sampler):
    checks.check_sampler(sampler, make_world().objective(), make_code(), tolerance=1e-10)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (ForgetsSeeds(), r"init returned .* seeds \(0, 0, 0\)"),
        (ReturnsCodes(), "init returned Tensor, expected a ChainState"),
        (DoesNotCount(), "step returned .* step 0"),
        (WorksInPlace(), "changed the code of the state"),
        (AddsToItsMomentum(), "changed the carried 'momentum' of the state"),
        (EvaluatesLate(), "evaluation of another code"),
        (KeepsItsObjective(), r"did not evaluate the objective it was given, expected objective\.evaluate\(state\.code\)"),
        (DrawsFromTorch(), "differs by .* between two runs.* draw noise only by ppgn.seeds.normal"),
        (RemembersOutsideTheState(), "between a resumed and an uninterrupted run.* into the carry"),
        (MixesChains(), "depend on each other: it differs by .* between a chain alone and in the batch"),
        (DividesByChains(), "depends on how many chains run: it differs by .* between a chain alone and in the batch.* divide"),
        (Diverges(), "became infinite or NaN at step 0"),
    ],
)
def test_a_sampler_that_breaks_a_rule_is_refused(sampler, message):
    with pytest.raises(ValueError, match=message):
        checks.check_sampler(sampler, make_world().objective(), make_code())


@pytest.mark.parametrize(
    "check",
    [
        lambda code: checks.check_condition(brightness, as_image(code)),
        lambda code: checks.check_prior(Gaussian(), code, as_image(code)),
        lambda code: checks.check_generator(as_image, code),
        lambda code: checks.check_sampler(Wrapped(), make_world().objective(), code),
    ],
)
def test_one_chain_is_too_few_to_check_independence(check):
    with pytest.raises(ValueError, match="expected at least two chains"):
        check(make_code()[:1])


def judged_by(layer):
    """An objective whose condition runs the layer, in train mode where the layer has one."""
    judge = nn.Sequential(nn.Flatten(), layer, nn.Linear(3, 1), nn.Flatten(0)).double()
    return Objective(make_world().generator, Gaussian(), [Term("judge", judge)])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            nn.BatchNorm1d(3),
            r"the sampler has BatchNorm in train mode: its module 'objective\.terms\.0\.condition\.1' .* call eval",
        ),
        (nn.Dropout(0.5), r"the sampler has dropout left on: its module 'objective\.terms\.0\.condition\.1' .* call eval"),
        (nn.Linear(3, 3, device="meta"), r"the sampler has a device mismatch: its module 'objective\.terms\.0\.condition\.1'"),
    ],
)
def test_a_network_that_a_sampler_runs_is_named_with_its_fault(layer, message):
    with pytest.raises(ValueError, match=message):
        checks.check_sampler(Langevin(0.1, 0.05, 0.3), judged_by(layer), make_code())


def test_a_sampler_that_leaves_gradients_in_weights_is_refused():
    judge = nn.Sequential(nn.Flatten(), nn.Linear(3, 1), nn.Flatten(0)).double()

    class CallsBackward(Wrapped):
        def step(self, state, objective):
            judge(make_world().generator(state.code)).sum().backward()
            return super().step(state, objective)

    with pytest.raises(ValueError, match=r"the sampler left a gradient behind in the \.grad of 'sampler\.judge\.1\.weight'"):
        checks.check_sampler(CallsBackward(), make_world().objective(), make_code())
