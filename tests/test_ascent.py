"""The DGN-AM ascent against the released loop in NumPy, and the priors that stand for its bounds and its decay."""

import numpy as np
import pytest
import torch
from conftest import make_code, make_world

from ppgn.chain import run
from ppgn.checks import check_prior, check_sampler
from ppgn.objective import Objective, Term
from ppgn.priors import Bounds, Decay, Gaussian, NoPrior
from ppgn.samplers import Ascent, Langevin, Linear
from ppgn.toy import LinearWorld
from ppgn.types import Code, CodeSpace, Sampler

HIGH = torch.tensor([0.7, 30.0, 2.0], dtype=torch.float64)
BOUNDED = CodeSpace((3,), 0.0, HIGH)
FALLING = Ascent(Linear(0.8, 1e-10, 20))


def make_objective(space: CodeSpace | None = None, world: LinearWorld | None = None) -> Objective:
    world = world or make_world()
    return Objective(world.generator, NoPrior(), [Term("likelihood", world.condition)], space)


def stepped(sampler: Sampler, objective: Objective, code: Code | None = None) -> Code:
    """The code after one step."""
    code = make_code() if code is None else code
    return sampler.step(sampler.init(code, range(len(code))), objective)[0].code


def released_in_numpy(world: LinearWorld, code: np.ndarray, steps: int, start: float, end: float) -> list[np.ndarray]:
    """The codes after each step of the released loop, one chain, written without the library."""
    matrix, target, codes = world.matrix.numpy(), world.target.numpy(), []
    for i in range(steps):
        step_size = start + (end - start) * i / steps
        image_gradient = (target - matrix @ code) / world.noise_std**2
        image_gradient = image_gradient / np.abs(image_gradient).mean()
        code_gradient = matrix.T @ image_gradient
        code = code + step_size * code_gradient / np.abs(code_gradient).mean()
        code = np.minimum(np.maximum(code, 0.0), HIGH.numpy())
        code = code * 0.99
        codes.append(code)
    return codes


def test_twenty_steps_of_the_ascent_are_the_released_loop_written_in_numpy():
    world, start = make_world(), FALLING.init(make_code(), (0, 1, 2))
    states = [state.code.numpy() for state, _ in run(FALLING, make_objective(BOUNDED), start, 20)]
    for chain in range(3):
        expected = released_in_numpy(world, make_code().numpy()[chain], 20, 0.8, 1e-10)
        for step in range(20):
            assert np.abs(states[step][chain] - expected[step]).max() < 1e-12


def test_the_gradient_at_the_image_has_a_mean_of_one_before_it_goes_back_through_the_generator():
    world, code = make_world(), make_code()
    _, evaluation = FALLING.step(FALLING.init(code, (0, 1, 2)), make_objective(BOUNDED))
    image_gradient = world.target - code @ world.matrix.T
    image_gradient = image_gradient / image_gradient.abs().mean(1, keepdim=True)
    assert torch.allclose(evaluation.gradient, image_gradient @ world.matrix, rtol=0, atol=1e-12)


def test_before_clip_and_decay_every_step_moves_each_chain_by_the_step_size_on_average():
    code = make_code() * torch.tensor([[0.1], [1.0], [100.0]], dtype=torch.float64)
    moved = stepped(Ascent(0.7, decay=1.0), make_objective(), code) - code
    assert torch.allclose(moved.abs().mean(1), torch.full((3,), 0.7, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_image_of_a_step_is_made_before_its_update_in_one_generator_pass_and_one_of_the_condition():
    world, calls = make_world(), []
    objective = Objective(
        lambda code: calls.append("generator") or world.generator(code),
        NoPrior(),
        [Term("likelihood", lambda image: calls.append("condition") or world.condition(image))],
        CodeSpace((3,), 0.0, 30.0),
    )
    sampler = Ascent(0.5)
    after, evaluation = sampler.step(sampler.init(make_code(), (0, 1, 2)), objective)
    assert calls == ["generator", "condition"]
    assert torch.equal(evaluation.image, world.generator(make_code()))
    assert not torch.equal(after.code, make_code())


def test_a_generator_that_returns_the_code_itself_can_be_ascended():
    objective = Objective(lambda code: code, NoPrior(), [Term("bright", lambda image: (image**2).sum((1, 2, 3)))])
    code = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    assert torch.allclose(
        stepped(Ascent(0.2), objective, code), 0.99 * (code + 0.2 * code / code.mean((1, 2, 3), keepdim=True)), rtol=0, atol=1e-12
    )


def test_a_chain_without_a_gradient_is_only_clipped_and_decayed():
    target = torch.tensor([1.0, 2.0], dtype=torch.float64)
    condition = Term("near", lambda image: -((image[:, 0, 0] - target) ** 2).sum(1))
    objective = Objective(lambda code: code[:, None, None, :], NoPrior(), [condition], CodeSpace((2,), 0.0, 1.5))
    moved = stepped(Ascent(0.5), objective, torch.stack([target, target + 1]))
    expected = 0.99 * torch.tensor([[1.0, 1.5], [1.5, 1.5]], dtype=torch.float64)
    assert torch.allclose(moved, expected, rtol=0, atol=1e-12)


def test_a_prior_of_the_objective_adds_its_scaled_direction_before_the_clip():
    world = make_world()
    pulled = stepped(Ascent(0.3, decay=1.0, prior_scale=0.25), world.objective())
    plain = stepped(Ascent(0.3, decay=1.0), make_objective(world=world))
    assert torch.allclose(pulled - plain, -0.25 * make_code(), rtol=0, atol=1e-12)


def test_the_ascent_keeps_the_contract_alone_in_a_batch_and_after_a_resume():
    check_sampler(FALLING, make_objective(BOUNDED), make_code(8), tolerance=1e-12)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.01, float("nan")])
def test_a_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match=r"expected it in \(0, 1\]"):
        Ascent(1.0, decay=decay)
    with pytest.raises(ValueError, match=r"expected it in \(0, 1\]"):
        Decay(decay)


def test_an_image_gradient_rule_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"image_gradient_rule returned shape \(3,\), expected the image's \(3, 1, 1, 4\)"):
        make_objective().evaluate(make_code(), image_gradient_rule=lambda gradient: gradient.sum((1, 2, 3)))


def test_a_rule_that_changes_nothing_leaves_the_gradient_as_it_is():
    evaluated = make_objective().evaluate(make_code(), image_gradient_rule=lambda gradient: gradient)
    assert torch.allclose(evaluated.gradient, make_objective().evaluate(make_code()).gradient, rtol=0, atol=1e-12)


@pytest.mark.parametrize("prior", [Decay(), Bounds(-0.2, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)), Gaussian()])
def test_the_prior_keeps_the_contract(prior):
    check_prior(prior, make_code(), make_world().generator(make_code()))


def test_a_langevin_chain_with_nothing_but_decay_shrinks_by_its_factor_each_step():
    world = make_world()
    sampler = Langevin(1.0, 0.0, 0.0)
    *_, (state, _) = run(sampler, Objective(world.generator, Decay()), sampler.init(make_code(), (0, 1, 2)), 5)
    assert torch.allclose(state.code, 0.99**5 * make_code(), rtol=0, atol=1e-15)


def test_bounds_point_back_to_the_bound_of_each_unit_and_nowhere_inside():
    bounds = Bounds(0.0, torch.tensor([1.0, 2.0, 3.0]))
    code = torch.tensor([[-1.0, 1.5, 5.0], [2.0, 0.0, 3.0]])
    assert torch.equal(bounds(code, code), torch.tensor([[1.0, 0.0, -2.0], [-1.0, 0.0, 0.0]]))
    assert torch.equal(bounds.clip(code), torch.tensor([[0.0, 1.5, 3.0], [1.0, 0.0, 3.0]]))


def test_bounds_from_statistics_go_from_0_to_the_mean_plus_three_standard_deviations():
    bounds = Bounds.from_statistics(torch.tensor([0.5, 1.0]), torch.tensor([1.0, 0.25]))
    assert bounds.low == 0.0 and torch.equal(torch.as_tensor(bounds.high), torch.tensor([3.5, 1.75]))


def test_a_sampler_clips_to_the_bounds_of_the_code_space():
    sampler, bounds = Langevin(0.0, 0.5, 0.3), Bounds(0.0, HIGH)
    free = stepped(sampler, make_objective())
    assert torch.equal(stepped(sampler, make_objective(CodeSpace((3,), bounds.low, bounds.high))), bounds.clip(free))


def test_bounds_upside_down_are_refused():
    with pytest.raises(ValueError, match="expected low <= high"):
        Bounds(torch.tensor([0.0, 2.0]), 1.0)
    with pytest.raises(ValueError, match="expected low <= high"):
        Bounds.from_statistics(-4.0, 1.0)
