"""Chains that did not end with what was asked for begin anew."""

import math

import pytest
import torch
from conftest import Letters, tiny_bundle

from ppgn import recipes, seeds
from ppgn.conditions import Caption
from ppgn.recipes import tries
from ppgn.types import Image, LogProb

CHANGES = {"steps": 2, "start": "normal", "start_std": 3.0, "condition_scale": 0.1, "prior_scale": 0.0, "noise_scale": 0.0}


def test_seeds_of_further_runs_follow_from_the_seed_and_the_number_alone() -> None:
    first = seeds.again([3, 4], 1)
    assert first == (*seeds.again([3], 1), *seeds.again([4], 1))
    assert len({*first, *seeds.again([3, 4], 2), 3, 4}) == 6
    assert seeds.check_seeds(first) == first


@pytest.mark.parametrize("target", [0, "listed"])
def test_a_chain_is_kept_where_it_is_likely_enough_and_else_the_likeliest_of_its_runs(target: int | str) -> None:
    bundle = tiny_bundle()
    bundle.encoder.fc8.weight.mul_(3e4)  # an untrained head says the same of all pictures
    asked = [0, 1, 2, 0, 1, 2, 0, 1] if target == "listed" else 0
    count = None if target == "listed" else 8
    once = recipes.sample(bundle, asked, count=count, seed=5, **CHANGES)
    listed = asked if isinstance(asked, list) else [asked] * 8
    likely = tries.likelihood(bundle, listed, once.images, once.settings)
    accept = float(likely.sort().values[3:5].mean())
    found = recipes.sample(bundle, asked, count=count, seed=5, tries=4, accept=accept, **CHANGES)
    kept = likely >= accept
    assert 0 < int(kept.sum()) < 8
    assert torch.equal(found.codes[kept], once.codes[kept])
    runs = [
        recipes.sample(bundle, [listed[chain]], seed=[own], **CHANGES)
        for chain, own in enumerate(once.seeds)
        for own in [own, *(seeds.again([own], number)[0] for number in (1, 2, 3))]
    ]
    for chain in range(8):
        own = runs[4 * chain : 4 * chain + 4]
        values = [float(tries.likelihood(bundle, [listed[chain]], run.images, run.settings)[0]) for run in own]
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

    once = recipes.sample(bundle, bright, count=6, batch=3, **CHANGES)
    accept = float(once.log_prob.median())
    seen.clear()
    found = recipes.sample(bundle, bright, count=6, batch=3, tries=3, accept=accept, **CHANGES)
    assert set(seen) == {3}
    enough = once.log_prob >= accept
    assert torch.equal(found.codes[enough], once.codes[enough])
    assert bool((found.log_prob >= once.log_prob).all())
    assert bool((found.log_prob[~enough] > once.log_prob[~enough]).any())


def test_a_caption_for_each_chain_is_tried_again_with_its_own() -> None:
    caption = Caption(Letters(), ["a", "bbbbbbbbb", "ccccc"], temperature=2.0)
    image = torch.linspace(0, 1, 3).reshape(3, 1, 1, 1).expand(3, 3, 8, 8)
    some = caption.of([2, 0])
    assert torch.equal(some(image[[2, 0]]), caption(image)[[2, 0]])
    assert some.temperature == 2.0
    one = Caption(Letters(), "aa")
    assert one.of([1]) is one
    bundle = tiny_bundle()
    once = recipes.sample(bundle, caption, count=3, **CHANGES)
    found = recipes.sample(bundle, caption, count=3, tries=5, accept=0.0, **CHANGES)
    assert bool((found.log_prob >= once.log_prob).all())
    assert bool((found.log_prob > once.log_prob).any())


@pytest.mark.parametrize(("wrong", "message"), [({"tries": 0}, "got 0 tries"), ({"accept": float("nan")}, "got accept nan")])
def test_settings_say_what_is_wrong_with_tries(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipes.Settings(**wrong)


def test_a_further_run_that_breaks_costs_nothing() -> None:
    bundle, calls = tiny_bundle(), []

    def breaks_later(image: Image) -> LogProb:
        calls.append(len(image))
        return image.mean((1, 2, 3)) * (math.nan if len(calls) > 3 else 1.0)

    once = recipes.sample(bundle, lambda image: image.mean((1, 2, 3)), count=2, **CHANGES)
    found = recipes.sample(bundle, breaks_later, count=2, tries=3, accept=9.0, **CHANGES)
    assert torch.equal(found.codes, once.codes)
