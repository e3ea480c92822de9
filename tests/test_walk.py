"""Chains that are asked for several things in turn."""

import pytest
import torch
from conftest import tiny_bundle
from test_papers import full_bundle

import ppgn
from ppgn import chain


def test_classes_in_turn_make_n_times_k_plus_1_updates_and_change_class_where_chain_turn_says() -> None:
    bundle = full_bundle()
    steps = list(ppgn.walk(bundle, ["golf ball", 0, "pump"], 4, count=2, recipe="joint_ppgn_h_released"))
    assert len(steps) == 4 * 3 + 1 == steps[-1][0].step
    for index, (_, evaluation) in enumerate(steps):
        wanted = [2, 0, 3][chain.turn(index, 4)]
        logits = bundle.encoder.logits_from_code(bundle.encoder(evaluation.image))
        torch.testing.assert_close(evaluation.log_prob, logits.log_softmax(1)[:, wanted])
    for before, after in zip(steps, steps[1:], strict=False):
        assert torch.equal(before[0].code, after[1].code)


def test_step_sizes_begin_anew_with_each_condition_in_turn() -> None:
    """The released sampler moves a chain by step_size on average over units, where nothing clips its code."""
    wanted = [0, lambda image: image.mean((1, 2, 3))]
    steps = list(ppgn.walk(full_bundle(), wanted, 4, step_size=(1.0, 0.0), bounds="none"))
    sizes = [float((state.code - evaluation.code).abs().mean()) for state, evaluation in steps]
    assert sizes == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0, 0.75, 0.5, 0.25, 0.0], rel=1e-5)


def test_one_class_in_turn_is_the_chain_of_sample() -> None:
    bundle = full_bundle()
    *_, (_, last) = ppgn.walk(bundle, [1], 4, count=2, seed=7, step_size=(0.5, 0.5))
    assert torch.equal(last.image, ppgn.sample(bundle, 1, count=2, seed=7, steps=5, step_size=(0.5, 0.5)).images)


def test_steps_beside_the_steps_of_each_request_are_refused() -> None:
    with pytest.raises(ValueError, match="got steps 3 and steps_each 4, expected one"):
        ppgn.walk(full_bundle(), [0, 1], 4, steps=3)


def test_chains_in_turn_without_a_request_are_refused() -> None:
    with pytest.raises(ValueError, match="got nothing to ask for"):
        ppgn.walk(full_bundle(), [], 4)


@pytest.mark.parametrize("name", ["tries", "accept"])
def test_chains_that_cannot_begin_anew_refuse_settings_of_retries(name: str) -> None:
    bundle, value = tiny_bundle(), {"tries": 3, "accept": -0.5}[name]
    picture = torch.zeros(bundle.image.shape)
    with pytest.raises(ValueError, match=f"chains in turn got {name}"):
        ppgn.walk(bundle, [0, 1], 2, **{name: value})
    with pytest.raises(ValueError, match=f"a chain from a picture got {name}"):
        ppgn.from_picture(bundle, picture, 0, **{name: value})
    with pytest.raises(ValueError, match=f"in-painting got {name}"):
        ppgn.in_paint(bundle, picture, torch.ones(1, 8, 8), **{name: value})
