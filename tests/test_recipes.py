"""The wiring: classes by name, settings, one encoder pass a step, seeds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from conftest import tiny_bundle

import ppgn
from ppgn import chain, priors, recipes, requests, sampling, starts
from ppgn.bundle import Bundle
from ppgn.conditions import ReleasedClass
from ppgn.objective import Objective, Term
from ppgn.probe import EncoderPass
from ppgn.samplers import Langevin
from ppgn.types import CodeSpace

SORTED = ["0", "1", "10", "3", "2", "5", "6", "7"]
NAMES = ("tench", "English springer", "golf ball", "gas pump")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [("golf ball", 2), ("Golf_Ball", 2), ("springer", 1), ("2", 2), (3, 3), ("TENCH", 0), ("pump", 3)],
)
def test_a_class_is_found_by_name_part_of_a_name_or_number(wanted: str | int, index: int) -> None:
    assert requests.class_index(NAMES, wanted) == index


@pytest.mark.parametrize(
    ("names", "wanted", "index"),
    [
        (["A", "a"], "a", 1),
        (["type:A", "type:a"], "a", 1),
        (["t-shirt", "T shirt"], "t shirt", 0),
        (["a b", "a_b"], "A_B", None),
        (["A", "a", "b"], "B", 2),
        (["crane", "drake", "crane"], "crane", None),
        (["crane", "drake", "crane"], 2, 2),
        (["type:red", "colour:red"], "red", None),
        (["Caf\u00e9", "bar"], "cafe\u0301", 0),
        (["Cafe\u0301", "bar"], "Caf\u00e9", 0),
        (["salt & pepper", "salt"], "salt & pepper", 0),
    ],
)
def test_a_name_spelled_exactly_so_goes_first_and_one_of_several_classes_is_refused(
    names: list[str], wanted: str | int, index: int | None
) -> None:
    groups = dict.fromkeys(name.partition(":")[0] for name in names if ":" in name)
    bundle = Bundle.of(lambda code: code.reshape(-1, 1, 1, 1), (1,), classes=names, groups=list(groups))
    if index is None:
        with pytest.raises(ValueError, match="fits 2 classes .*its number"):
            requests.classes(bundle, wanted)
    else:
        assert requests.classes(bundle, wanted).targets == (index,)


@pytest.mark.parametrize(
    ("names", "wanted", "index"),
    [
        (SORTED, "2", 4),
        (SORTED, "10", 2),
        (SORTED, 2, 2),
        (SORTED, "8", "no class '8': did you mean '7', '10', '6'. the bundle has 8 classes"),
        (SORTED, "-1", "no class '-1': did you mean '0', '1', '2'"),
        (SORTED, -1, "class -1 is out of range"),
        (SORTED, 8, "class 8 is out of range"),
        (["10", "2", "other"], "1", "no class '1': did you mean '2', '10'. the bundle has 0 10, 1 2, 2 other"),
        (["a", "b", "c", "scale 1:2"], "2", 2),
        (["ratio 16:9", "b"], "0", 0),
        (["ratio 16:9", "b"], "9", "class 9 is out of range"),
        (["digit:0", "digit:10", "digit:2"], "2", 2),
        (["digit:0", "digit:10", "digit:2"], "1", "no class '1': did you mean 'digit:0', 'digit:2', 'digit:10'"),
        (["one-1", "two"], "-1", "class -1 is out of range"),
        (["0", "1", "2"], "3", "class 3 is out of range"),
    ],
)
def test_where_names_are_numbers_a_number_is_a_name(names: list[str], wanted: str | int, index: int | str) -> None:
    if isinstance(index, str):
        with pytest.raises(ValueError, match=index):
            requests.class_index(names, wanted, groups=["digit"])
    else:
        assert requests.class_index(names, wanted, groups=["digit"]) == index


def test_whole_numbers_in_python_are_positions_and_text_of_digits_a_name() -> None:
    bundle = Bundle.of(lambda code: code.reshape(-1, 1, 1, 1), (1,), classes=SORTED)
    assert requests.classes(bundle, [2, "2"]).targets == requests.listed_classes(bundle, [2, "2"]).targets == (2, 4)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("churhc", "the bundle has 0 tench"),
        ("tensh", "did you mean 'tench'"),
        ("g", "write more"),
        ("9", "out of range"),
        ("", "no class"),
    ],
)
def test_a_class_that_is_not_there_says_what_is(wanted: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        requests.class_index(NAMES, wanted)


def test_of_many_classes_only_those_that_fit_or_are_near_are_listed() -> None:
    names = [f"kind {index}" for index in range(40)] + ["crane bird", "crane fly"]
    assert requests.class_index(names, "fly", "the net") == 41
    with pytest.raises(ValueError, match=r"fits 2 classes \(40 crane bird, 41 crane fly\)"):
        requests.class_index(names, "crane", "the net")
    with pytest.raises(ValueError, match="^no class 'crane bitd': did you mean 'crane bird'.* the net has 42 classes$"):
        requests.class_index(names, "crane bitd", "the net")


def test_one_step_runs_generator_and_encoder_once_for_prior_and_condition_together() -> None:
    bundle, passes = tiny_bundle(), {"generator": 0, "encoder": 0}

    def count(name: str) -> Callable[..., None]:
        return lambda *_: passes.__setitem__(name, passes[name] + 1)

    bundle.generator.register_forward_hook(count("generator"))
    bundle.encoder.trunk.register_forward_hook(count("encoder"))
    bundle.encoder.fc6.register_forward_hook(count("encoder"))
    ppgn.sample(bundle, 1, count=3, steps=4)
    assert passes == {"generator": 4, "encoder": 4}  # fc6 once a step; the trunk is walked child by child


def test_a_pass_without_gradient_is_not_reused_where_one_is_needed() -> None:
    shared = EncoderPass(tiny_bundle().encoder)
    image = torch.rand(2, 1, 8, 8, requires_grad=True)
    with torch.no_grad():
        plain = shared.code(image)
    assert not plain.requires_grad
    assert shared.code(image).requires_grad


def test_a_pass_over_an_image_that_changed_in_place_is_not_reused() -> None:
    shared = EncoderPass(tiny_bundle().encoder)
    image = torch.rand(2, 1, 8, 8)
    before = shared.code(image)
    image.mul_(0.1)
    assert not torch.equal(shared.code(image), before)


def test_sharing_the_pass_changes_no_number() -> None:
    bundle = tiny_bundle()
    recipe = recipes.recipe_for(bundle, sampler="langevin", prior_scale=0.1, noise_scale=0.0, steps=3)
    request = requests.classes(bundle, [1, 2])
    setup = recipes.prepare(bundle, recipe, request)
    *_, shared = sampling.evaluations(setup, recipes.objective(setup, request), [0, 1])

    condition = ReleasedClass(lambda image: bundle.encoder.logits_from_code(bundle.encoder(image)), [1, 2])
    space = CodeSpace(bundle.code.shape, 0.0, 30.0)
    objective = Objective(bundle.generator, priors.Reconstruction(bundle.encoder), [Term("class", condition)], space)
    sampler = Langevin(0.1, 1.0, 0.0)
    code = starts.random_code([0, 1], bundle.code.shape, low=0.0)
    *_, (_, apart) = chain.run(sampler, objective, sampler.init(code, [0, 1]), 3)
    torch.testing.assert_close(shared.image, apart.image, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_picture_alone_and_in_batches() -> None:
    bundle = tiny_bundle()
    together = ppgn.sample(bundle, 1, count=5, seed=3, steps=5)
    split = ppgn.sample(bundle, 1, count=5, seed=3, steps=5, batch=2)
    alone = ppgn.sample(bundle, 1, count=1, seed=5, steps=5)
    torch.testing.assert_close(together.images, split.images, rtol=0, atol=1e-5)
    torch.testing.assert_close(together.images[2:3], alone.images, rtol=0, atol=1e-5)
    again = ppgn.sample(bundle, 1, count=5, seed=3, steps=5)
    assert torch.equal(together.images, again.images)


def test_any_function_of_an_image_is_a_condition() -> None:
    bundle = tiny_bundle()
    dark = ppgn.sample(bundle, lambda image: -image.mean((1, 2, 3)), count=2, steps=15, step_size=0.5)
    bright = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=2, steps=15, step_size=0.5)
    assert float(bright.images.mean()) > float(dark.images.mean())


@pytest.mark.parametrize("prior", ["reconstruction", "denoiser", "none"])
@pytest.mark.parametrize("sampler", ["langevin", "released"])
@pytest.mark.parametrize("measure", ["log_softmax", "released"])
def test_every_combination_raises_the_probability_of_the_class(prior: str, sampler: str, measure: str) -> None:
    samples = []
    step: dict[str, Any] = {"step_size": 0.2} if sampler == "released" else {"condition_scale": 1000.0, "prior_scale": 1e-3}
    for steps in (1, 20):
        changes = {"prior": prior, "sampler": sampler, "measure": measure, "steps": steps, **step}
        samples.append(ppgn.sample(tiny_bundle(), 2, count=4, **changes))
    assert float(samples[1].log_prob.mean()) > float(samples[0].log_prob.mean())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sampler": "gibbs"}, "choose langevin, released"),
        ({"prior": "x"}, "choose reconstruction"),
        ({"measure": "x"}, "choose log_softmax"),
        ({"steps": 0}, "at least 1"),
        ({"speed": 3}, "unknown settings speed"),
        ({"count": 0}, "at least 1"),
        ({"batch": 0}, "at least 1"),
        ({"temperature": 0.0}, "more than 0"),
        ({"start": "nowhere"}, "choose normal, unclipped, codes"),
        ({"start": "codes"}, "no model of its codes"),
        ({"seed": [1, 2]}, "2 seeds for 16 chains"),
    ],
)
def test_a_wrong_setting_is_a_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ppgn.sample(tiny_bundle(), 0, **changes)


def test_the_denoiser_prior_of_a_bundle_without_one_is_refused() -> None:
    bundle = tiny_bundle()
    del bundle.parts["denoiser"]
    with pytest.raises(ValueError, match="has no denoiser"):
        ppgn.sample(bundle, 0, prior="denoiser")


def test_more_classes_than_chains_are_refused() -> None:
    with pytest.raises(ValueError, match="3 classes for 2 chains"):
        ppgn.sample(tiny_bundle(), [0, 1, 2], count=2)
