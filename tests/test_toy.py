"""The closed-form world, and objectives in it: evaluations, scores and noise levels."""

import math

import pytest
import torch
from conftest import make_code, make_world

from ppgn.objective import Objective, Term
from ppgn.priors import Denoiser, Gaussian, NoiseLevel, NoPrior, Reconstruction, SumOfPriors
from ppgn.toy import LinearWorld
from ppgn.types import CodeSpace


def test_the_posterior_is_that_of_a_scalar_world_by_hand():
    world = LinearWorld(torch.tensor([[2.0]]).double(), torch.tensor([3.0]).double(), noise_std=0.5, prior_std=2.0)
    precision = 2.0**2 / 0.5**2 + 1 / 2.0**2
    assert float(world.posterior_covariance) == pytest.approx(1 / precision, rel=1e-14)
    assert float(world.posterior_mean) == pytest.approx(2.0 * 3.0 / 0.5**2 / precision, rel=1e-14)


def test_the_posterior_score_vanishes_at_the_posterior_mean():
    world = make_world()
    evaluation = world.objective().evaluate(world.posterior_mean[None])
    score = evaluation.direction / world.prior_std**2 + evaluation.gradient
    assert score.abs().max() < 1e-12


def test_the_condition_is_the_normalised_gaussian_log_likelihood():
    world = make_world()
    image = world.generator(make_code())
    normal = torch.distributions.Normal(image.reshape(3, -1), world.noise_std)
    assert torch.allclose(world.condition(image), normal.log_prob(world.target).sum(1), rtol=0, atol=1e-12)


def test_the_gradient_is_the_closed_form_for_every_chain():
    world, code = make_world(), make_code()
    expected = (world.target - code @ world.matrix.T) @ world.matrix / world.noise_std**2
    assert torch.allclose(world.objective().evaluate(code).gradient, expected, rtol=0, atol=1e-12)


def test_the_gradient_of_a_chain_does_not_depend_on_the_batch_size():
    world, code = make_world(), make_code(16)
    batch = world.objective().evaluate(code).gradient
    for chains in (1, 4):
        assert torch.allclose(world.objective().evaluate(code[:chains]).gradient, batch[:chains], rtol=0, atol=1e-12)


def test_weighted_log_probabilities_add_and_so_do_their_gradients():
    world, code = make_world(), make_code()
    terms = [Term("likelihood", world.condition, 2.0), Term("dark", lambda image: -image.sum((1, 2, 3)), -0.5)]
    evaluation = Objective(world.generator, NoPrior(), terms).evaluate(code)
    single = world.objective().evaluate(code)
    assert torch.equal(evaluation.log_probs["likelihood"], single.log_prob)
    dark = evaluation.log_probs["dark"]
    assert torch.allclose(evaluation.log_prob, 2 * single.log_prob - 0.5 * dark, rtol=0, atol=1e-12)
    expected = 2 * single.gradient + 0.5 * world.matrix.sum(0)
    assert torch.allclose(evaluation.gradient, expected, rtol=0, atol=1e-12)


def test_an_evaluation_calls_the_generator_once_and_hands_the_same_image_to_conditions_then_prior():
    world, seen = make_world(), []

    def note(name, result):
        def called(*inputs):
            seen.append((name, inputs[-1], torch.is_grad_enabled()))
            return result(inputs[-1])

        return called

    first, second = note("first", world.condition), note("second", world.condition)
    prior = note("prior", lambda image: torch.zeros(3, 3, dtype=torch.float64))
    generator = note("generator", world.generator)
    Objective(generator, prior, [Term("a", first), Term("b", second)]).evaluate(make_code())
    assert [name for name, _, _ in seen] == ["generator", "first", "second", "prior"]
    assert seen[1][1] is seen[2][1] is seen[3][1]
    assert [grad for _, _, grad in seen] == [True, True, True, False]


def test_an_evaluation_makes_no_weight_gradients_and_returns_no_graph():
    generator = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Unflatten(1, (1, 2, 2)))
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    evaluation = Objective(generator, Reconstruction(encoder), [Term("critic", critic)]).evaluate(torch.rand(2, 3))
    weights = [weight for network in (generator, encoder, critic) for weight in network.parameters()]
    assert all(weight.requires_grad and weight.grad is None for weight in weights)
    tensors = [evaluation.code, evaluation.image, evaluation.log_prob, evaluation.direction, evaluation.gradient]
    assert not any(tensor.requires_grad for tensor in (*tensors, *evaluation.log_probs.values()))
    assert evaluation.gradient.abs().sum() > 0


def test_without_terms_the_gradient_is_zero_and_no_graph_is_built():
    graphs = []
    generator = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Unflatten(1, (1, 2, 2)))

    def prior(code, image):
        graphs.append(image.requires_grad)
        return -code

    evaluation = Objective(generator, prior).evaluate(torch.rand(2, 3))
    assert graphs == [False]
    assert torch.equal(evaluation.gradient, torch.zeros(2, 3)) and torch.equal(evaluation.log_prob, torch.zeros(2))


def test_a_score_is_the_weighted_log_probability_of_one_generator_pass_without_a_gradient():
    world, code, passes = make_world(), make_code(), []

    def generator(code):
        passes.append(torch.is_grad_enabled())
        return world.generator(code)

    objective = Objective(generator, NoPrior(), [Term("likelihood", world.condition, 2.0)])
    score = objective.score(code.requires_grad_())
    assert passes == [False] and not score.requires_grad
    expected = 2 * world.condition(world.generator(code.detach()))
    assert torch.allclose(score, expected, rtol=0, atol=1e-12)
    assert torch.equal(objective.score_image(world.generator(code.detach())), score)


def test_a_score_takes_the_plain_condition_of_a_term_where_it_has_one():
    world, code = make_world(), make_code()
    term = Term("dark", lambda image: -image.sum((1, 2, 3)), 3.0, plain=world.condition)
    objective = Objective(world.generator, NoPrior(), [term])
    assert torch.allclose(objective.score(code), 3 * world.objective().score(code), rtol=0, atol=1e-12)
    assert torch.allclose(objective.evaluate(code).log_prob, -3 * world.generator(code).sum((1, 2, 3)), rtol=0, atol=1e-12)


def test_what_has_no_gradient_is_scored_and_evaluated_without_one():
    world, code = make_world(), make_code()
    objective = Objective(world.generator, Gaussian(), [Term("steps", lambda image: image.detach().round().sum((1, 2, 3)))])
    expected = world.generator(code).round().sum((1, 2, 3))
    evaluation = objective.evaluate_without_gradient(code)
    assert torch.equal(objective.score(code), expected) and torch.equal(evaluation.log_prob, expected)
    assert torch.equal(evaluation.code, code) and torch.equal(evaluation.image, world.generator(code))
    assert torch.equal(evaluation.gradient, torch.zeros_like(code)) and torch.equal(evaluation.direction, torch.zeros_like(code))
    with pytest.raises(ValueError, match="'steps' is not connected to the image"):
        objective.evaluate(code)


def test_a_score_that_is_not_one_number_per_chain_is_refused_by_name():
    objective = Objective(make_world().generator, NoPrior(), [Term("bad", lambda image: image.mean())])
    for score in (objective.score, objective.evaluate_without_gradient):
        with pytest.raises(ValueError, match=r"'bad' returned shape \(\), expected a tensor of shape \(3,\)"):
            score(make_code())


def test_an_objective_at_a_noise_level_sees_the_image_of_the_denoised_code():
    world, code = make_world(), make_code()
    prior = NoiseLevel(lambda code, level: code / (1 + level**2), 0.5)
    space = CodeSpace((3,), std=2.0)
    at_level = Objective(world.generator, prior, [Term("likelihood", world.condition)], space).at_level(3.0)
    evaluation = at_level.evaluate(code)
    assert at_level.space is space
    assert torch.allclose(evaluation.image, world.generator(code / 10), rtol=0, atol=1e-12)
    assert torch.allclose(evaluation.direction, code / 10 - code, rtol=0, atol=1e-12)
    assert torch.allclose(evaluation.gradient, world.objective().evaluate(code / 10).gradient / 10, rtol=0, atol=1e-12)


def test_a_noise_level_of_a_prior_that_knows_none_is_refused():
    with pytest.raises(ValueError, match="noise levels were asked of the prior Gaussian"):
        make_world().objective().at_level(0.5)


def test_the_objective_of_a_world_has_the_shape_of_its_codes_and_any_space_it_is_given():
    world, space = make_world(), CodeSpace((3,), low=-1.0, high=1.0)
    assert world.objective().space.shape == (3,) and world.objective().space.std is None
    assert world.objective(space).space is space


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_an_evaluation_is_the_same_under_no_grad_and_inference_mode(mode):
    world = make_world()
    expected = world.objective().evaluate(make_code())
    with mode():
        got = world.objective().evaluate(make_code())
    assert torch.equal(got.gradient, expected.gradient) and torch.equal(got.direction, expected.direction)


def test_an_evaluation_leaves_the_callers_code_alone():
    code = make_code()
    before = code.clone()
    evaluation = make_world().objective().evaluate(code)
    evaluation.code.zero_()
    assert torch.equal(code, before) and not code.requires_grad


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda image: image.mean(), r"'bad' returned shape \(\), expected a tensor of shape \(3,\): .* not a mean"),
        (lambda image: image.sum((1, 2)), r"'bad' returned shape \(3, 4\), expected a tensor of shape \(3,\)"),
        (lambda image: 1.0, r"'bad' returned float, expected a tensor of shape \(3,\)"),
        (lambda image: image.detach().sum((1, 2, 3)), "'bad' is not connected to the image"),
    ],
)
def test_a_condition_that_breaks_its_contract_is_refused_by_name(condition, message):
    world = make_world()
    objective = Objective(world.generator, NoPrior(), [Term("good", world.condition), Term("bad", condition)])
    with pytest.raises(ValueError, match=message):
        objective.evaluate(make_code())


def test_a_condition_connected_to_its_weights_only_is_refused_by_name():
    world = make_world()
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 1), torch.nn.Flatten(0)).double()
    terms = [Term("good", world.condition), Term("bad", lambda image: critic(image.detach()))]
    with pytest.raises(ValueError, match="'bad' is not connected to the image"):
        Objective(world.generator, NoPrior(), terms).evaluate(make_code())


def test_a_generator_without_a_gradient_is_refused():
    world = make_world()
    objective = Objective(lambda code: world.generator(code).detach(), NoPrior(), [Term("y", world.condition)])
    with pytest.raises(ValueError, match="generator returned an image without a gradient"):
        objective.evaluate(make_code())


def test_the_identity_is_a_generator_too():
    image = torch.rand(2, 1, 2, 2, dtype=torch.float64)
    objective = Objective(lambda code: code, NoPrior(), [Term("bright", lambda image: image.sum((1, 2, 3)))])
    assert torch.equal(objective.evaluate(image).gradient, torch.ones_like(image))


def test_two_terms_of_one_name_are_refused():
    world = make_world()
    with pytest.raises(ValueError, match=r"\['y', 'y'\], expected each once"):
        Objective(world.generator, NoPrior(), [Term("y", world.condition), Term("y", world.condition)])


def test_a_code_of_integers_is_refused():
    with pytest.raises(ValueError, match="torch.int64, expected floating-point"):
        make_world().objective().evaluate(torch.zeros(2, 3, dtype=torch.int64))


def test_a_prior_of_another_shape_is_refused():
    world = make_world()
    with pytest.raises(ValueError, match=r"prior returned shape \(3,\), expected the code's \(3, 3\)"):
        Objective(world.generator, lambda code, image: code.sum(1)).evaluate(make_code())


def test_the_gaussian_direction_is_the_variance_times_the_gradient_of_its_log_density():
    std = torch.tensor([0.1, 1.0, 3.0], dtype=torch.float64)
    prior, code = Gaussian(0.3, std), make_code().requires_grad_()
    log_prob = prior.log_prob(code)
    reference = torch.distributions.Normal(torch.tensor(0.3, dtype=torch.float64), std)
    assert torch.allclose(log_prob, reference.log_prob(code).sum(1), rtol=0, atol=1e-12)
    score = torch.autograd.grad(log_prob.sum(), code)[0]
    assert torch.allclose(prior(code, code), std**2 * score, rtol=0, atol=1e-12)


def test_a_gaussian_of_width_zero_is_refused():
    with pytest.raises(ValueError, match="got mean 0.0 and std 0.0, expected finite numbers"):
        Gaussian(std=0.0)


def test_denoiser_and_reconstruction_point_from_the_code_to_their_networks_output():
    code, image = make_code(), make_world().generator(make_code())
    assert torch.equal(Denoiser(lambda code: 0.9 * code)(code, image), 0.9 * code - code)
    assert torch.equal(Reconstruction(lambda image: image[:, 0, 0, :3])(code, image), image[:, 0, 0, :3] - code)


def test_a_reconstruction_that_would_broadcast_is_refused():
    code, image = make_code(), make_world().generator(make_code())
    with pytest.raises(ValueError, match=r"encoder of the prior returned shape \(3, 1\), expected the code's \(3, 3\)"):
        Reconstruction(lambda image: image[:, 0, 0, :1])(code, image)


def test_a_sum_of_priors_is_the_weighted_sum_of_directions():
    code = make_code()
    prior = SumOfPriors([Gaussian(1.0), Gaussian(2.0), NoPrior()], [2.0, 0.5, 7.0])
    assert torch.allclose(prior(code, code), 2.0 * (1 - code) + 0.5 * (2 - code), rtol=0, atol=1e-12)
    assert torch.equal(SumOfPriors([Gaussian(1.0)])(code, code), 1 - code)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0]])
def test_a_sum_of_priors_with_too_few_or_too_many_weights_is_refused(weights):
    with pytest.raises(ValueError, match="2 priors and . weights"):
        SumOfPriors([NoPrior(), NoPrior()], weights)


@pytest.mark.parametrize(
    ("matrix", "target", "stds", "message"),
    [
        (
            torch.ones(2, 2).double(),
            torch.ones(3).double(),
            (1.0, 1.0),
            "target of shape .* give the target a number for each row",
        ),
        (torch.ones(2, 2), torch.ones(2), (1.0, 1.0), "expected float64"),
        (torch.ones(2, 2).double(), torch.ones(2).double(), (0.0, 1.0), "noise_std 0.0 .* pass standard deviations above 0"),
        (torch.ones(2, 2).double(), torch.ones(2).double(), (1.0, -1.0), "prior_std -1.0"),
    ],
)
def test_an_impossible_world_is_refused(matrix, target, stds, message):
    with pytest.raises(ValueError, match=message):
        LinearWorld(matrix, target, *stds)


def test_the_log_likelihood_at_an_exact_match_is_its_normaliser():
    world = make_world()
    image = world.target.reshape(1, 1, 1, 4)
    assert float(world.condition(image)) == pytest.approx(-2 * math.log(2 * math.pi * 0.25), rel=1e-14)
