"""Chains that did not end with what was asked for begin anew."""

import math

import pytest
import torch
from conftest import Letters, tiny_bundle

import ppgn
from ppgn import recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import Caption
from ppgn.recipes import Recipe, Retries
from ppgn.seeds import check_seeds, retry_seeds
from ppgn.types import Image, LogProb

CHANGES = {"steps": 2, "start": "normal", "start_std": 3.0, "condition_scale": 0.1, "prior_scale": 0.0, "noise_scale": 0.0}


def likelihood(bundle: Bundle, classes: list[int], samples: ppgn.Samples) -> LogProb:
    """log p(class | image) of the samples at temperature 1."""
    request = requests.classes(bundle, classes)
    setup = recipes.prepare(bundle, samples.recipe, request)
    return recipes.objective(setup, request).score_image(samples.images)


def test_seeds_of_further_runs_follow_from_the_seed_and_the_number_alone() -> None:
    first = retry_seeds([3, 4], 1)
    assert first == (*retry_seeds([3], 1), *retry_seeds([4], 1))
    assert len({*first, *retry_seeds([3, 4], 2), 3, 4}) == 6
    assert check_seeds(first) == first


@pytest.mark.parametrize("target", [0, "listed"])
def test_a_chain_is_kept_where_it_is_likely_enough_and_else_the_likeliest_of_its_runs(target: int | str) -> None:
    bundle = tiny_bundle()
    bundle.encoder.fc8.weight.mul_(3e4)  # an untrained head says the same of all pictures
    asked = [0, 1, 2, 0, 1, 2, 0, 1] if target == "listed" else 0
    count = None if target == "listed" else 8
    once = ppgn.sample(bundle, asked, count=count, seed=5, **CHANGES)
    listed = asked if isinstance(asked, list) else [asked] * 8
    likely = likelihood(bundle, listed, once)
    accept = float(likely.sort().values[3:5].mean())
    found = ppgn.sample(bundle, asked, count=count, seed=5, tries=4, accept=accept, **CHANGES)
    kept = likely >= accept
    assert 0 < int(kept.sum()) < 8
    assert torch.equal(found.codes[kept], once.codes[kept])
    runs = [
        ppgn.sample(bundle, [listed[chain]], seed=[own], **CHANGES)
        for chain, own in enumerate(once.seeds)
        for own in [own, *(retry_seeds([own], number)[0] for number in (1, 2, 3))]
    ]
    for chain in range(8):
        own = runs[4 * chain : 4 * chain + 4]
        values = [float(likelihood(bundle, [listed[chain]], run)) for run in own]
        enough = [number for number, value in enumerate(values) if value >= accept]
        last = enough[0] if enough else 3
        likeliest = max(range(last + 1), key=values.__getitem__)
        torch.testing.assert_close(found.codes[chain], own[likeliest].codes[0], rtol=1e-4, atol=1e-4)
    assert found.seeds == once.seeds


def test_any_function_of_an_image_is_tried_again_in_the_batches_in_which_its_chains_stood() -> None:
    bundle, seen = tiny_bundle(), []

    def bright(image: Image) -> LogProb:
        seen.append(len(image))
        return 10 * image.mean((1, 2, 3)) - 5

    once = ppgn.sample(bundle, bright, count=6, batch=3, **CHANGES)
    accept = float(once.log_prob.median())
    seen.clear()
    found = ppgn.sample(bundle, bright, count=6, batch=3, tries=3, accept=accept, **CHANGES)
    assert set(seen) == {3}
    enough = once.log_prob >= accept
    assert torch.equal(found.codes[enough], once.codes[enough])
    assert bool((found.log_prob >= once.log_prob).all())
    assert bool((found.log_prob[~enough] > once.log_prob[~enough]).any())


def test_a_caption_for_each_chain_is_tried_again_with_its_own() -> None:
    caption = Caption(Letters(), ["a", "bbbbbbbbb", "ccccc"], temperature=2.0)
    image = torch.linspace(0, 1, 3).reshape(3, 1, 1, 1).expand(3, 3, 8, 8)
    some = caption.for_chains([2, 0])
    assert torch.equal(some(image[[2, 0]]), caption(image)[[2, 0]])
    assert some.temperature == 2.0
    one = Caption(Letters(), "aa")
    assert one.for_chains([1]) is one
    bundle = tiny_bundle()
    once = ppgn.sample(bundle, caption, count=3, **CHANGES)
    found = ppgn.sample(bundle, caption, count=3, tries=5, accept=0.0, **CHANGES)
    assert bool((found.log_prob >= once.log_prob).all())
    assert bool((found.log_prob > once.log_prob).any())


@pytest.mark.parametrize(
    ("wrong", "message"), [({"tries": 0}, "got 0 tries"), ({"accept": math.nan}, "accept of retries got nan")]
)
def test_settings_say_what_is_wrong_with_tries(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe().changed(**wrong)


def test_whole_retries_say_what_is_wrong_with_them() -> None:
    with pytest.raises(ValueError, match="got 0 tries"):
        Retries(tries=0)
    with pytest.raises(ValueError, match="got accept nan"):
        Retries(accept=math.nan)


def test_a_further_run_that_breaks_costs_nothing() -> None:
    bundle, calls = tiny_bundle(), []

    def breaks_later(image: Image) -> LogProb:
        calls.append(len(image))
        return image.mean((1, 2, 3)) * (math.nan if len(calls) > 3 else 1.0)

    once = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=2, **CHANGES)
    found = ppgn.sample(bundle, breaks_later, count=2, tries=3, accept=9.0, **CHANGES)
    assert torch.equal(found.codes, once.codes)
