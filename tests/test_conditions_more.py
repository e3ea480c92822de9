"""Conditions that match, in-paint, wrap functions and combine, against closed forms and finite differences."""

import math

import pytest
import torch
from torch import Tensor, nn

from ppgn.checks import check_condition
from ppgn.conditions import (
    And,
    CallableCondition,
    ClassLogit,
    ClassLogProb,
    FeatureMatch,
    GramMatch,
    InPainted,
    KnownPixels,
    Not,
    Or,
    Region,
    Score,
    Weighted,
    gram,
)
from ppgn.images import composite
from ppgn.objective import Objective, Term
from ppgn.priors import NoPrior
from ppgn.probe import Layer, Probe


def wave(*shape: int, phase: float = 0.0) -> Tensor:
    count = torch.Size(shape).numel()
    return (0.5 + 0.5 * torch.cos(torch.arange(count, dtype=torch.float64) ** 1.5 + phase)).reshape(shape)


def make_network() -> nn.Sequential:
    layers = [nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 5)]
    network = nn.Sequential(*layers).double().eval()
    for index, weight in enumerate(network.parameters()):
        weight.data = torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 1.7 + index).reshape(weight.shape)
    return network


NETWORK = make_network()
IMAGE, PICTURE = wave(3, 3, 4, 4), wave(3, 4, 4, phase=1.0)
HOLE = torch.ones(4, 4, dtype=torch.bool)
HOLE[1:3, 0:2] = False
SOFT = wave(1, 4, 4, phase=2.0)
FIRST, SECOND = ClassLogProb(NETWORK, 1), ClassLogProb(NETWORK, 3)
FEATURES, MAPS = Layer(NETWORK, "3"), Layer(NETWORK, "0")


def squares(image: Tensor) -> Tensor:
    return -(image**2).sum((1, 2, 3))


def make_conditions() -> dict:
    return {
        "match": FeatureMatch(FEATURES, wave(16), 0.5),
        "match map": FeatureMatch.to_picture(MAPS, PICTURE, wave(4, 1, 1) + 0.1),
        "style": GramMatch(Probe(NETWORK, ["0", "1"]), wave(3, 6, 5, phase=3.0), {"0": 0.25, "1": 2.0}, std=0.1),
        "known pixels": KnownPixels(PICTURE, HOLE, 0.1),
        "known pixels soft": KnownPixels(PICTURE, SOFT, 0.1),
        "in-painted": InPainted(FIRST, PICTURE, HOLE),
        "in-painted soft": InPainted(FIRST, PICTURE, SOFT),
        "function": CallableCondition(squares),
        "function of one image": CallableCondition(lambda image: -(image**2).sum(), single=True),
        "and": And(FIRST, SECOND, weights=[1.0, -0.25]),
        "or": Or(FIRST, SECOND),
        "not": Not(FIRST),
        "weighted": Weighted(FIRST, -2.5),
        "region": Region(FIRST, 1, 0, 3, 2),
        "region resized": Region(FIRST, 1, 0, 2, 2, size=4),
        "nested": And(
            Not(Or(FIRST, SECOND)), Weighted(Region(And(FIRST, KnownPixels(PICTURE[:, :3], HOLE[:3])), 0, 0, 3, 4), 0.5)
        ),
    }


@pytest.mark.parametrize("name", make_conditions())
def test_the_gradient_agrees_with_finite_differences(name):
    image = IMAGE[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(make_conditions()[name], image, eps=1e-6, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("name", make_conditions())
def test_the_conditions_keep_the_contract(name):
    check_condition(make_conditions()[name], IMAGE, tolerance=1e-10)


@pytest.mark.parametrize("name", make_conditions())
def test_an_objective_of_each_condition_gives_the_same_gradient_and_makes_no_weight_gradient(name):
    condition = make_conditions()[name]
    evaluation = Objective(lambda code: code, NoPrior(), [Term(name, condition)]).evaluate(IMAGE)
    assert torch.allclose(evaluation.gradient, gradient_of(condition, IMAGE), rtol=0, atol=1e-12)
    assert all(weight.grad is None for weight in NETWORK.parameters())


def gradient_of(condition, image: Tensor) -> Tensor:
    leaf = image.clone().requires_grad_()
    return torch.autograd.grad(condition(leaf).sum(), leaf)[0]


def test_a_match_is_the_gaussian_density_of_the_target_up_to_its_constant():
    target, std = wave(16, phase=1.0), wave(16) + 0.1
    normal = torch.distributions.Normal(FEATURES(IMAGE), std)
    expected = normal.log_prob(target).sum(1) + (std * math.sqrt(2 * math.pi)).log().sum()
    assert torch.allclose(FeatureMatch(FEATURES, target, std)(IMAGE), expected, rtol=0, atol=1e-10)


def test_a_match_of_its_own_picture_is_0_and_each_chain_may_have_its_own():
    assert torch.equal(FeatureMatch.to_picture(FEATURES, IMAGE[0])(IMAGE[:1]), torch.zeros(1, dtype=torch.float64))
    each = FeatureMatch.to_picture(FEATURES, IMAGE)
    assert torch.equal(each(IMAGE), torch.zeros(3, dtype=torch.float64))
    assert bool((each(IMAGE.flip(0))[[0, 2]] < 0).all())


def test_a_style_is_that_of_gatys_written_out():
    picture = wave(3, 6, 5, phase=3.0)
    expected = torch.zeros(3, dtype=torch.float64)
    for stop, weight in ((1, 0.25), (2, 2.0)):
        for chain in range(3):
            here, there = NETWORK[:stop](IMAGE[chain][None])[0], NETWORK[:stop](picture[None])[0]
            for i in range(4):
                for j in range(4):
                    difference = (here[i] * here[j]).mean() - (there[i] * there[j]).mean()
                    expected[chain] -= weight * difference**2 / (4 * 4**2) / (2 * 0.1**2)
    assert torch.allclose(make_conditions()["style"](IMAGE), expected, rtol=1e-12, atol=0)


def test_a_style_does_not_see_where_things_are():
    maps = wave(2, 4, 6)
    assert torch.allclose(gram(maps), gram(maps[:, :, torch.randperm(6)]), rtol=0, atol=1e-14)
    probe = Probe(nn.Sequential(nn.Identity()).eval(), "0")
    assert torch.equal(GramMatch(probe, PICTURE)(PICTURE[None]), torch.zeros(1, dtype=torch.float64))
    assert torch.allclose(
        GramMatch(probe, PICTURE)(PICTURE.flip(2)[None]), torch.zeros(1, dtype=torch.float64), rtol=0, atol=1e-28
    )


def test_the_gradient_of_known_pixels_is_the_released_context_term():
    gradient = gradient_of(KnownPixels(PICTURE, HOLE), IMAGE)
    assert torch.allclose(gradient, (PICTURE - IMAGE) * HOLE, rtol=0, atol=1e-14)
    soft = gradient_of(KnownPixels(PICTURE, SOFT, std=0.5), IMAGE)
    assert torch.allclose(soft, 4 * SOFT * (PICTURE - IMAGE), rtol=0, atol=1e-13)


def test_known_pixels_are_the_gaussian_density_of_the_picture_where_it_is_known():
    normal = torch.distributions.Normal(IMAGE, 0.1)
    log_prob = (normal.log_prob(PICTURE.expand(3, -1, -1, -1)) + math.log(0.1 * math.sqrt(2 * math.pi))) * HOLE
    assert torch.allclose(KnownPixels(PICTURE, HOLE, 0.1)(IMAGE), log_prob.sum((1, 2, 3)), rtol=0, atol=1e-10)


def test_a_composite_has_exactly_the_picture_outside_and_the_image_inside_the_hole():
    made = composite(IMAGE, PICTURE, HOLE)
    assert torch.equal(made[:, :, HOLE], PICTURE[:, HOLE].expand(3, -1, -1))
    assert torch.equal(made[:, :, ~HOLE], IMAGE[:, :, ~HOLE])
    each = torch.stack([HOLE, HOLE.T, ~HOLE])[:, None]
    assert torch.equal(composite(IMAGE, PICTURE, each)[2][:, HOLE], IMAGE[2][:, HOLE])
    assert torch.equal(composite(IMAGE, IMAGE.flip(0), each)[2][:, ~HOLE], IMAGE[0][:, ~HOLE])


def test_an_in_painted_condition_sees_the_composite_and_moves_the_hole_only():
    condition = InPainted(FIRST, PICTURE, HOLE)
    assert torch.equal(condition(IMAGE), FIRST(composite(IMAGE, PICTURE, HOLE)))
    gradient, whole = gradient_of(condition, IMAGE), gradient_of(FIRST, composite(IMAGE, PICTURE, HOLE))
    assert torch.equal(gradient[:, :, HOLE], torch.zeros_like(gradient[:, :, HOLE]))
    assert torch.equal(gradient[:, :, ~HOLE], whole[:, :, ~HOLE]) and bool(whole[:, :, HOLE].any())


def test_a_function_of_one_image_is_that_of_the_batch():
    single = CallableCondition(lambda image: -(image**2).sum(), single=True)
    assert torch.allclose(single(IMAGE), squares(IMAGE), rtol=0, atol=1e-13)
    assert torch.equal(CallableCondition(squares)(IMAGE), squares(IMAGE))


def test_a_score_has_exactly_the_gradient_it_was_given_and_the_value_0_or_the_one_reported():
    seen: list[Tensor] = []

    def cond_fn(image: Tensor) -> Tensor:  # as in guided diffusion: own graph inside
        seen.append(image)
        with torch.enable_grad():
            leaf = image.detach().requires_grad_()
            return torch.autograd.grad(FIRST(leaf).sum(), leaf)[0]

    assert torch.equal(gradient_of(Score(cond_fn), IMAGE), gradient_of(FIRST, IMAGE))
    assert not seen[0].requires_grad
    assert torch.equal(Score(cond_fn)(IMAGE), torch.zeros(3, dtype=torch.float64))
    reported = Score(cond_fn, value=FIRST)
    assert torch.equal(reported(IMAGE), FIRST(IMAGE)) and torch.equal(gradient_of(reported, IMAGE), gradient_of(FIRST, IMAGE))
    check_condition(Score(cond_fn), IMAGE, tolerance=1e-10)
    assert torch.equal(gradient_of(Weighted(Score(cond_fn), 3.0), IMAGE), 3 * gradient_of(FIRST, IMAGE))


def test_weighted_sums_are_exact_and_leave_their_parts_as_they_were():
    before = [FIRST(IMAGE), SECOND(IMAGE), squares(IMAGE)]
    both = And(FIRST, SECOND, squares, weights=[2.0, -0.5, 0.125])
    nested = Weighted(Weighted(both, 4.0), 0.5)
    for _ in range(3):
        assert torch.equal(both(IMAGE), 2.0 * before[0] + -0.5 * before[1] + 0.125 * before[2])
        assert torch.equal(nested(IMAGE), 2.0 * both(IMAGE))
    assert torch.equal(And(FIRST, SECOND)(IMAGE), before[0] + before[1])
    assert all(torch.equal(part(IMAGE), value) for part, value in zip((FIRST, SECOND, squares), before, strict=True))


def test_combinations_never_change_the_tensors_that_their_parts_keep():
    kept = torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64)

    def constant(image: Tensor) -> Tensor:
        return kept

    for condition in (And(constant, constant), Or(constant, constant), Not(constant), Weighted(constant, 3.0)):
        condition(IMAGE)
        assert torch.equal(kept, torch.tensor([-1.0, -2.0, -3.0], dtype=torch.float64)), condition


def test_or_is_logsumexp_and_of_two_classes_the_log_of_the_sum_of_their_probabilities():
    got = Or(FIRST, SECOND)(IMAGE)
    assert torch.equal(got, torch.logsumexp(torch.stack([FIRST(IMAGE), SECOND(IMAGE)]), 0))
    assert torch.allclose(got.exp(), NETWORK(IMAGE).softmax(1)[:, [1, 3]].sum(1), rtol=0, atol=1e-14)


def test_not_is_the_log_of_the_other_classes_probability_and_twice_not_is_the_condition():
    others = NETWORK(IMAGE).softmax(1)[:, [0, 2, 3, 4]].sum(1)
    assert torch.allclose(Not(FIRST)(IMAGE).exp(), others, rtol=0, atol=1e-14)
    assert torch.allclose(Not(Not(FIRST))(IMAGE), FIRST(IMAGE), rtol=0, atol=1e-13)
    either = Or(FIRST, SECOND)
    assert torch.allclose(Not(either)(IMAGE), Or(*(ClassLogProb(NETWORK, k) for k in (0, 2, 4)))(IMAGE), rtol=0, atol=1e-13)


@pytest.mark.parametrize("log_prob", [-1e-12, -1e-3, -0.69, -0.70, -30.0, -700.0])
def test_not_keeps_its_digits_at_both_ends(log_prob):
    value = torch.tensor([log_prob], dtype=torch.float64, requires_grad=True)
    result = Not(lambda image: value)(IMAGE)
    (gradient,) = torch.autograd.grad(result, value)
    exact = math.log(-math.expm1(log_prob)) if log_prob > -0.69 else math.log1p(-math.exp(log_prob))
    assert float(result.detach()) == pytest.approx(exact, rel=1e-13)
    assert float(gradient) == pytest.approx(-math.exp(log_prob) / -math.expm1(log_prob), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_not_stays_finite_where_the_condition_is_certain(dtype):
    for certain in (0.0, -1e-30, 1e-8 if dtype is torch.float32 else 1e-16):
        value = torch.tensor([certain], dtype=dtype, requires_grad=True)
        result = Not(lambda image, value=value: value)(IMAGE)
        (gradient,) = torch.autograd.grad(result, value)
        assert float(result.detach()) == pytest.approx(math.log(torch.finfo(dtype).eps), rel=1e-6)
        assert bool(gradient.isfinite().all()) and float(gradient) < 0


def test_a_region_is_the_condition_on_the_crop_and_moves_nothing_else():
    condition = Region(squares, 1, 2, 3, 2)
    assert torch.equal(condition(IMAGE), squares(IMAGE[:, :, 1:4, 2:4]))
    gradient = gradient_of(condition, IMAGE)
    assert torch.equal(gradient[:, :, 1:, 2:], -2 * IMAGE[:, :, 1:, 2:])
    assert not bool(gradient[:, :, 0].any()) and not bool(gradient[:, :, :, :2].any())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FeatureMatch(FEATURES, wave(15)), r"target of shape \(15,\), expected \(16,\)"),
        (lambda: FeatureMatch(FEATURES, wave(16), 0.0), "a match got std 0.0, expected positive"),
        (lambda: GramMatch(Probe(NETWORK, "0"), PICTURE, {"1": 1.0}), "weight for the layer '1', expected one of the probe's"),
        (lambda: GramMatch(Probe(NETWORK, "4"), PICTURE), r"Gram matrix got shape \(1, 5\)"),
        (lambda: KnownPixels(PICTURE, torch.ones(3, 3)), r"mask has shape \(3, 3\), expected the picture's height and width"),
        (lambda: KnownPixels(PICTURE, HOLE * 255), r"mask has values outside \[0, 1\]"),
        (lambda: KnownPixels(PICTURE, HOLE, -1.0), "known pixels got std -1.0"),
        (lambda: KnownPixels(wave(3, 5, 5), torch.ones(5, 5)), r"picture of shape \(3, 5, 5\) does not fit images"),
        (lambda: InPainted(FIRST, PICTURE, torch.ones(2, 1, 4, 4)), r"mask of shape \(2, 1, 4, 4\) does not fit images"),
        (lambda: CallableCondition(torch.mean), r"returned shape \(\), expected a tensor of shape \(3,\)"),
        (lambda: CallableCondition(lambda image: 1.0), "returned float, expected a tensor"),  # type: ignore[arg-type,return-value]
        (lambda: CallableCondition(torch.square, single=True), r"returned shape \(3, 4, 4\), expected a tensor of one number"),
        (lambda: Score(squares), "the gradient of a score condition has shape"),
        (lambda: Score(torch.neg, value=torch.mean), r"value of a score condition has shape \(\), expected \(3,\)"),
        (lambda: And(), "And got 0 conditions"),
        (lambda: Or("church"), "Or got 1 conditions, expected callables"),  # type: ignore[arg-type]
        (lambda: And(FIRST, SECOND, weights=[1.0]), "1 weights for 2 conditions"),
        (lambda: Not(ClassLogit(lambda image: image.mean((2, 3)) + 1, 0)), "expected a log-probability of at most 0"),
        (lambda: Region(FIRST, 2, 0, 3, 2), r"\(2, 0, 3, 2\), expected a part of an image of \(4, 4\)"),
        (lambda: Region(FIRST, -1, 0, 3, 2), "expected a part of an image"),
        (lambda: Region(FIRST, 0, 0, 0, 2), "expected a part of an image"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(make, message):
    with pytest.raises(ValueError, match=message):
        make()(IMAGE)
