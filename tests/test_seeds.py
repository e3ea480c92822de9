"""Noise is a pure function of (seed, step, stream)."""

from typing import Any

import numpy as np
import pytest
import torch

from ppgn import seeds, starts


@pytest.mark.parametrize("draw", [seeds.normal, seeds.uniform])
def test_a_chain_draws_the_same_numbers_alone_and_in_a_batch(draw):
    batch = draw([5, 9, 2**64 - 1], 3, (4, 2))
    assert batch.shape == (3, 4, 2)
    assert torch.equal(draw([9], 3, (4, 2))[0], batch[1])
    assert torch.equal(draw([2**64 - 1], 3, (4, 2))[0], batch[2])


@pytest.mark.parametrize("draw", [seeds.normal, seeds.uniform])
def test_seed_step_and_stream_each_change_every_number(draw):
    reference = draw([1], 2, (64,), stream=0)
    for other in (draw([2], 2, (64,), stream=0), draw([1], 3, (64,), stream=0), draw([1], 2, (64,), stream=1)):
        assert not (other == reference).any()


def test_step_and_stream_are_not_interchangeable():
    assert not torch.equal(seeds.normal([0], 1, (8,), stream=2), seeds.normal([0], 2, (8,), stream=1))


def test_normal_numbers_are_those_of_philox_with_the_documented_counter():
    philox = np.random.Philox(key=7, counter=np.array([0, 0, 11, 3], dtype=np.uint64))
    expected = np.random.Generator(philox).standard_normal(5)
    assert np.array_equal(seeds.normal([7], 11, (5,), stream=3, dtype=torch.float64)[0].numpy(), expected)


def test_a_lower_precision_is_the_rounded_double():
    double = seeds.normal([0, 1], 0, (16,), dtype=torch.float64)
    assert torch.equal(seeds.normal([0, 1], 0, (16,), dtype=torch.float32), double.float())


def test_normal_and_uniform_have_their_stated_moments():
    size = 100_000
    gaussian = seeds.normal([0], 0, (size,), dtype=torch.float64)
    flat = seeds.uniform([0], 0, (size,), dtype=torch.float64)
    assert abs(float(gaussian.mean())) < 5 / size**0.5
    assert abs(float(gaussian.var()) - 1) < 5 * (2 / size) ** 0.5
    assert abs(float(flat.mean()) - 0.5) < 5 * (1 / 12 / size) ** 0.5
    assert 0 <= float(flat.min()) < 1e-3 and 1 - 1e-3 < float(flat.max()) <= 1


def test_torch_and_numpy_global_seeds_have_no_influence():
    torch.manual_seed(0)
    np.random.seed(0)
    first = seeds.normal([4], 0, (8,))
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(seeds.normal([4], 0, (8,)), first)


def test_empty_shapes_and_empty_batches_keep_their_shape():
    assert seeds.normal([1, 2], 0, ()).shape == (2,)
    assert seeds.normal([], 0, (3,)).shape == (0, 3)


def test_numpy_integers_are_seeds_too():
    from_numpy: Any = np.arange(3, 5)
    assert torch.equal(seeds.normal(from_numpy, 0, (4,)), seeds.normal([3, 4], 0, (4,)))


@pytest.mark.parametrize("seed", [-1, 1.0, True, "1", None, 2**64])
def test_a_seed_that_is_no_non_negative_int_is_refused(seed):
    with pytest.raises(ValueError, match="a seed got .* expected a whole number"):
        seeds.normal([seed], 0, (2,))


def test_a_negative_step_is_refused():
    with pytest.raises(ValueError, match="a step got -1"):
        seeds.uniform([0], -1, (2,))


def test_a_random_start_has_its_own_stream_and_the_asked_mean_std_and_floor():
    unit = seeds.normal([3, 4], 0, (6,), stream=seeds.Stream.START, dtype=torch.float64)
    mean = torch.arange(6.0, dtype=torch.float64)
    code = starts.random_code([3, 4], (6,), mean=mean, std=0.1, dtype=torch.float64)
    assert torch.equal(code, mean + 0.1 * unit)
    assert torch.equal(starts.random_code([3, 4], (6,), low=0.0, dtype=torch.float64), unit.clamp_min(0))
    assert not torch.equal(unit, seeds.normal([3, 4], 0, (6,), stream=seeds.Stream.NOISE, dtype=torch.float64))


def test_a_start_from_images_is_their_code_without_a_graph():
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
    image = torch.rand(2, 3, 2, 2)
    code = starts.from_image(encoder, image)
    assert torch.equal(code, encoder(image)) and not code.requires_grad


def test_a_start_from_an_image_without_a_chain_axis_is_refused():
    with pytest.raises(ValueError, match=r"\(3, 2, 2\), expected \[chain, channel, height, width\]"):
        starts.from_image(torch.nn.Flatten(), torch.rand(3, 2, 2))


def test_streams_keep_their_numbers_because_stored_chains_depend_on_them():
    names = [
        "NOISE",
        "START",
        "RESET_CODE",
        "RESET_PRIOR_SCALE",
        "HOLE_PLACE",
        "START_CHOICE",
        "FIRST_LEVEL",
        "RETRY",
        "FLOW",
        "EVOLUTION",
        "RESPONSE",
        "VIEW",
        "VIEW_NOISE",
        "ILLUMINATION",
        "CONTROL",
        "RECURRENCE",
        "SMOOTHING",
    ]
    assert {stream.name: stream.value for stream in seeds.Stream} == dict(zip(names, range(17), strict=True))
