"""The released examples by number: the constants of their rows, how many updates they make, what they keep."""

import math
from typing import Any

import pytest
import torch
from test_papers import full_bundle, picture

from ppgn.samplers import Linear, ReleasedLangevin
from ppgn.sampling import examples


def constants(example: examples.Example) -> tuple[Any, ...]:
    """Updates, first and last step size, e1, e2, e3, reset, kept every and above: a row of the released table."""
    (sampler, _), updates = example.stages[0], example.steps_each * len(example.stages) + 1
    assert isinstance(sampler, ReleasedLangevin)
    size = sampler.step_size
    assert isinstance(size, float | Linear)
    sizes = (size(0), size(example.steps_each)) if isinstance(size, Linear) else (size, size)
    scales = (sampler.prior_scale, sampler.condition_scale, sampler.noise_scale)
    return updates, *sizes, *scales, sampler.reset_every, example.every, example.above


ROWS = [
    ("example_1", {"wanted": 1}, (201, 1.0, 1.0, 1e-5, 1.0, 1e-17, 0, 5, -math.inf)),
    ("example_2", {"classes": [1, 2, 0]}, (301, 1.0, 1.0, 1e-5, 1.0, 1e-17, 0, 1, -math.inf)),
    ("example_3", {"unit": "trunk.block0.3:2@centre"}, (1001, 1.0, 1.0, 1e-5, 1.0, 1e-17, 100, 1, math.log(0.98))),
    ("example_4", {"unit": "trunk.block0.3:2@centre"}, (1001, 1.0, 1.0, 1e-7, 1.0, 1e-17, 100, 1, math.log(0.98))),
    ("example_6", {"wanted": 1, "picture": picture()}, (201, 0.5, 0.5, 1e-5, 1.0, 1e-17, 0, 1, -math.inf)),
    ("example_7", {"wanted": 1, "picture": picture()}, (21, 1.0, 1e-32, 1e-5, 1.0, 0.0, 0, 1, -math.inf)),
]


def released_example(name: str, arguments: dict[str, Any]) -> examples.Example:
    bundle = full_bundle()
    more = {"network": bundle.encoder} if name == "example_4" else {}
    return getattr(examples, name)(bundle, **arguments, **more)


@pytest.mark.parametrize(("name", "arguments", "row"), ROWS)
def test_a_released_example_has_the_constants_of_its_row(name: str, arguments: dict[str, Any], row: tuple[Any, ...]) -> None:
    example = released_example(name, arguments)
    assert constants(example) == pytest.approx(row, rel=1e-9, abs=1e-31)
    assert all(sampler == example.stages[0][0] for sampler, _ in example.stages)  # step sizes do not begin anew


@pytest.mark.parametrize(("name", "arguments"), [(name, {**arguments, "steps": 10}) for name, arguments, _ in ROWS])
def test_a_released_example_makes_n_times_k_plus_1_updates_and_keeps_what_it_says(name: str, arguments: dict[str, Any]) -> None:
    example = released_example(name, arguments)
    steps = list(example.run())
    assert len(steps) == 10 * len(example.stages) + 1
    kept = [
        (index, place)
        for index, (_, evaluation) in enumerate(steps)
        for place, value in enumerate(evaluation.log_probs["condition"].tolist())
        if index % example.every == 0 and value > example.above
    ]
    assert [(sample.step, sample.chain) for sample in example.kept()] == kept
    assert kept or name in ("example_3", "example_4")


def test_the_unit_example_asks_for_the_centre_before_the_activation() -> None:
    bundle = full_bundle()
    example = examples.example_3(bundle, "trunk.block0.4:2@centre", steps=1)
    evaluation = next(example.run())[1]
    before_relu = bundle.encoder.trunk.block0[:5](2 * evaluation.image - 1)
    torch.testing.assert_close(evaluation.log_prob, before_relu[:, :, 4, 4].log_softmax(1)[:, 2])
    assert float(before_relu[:, :, 4, 4].min()) < 0


def test_the_in_painting_example_has_ten_chains_and_a_hole_of_100_of_256_of_the_side() -> None:
    example = released_example("example_7", {"wanted": 1, "picture": picture()})
    assert len(example.state.seeds) == 10
    assert example.hole is not None
    assert int((example.hole.known == 0).sum()) == 3 * 3
    assert example.hole.context_scale == 1e-9


def test_the_caption_example_says_that_a_bundle_has_no_captioner() -> None:
    with pytest.raises(ValueError, match="has no captioner"):
        examples.example_5(full_bundle(), "a red car")
