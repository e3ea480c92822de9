"""Every public prior, condition, sampler and recipe keeps the contracts, alone and with every other, in float64.

A chain is the same twice, alone and in a batch, resumed and uninterrupted (`ppgn.checks`); the gradient of a condition is that of
finite differences. The names are those that the rooms export: a new plug-in has no case here and fails until it gets one.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import tiny_bundle, tiny_parts
from test_checks_ask_tell import HillClimbing
from test_noise_level import untrained
from torch import Tensor, nn

from ppgn import conditions, priors, recipes, requests, samplers
from ppgn.bundle import Bundle
from ppgn.checks import check_condition, check_generator, check_prior, check_sampler
from ppgn.conditions import ClassLogit, ClassLogProb
from ppgn.generators import PICTURE_GENERATORS
from ppgn.networks import MARKS, Captioner, CaptionerConfig, PixelDenoiser, PixelDenoiserConfig
from ppgn.objective import Objective, Term
from ppgn.probe import Layer, Probe
from ppgn.types import Code, CodeSpace, Evaluation, Image, LogProb, Sampler

TOLERANCE = 1e-9  # relative, of float64 after 4 steps


def wave(*shape: int, phase: float = 0.0) -> Tensor:
    """Numbers in [0, 1] without a pattern."""
    count = torch.Size(shape).numel()
    return (0.5 + 0.5 * torch.cos(torch.arange(count, dtype=torch.float64) ** 1.5 + phase)).reshape(shape)


def make_network() -> nn.Sequential:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)]
    network = nn.Sequential(*layers).double().eval().requires_grad_(False)
    for index, weight in enumerate(network.parameters()):
        weight.copy_(torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 1.7 + index).reshape(weight.shape))
    return network


def make_captioner() -> Captioner:
    layers = {"widths": (4, 6), "depths": ("block0",), "channels": 3, "input_size": 4, "map_channels": 10, "map_size": 1}
    sizes = {"reduce": 3, "vector_size": 7, "embedding": 5, "hidden": 6}
    captioner = Captioner(CaptionerConfig(vocabulary=(*MARKS, "a", "red", "handbag"), **layers, **sizes))
    for index, weight in enumerate(captioner.double().eval().requires_grad_(False).parameters()):
        weight.copy_(2 * wave(*weight.shape, phase=index) - 1)
    return captioner


NETWORK = make_network()
CODE, IMAGE, PICTURE = 2 * wave(2, 3, phase=0.5) - 1, wave(3, 3, 4, 4), wave(3, 4, 4, phase=1.0)
MATRIX, BACK = 2 * wave(48, 3, phase=2.0) - 1, 0.1 * wave(48, 3, phase=3.0)
HOLE = torch.ones(4, 4, dtype=torch.bool)
HOLE[1:3, 0:2] = False


def generator(code: Code) -> Image:
    return torch.sigmoid(code @ MATRIX.T).reshape(-1, 3, 4, 4)


def encoder(image: Image) -> Code:
    return image.flatten(1) @ BACK


def denoiser(code: Code) -> Code:
    return torch.tanh(0.9 * code)


def squares(image: Image) -> LogProb:
    return -(image**2).flatten(1).sum(1)


GROUPS = {"shape": (0, 2), "colour": (2, 5)}
FIRST, SECOND = ClassLogProb(NETWORK, 1), ClassLogProb(NETWORK, 3)
PRIORS: dict[str, Any] = {
    "NoPrior": priors.NoPrior(),
    "Gaussian": priors.Gaussian(wave(3), 0.5),
    "Decay": priors.Decay(0.9),
    "Bounds": priors.Bounds(-0.25, wave(3)),
    "Denoiser": priors.Denoiser(denoiser),
    "NoiseLevel": priors.NoiseLevel(lambda code, level: code / (1 + level**2), 0.5),
    "HandMade": priors.HandMade(variation_weight=0.0, norm_weight=0.1, norm_power=4.0, mean_weight=0.2),
    "Reconstruction": priors.Reconstruction(encoder),
    "Spherical": priors.Spherical(),
    "SumOfPriors": priors.SumOfPriors([priors.Denoiser(denoiser), priors.Gaussian()], [1.0, -0.25]),
}
PRIORS_OF_PICTURES: dict[str, Any] = {"Patches": priors.Patches()}
"""Priors of codes that are pictures."""
OF_IMAGES = ("Crops", "Preprocessing", "ImageFeatures")
"""Exported beside the conditions: they make images or features of images."""
CONDITIONS: dict[str, Any] = {
    "ClassMeasure": conditions.ClassMeasure(NETWORK, 2, conditions.LogSoftmax(temperature=3.0)),
    "ClassLogProb": FIRST,
    "ClassLogit": ClassLogit(NETWORK, 2),
    "ReleasedClass": conditions.ReleasedClass(NETWORK, 1),
    "ClassesOfGroups": lambda image: conditions.ClassesOfGroups(NETWORK, [[1, 3]] * len(image), GROUPS)(image),
    "Unit": conditions.Unit(NETWORK, "0:1@centre", measure="log_softmax"),
    "Units": conditions.Units(NETWORK, ["0:2", "4:0"], weights=[1.0, -0.5]),
    "Direction": conditions.Direction(NETWORK, "0", wave(4) - 0.5, cosine=True),
    "Latent": conditions.Latent(NETWORK, "3", wave(2, 16) - 0.5, wave(2), 1),
    "FeatureMatch": conditions.FeatureMatch(Layer(NETWORK, "3"), wave(16), 0.5),
    "GramMatch": conditions.GramMatch(Probe(NETWORK, ["0", "1"]), PICTURE, std=0.1),
    "Amplified": conditions.Amplified(NETWORK, "0"),
    "Tiled": conditions.Tiled(FIRST, 4),
    "And": conditions.And(FIRST, SECOND, weights=[1.0, -0.25]),
    "Or": conditions.Or(FIRST, SECOND),
    "Not": conditions.Not(FIRST),
    "Weighted": conditions.Weighted(FIRST, -2.5),
    "Region": conditions.Region(FIRST, 1, 0, 2, 3, size=4),
    "CallableCondition": conditions.CallableCondition(lambda image: -(image**2).sum(), single=True),
    "Score": conditions.Score(lambda image: -2 * image, squares),
    "KnownPixels": conditions.KnownPixels(PICTURE, HOLE, 0.5),
    "InPainted": conditions.InPainted(FIRST, PICTURE, HOLE),
    "Caption": conditions.Caption(make_captioner(), "a red handbag", temperature=2.0),
    "TextSimilarity": conditions.TextSimilarity(NETWORK, wave(3, 5) - 0.5, 1, scale=3.0, crops=conditions.Crops(2, seed=0)),
    "GaussianLikelihood": conditions.GaussianLikelihood(NETWORK, 0.3, 0.7, index=2),
    "BernoulliLikelihood": conditions.BernoulliLikelihood(NETWORK, {1: True, 3: False}),
}
FALLING = samplers.Linear(0.3, 0.1, 4)
SAMPLERS: dict[str, Sampler] = {
    "Langevin": samplers.Langevin(0.1, 0.05, 0.3, condition_limit=0.2),
    "ReleasedLangevin": samplers.ReleasedLangevin(0.1, 1.0, 0.05, FALLING, reset_every=2),
    "Adaptive": samplers.Adaptive(0.1, 0.2, 0.3, momentum=0.5),
    "Annealed": samplers.Annealed((1.0, 0.5, 0.25), 1, 0.2, 0.1, spread=0.5),
    "Guided": samplers.Guided("tfg", (1.0, 0.5, 0.25), 0.1, "increase", 1, 0.1, 0.5, 2, smoothing=0.1, smoothing_draws=2),
    "Ascent": samplers.Ascent(FALLING, decay=0.99),
    "Searched": samplers.Searched(HillClimbing()),
    "Adam": samplers.Adam(0.1, 0.2, nesterov=True),
    "BigGanAm": samplers.BigGanAm(0.1, 0.5, latents=3, steps_per_draw=2, diversity=0.3),
}
OF_PICTURES: dict[str, Sampler] = {
    "Regularised": samplers.Regularised(
        FALLING,
        0.1,
        velocity_decay=0.5,
        pixel_decay=0.1,
        blur_width=0.5,
        blur_every=2,
        norm_percentile=10.0,
        denoise_weight=30.0,
        centre_width=0.5,
    ),
}
"""Samplers of codes that are pictures."""
SPACE = CodeSpace((3,), low=-2.0, high=2.0, std=wave(3) + 0.5)


class AtEveryLevel(Objective):
    """An objective that is the same at every noise level, for priors that know no levels."""

    def at_level(self, level: float, through: bool = True, offset: Tensor | None = None) -> Objective:
        return self


def released_surrogate(image: Image) -> LogProb:
    """What the released class differentiates: its logit times 1 - p, p held where it is at the first image."""
    return (1 - FIRST(IMAGE[:1]).exp()) * ClassLogit(NETWORK, 1)(image)


DIFFERENTIATED: dict[str, Callable[[Image], LogProb]] = {"ReleasedClass": released_surrogate}
"""The functions whose gradients the conditions have that, by intent, do not have the gradient of their value."""


def public(module: ModuleType, *methods: str) -> list[str]:
    """The public classes of a room whose instances have these methods."""
    classes = {name: kind for name, kind in vars(module).items() if inspect.isclass(kind) and not name.startswith("_")}
    own = {name: kind for name, kind in classes.items() if kind.__module__.startswith(module.__name__)}
    return [name for name, kind in own.items() if all(any(method in vars(base) for base in kind.__mro__) for method in methods)]


def takes_an_image(name: str) -> bool:
    """Whether a class of `conditions` is called with one argument, unlike a measure."""
    return len(inspect.signature(vars(conditions)[name].__call__).parameters) == 2


def case(cases: dict[str, Any], name: str) -> Any:
    if name not in cases:
        pytest.fail(f"{name} has no case in tests/test_contracts.py: add a case")
    return cases[name]


PRIOR_NAMES = [name for name in public(priors, "__call__") if name not in PRIORS_OF_PICTURES]
CONDITION_NAMES = [name for name in public(conditions, "__call__") if takes_an_image(name) and name not in OF_IMAGES]
SAMPLER_NAMES = [name for name in public(samplers, "init", "step") if name not in OF_PICTURES]


def test_every_case_is_of_a_public_name() -> None:
    for cases, names in ((PRIORS, PRIOR_NAMES), (CONDITIONS, CONDITION_NAMES), (SAMPLERS, SAMPLER_NAMES)):
        assert len(names) >= 3 and not set(cases) - set(names)


@pytest.mark.parametrize("name", PRIOR_NAMES)
def test_every_prior_keeps_the_contract(name: str) -> None:
    check_prior(case(PRIORS, name), CODE, generator(CODE), tolerance=TOLERANCE)


@pytest.mark.parametrize("name", PRIORS_OF_PICTURES)
def test_every_prior_of_pictures_keeps_the_contract(name: str) -> None:
    pictures = (0.5 + 0.3 * wave(3, 3 * 12 * 9)).reshape(3, 3, 12, 9)
    check_prior(PRIORS_OF_PICTURES[name], pictures, pictures, tolerance=TOLERANCE)


@pytest.mark.parametrize("name", CONDITION_NAMES)
def test_every_condition_keeps_the_contract(name: str) -> None:
    check_condition(case(CONDITIONS, name), IMAGE, tolerance=TOLERANCE)


@pytest.mark.parametrize("name", CONDITION_NAMES)
def test_the_gradient_of_every_condition_is_that_of_finite_differences(name: str) -> None:
    leaf = IMAGE[:1].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(case(CONDITIONS, name)(leaf).sum(), leaf)
    steps = 1e-6 * torch.eye(48, dtype=torch.float64).reshape(48, 3, 4, 4)
    function = DIFFERENTIATED.get(name, CONDITIONS[name])
    differences = (function(IMAGE[:1] + steps) - function(IMAGE[:1] - steps)) / 2e-6
    torch.testing.assert_close(gradient.flatten(), differences, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("sampler", SAMPLER_NAMES)
@pytest.mark.parametrize("prior", PRIOR_NAMES)
@pytest.mark.parametrize("condition", CONDITION_NAMES)
def test_every_sampler_keeps_the_contract_with_every_prior_and_condition(sampler: str, prior: str, condition: str) -> None:
    kind = Objective if prior == "NoiseLevel" else AtEveryLevel
    objective = kind(generator, case(PRIORS, prior), [Term(condition, case(CONDITIONS, condition))], SPACE)
    check_sampler(case(SAMPLERS, sampler), objective, CODE, tolerance=TOLERANCE)


@pytest.mark.parametrize("name", OF_PICTURES)
@pytest.mark.parametrize("condition", CONDITION_NAMES)
def test_every_sampler_of_pictures_keeps_the_contract(name: str, condition: str) -> None:
    prior = priors.HandMade(variation_weight=0.1, variation_power=1.5, norm_weight=0.1)
    objective = Objective(
        lambda code: code, prior, [Term(condition, CONDITIONS[condition])], CodeSpace((3, 4, 4), low=0.0, high=1.0)
    )
    check_sampler(OF_PICTURES[name], objective, IMAGE, tolerance=TOLERANCE)


@functools.cache
def full_bundle() -> Bundle:
    """The tiny bundle with every part that a recipe may need, in float64."""
    bundle = tiny_bundle()
    bundle.parts["joint_generator"] = tiny_parts()["generator"]
    bundle.parts["pixel_denoiser"] = PixelDenoiser(PixelDenoiserConfig(channels=1, width=4, blocks=1))
    bundle.parts["noise_level"] = untrained(code_size=12)
    bundle.code = replace(bundle.code, high=1.0 + 0.25 * torch.arange(12, dtype=torch.float64))
    for network in bundle.parts.values():
        network.double().eval().requires_grad_(False)
    for weight in bundle.parts["joint_generator"].parameters():
        weight.add_(0.1 * wave(*weight.shape) - 0.05)
    return bundle


class ForAnyCount:
    """The objective of a request, built anew for as many chains as it is given: a request has a target for each chain."""

    def __init__(self, setup: recipes.Setup, request: requests.Request) -> None:
        self.setup = setup
        self.request = request
        self.space = setup.space

    def evaluate(self, code: Code, image_gradient_rule: Callable[[Image], Image] | None = None) -> Evaluation:
        return self.made(len(code)).evaluate(code, image_gradient_rule)

    def made(self, count: int) -> Objective:
        return recipes.objective(self.setup, self.request.select([0] * count))

    def at_level(self, level: float, through: bool = True, offset: Tensor | None = None) -> Any:
        def evaluate(code: Code) -> Evaluation:
            return self.made(len(code)).at_level(level, through, offset).evaluate(code)

        return SimpleNamespace(evaluate=evaluate)


@pytest.mark.parametrize("name", list(recipes.NAMED))
@pytest.mark.parametrize("wanted", [2, squares], ids=["class", "function"])
def test_every_method_of_the_papers_keeps_the_contract_of_samplers(name: str, wanted: Callable[[Image], LogProb] | int) -> None:
    request = requests.of(full_bundle(), wanted, 3)
    recipe = recipes.recipe_for(full_bundle(), request.kind, name, steps=4)
    setup = recipes.prepare(full_bundle(), recipe, request)
    sampler, objective = setup.sampler(), ForAnyCount(setup, request)
    start = recipes.starting_codes(setup, range(3)).double()
    check_sampler(sampler, objective, start, tolerance=TOLERANCE)
    after, evaluation = sampler.step(sampler.init(start, range(3)), objective)
    assert bool(evaluation.gradient.any()) and not torch.equal(after.code, start)


@pytest.mark.parametrize("part", ["generator", "joint_generator"])
def test_every_generator_of_a_bundle_keeps_the_contract(part: str) -> None:
    check_generator(full_bundle().parts[part], wave(3, 12), tolerance=TOLERANCE)


def test_generators_without_weights_and_that_of_this_file_keep_the_contract() -> None:
    for kind, config in PICTURE_GENERATORS.values():
        made = kind(config(1, 8, 6)).double()
        check_generator(made, wave(3, *made.code_shape), tolerance=TOLERANCE)
    check_generator(generator, CODE, tolerance=TOLERANCE)
