"""Requests: their targets can be repeated and reordered, they describe themselves as JSON, and coupled ones stay together."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Letters, tiny_bundle
from test_caption_condition import TEXTS, a_captioner
from torch import Tensor, nn

import ppgn
from ppgn import recipes, requests
from ppgn.bundle import Bundle
from ppgn.conditions import And, Caption, ClassLogProb, Logit, LogSoftmax, Not, TextSimilarity, Weighted
from ppgn.probe import Passes, Preprocessed
from ppgn.requests import Request, TextRequest
from ppgn.types import Image, LogProb


def wave(*shape: int, phase: float = 0.0) -> Tensor:
    return (0.5 + 0.5 * torch.cos(torch.arange(math.prod(shape)) ** 1.5 + phase)).reshape(shape)


def a_network() -> Preprocessed:
    layers = [nn.Conv2d(1, 5, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)]
    network = nn.Sequential(*layers).eval().requires_grad_(False)
    for index, weight in enumerate(network.parameters()):
        weight.copy_(2 * wave(*weight.shape, phase=index) - 1)
    return Preprocessed(network, 8, 0.4, 0.3)


def dark(image: Image) -> LogProb:
    return -image.square().mean((1, 2, 3))


IMAGES = wave(3, 1, 8, 8)
KINDS: dict[str, Callable[[Bundle], Request]] = {
    "class": lambda bundle: requests.classes(bundle, ["golf ball", 0, "pump"]),
    "unit": lambda bundle: requests.unit(a_network(), "0:3,1,4@centre", measure="log_softmax"),
    "direction": lambda bundle: requests.direction(a_network(), "0", wave(3, 5) - 0.5),
    "latent": lambda bundle: requests.latent(a_network(), "4", wave(6, 7), wave(6), [5, 0, 2], offset=wave(7)),
    "caption": lambda bundle: requests.captions(bundle, TEXTS),
    "caption of another captioner": lambda bundle: requests.captions(bundle, ["a", "bbbb", "ccccccc"], Letters()),
    "text": lambda bundle: TextRequest(
        TextSimilarity(lambda image: image.flatten(1), wave(4, 64) - 0.5, scale=5.0), ("w", "x", "y", "z"), (3, 0, 1)
    ),
    "function": lambda bundle: requests.function(dark, 3),
    "function with a request per chain": lambda bundle: requests.function(ClassLogProb(a_network(), [6, 0, 3]), 3),
    "parts with a request per chain": lambda bundle: requests.function(
        And(Not(ClassLogProb(a_network(), [6, 0, 3])), Weighted(ClassLogProb(a_network(), [1, 5, 1]), -0.5)), 3
    ),
    "sum of classes": lambda bundle: requests.weighted(
        [requests.classes(bundle, [2, 0, 3]), requests.classes(bundle, "tench")], [1.0, -0.25]
    ),
    "sum of all": lambda bundle: requests.weighted([KINDS[name](bundle) for name in ("class", "unit", "latent", "caption")]),
    "sum of a sum": lambda bundle: requests.weighted([KINDS["sum of classes"](bundle), KINDS["text"](bundle)], [-2.0, 0.5]),
}


def a_bundle() -> Bundle:
    bundle = tiny_bundle()
    bundle.parts["captioner"] = a_captioner().float()
    return bundle


def passes_of(bundle: Bundle) -> Passes:
    return recipes.prepare(bundle, recipes.recipe_for(bundle, temperature=2.0)).passes()


@pytest.mark.parametrize("kind", KINDS)
def test_the_targets_of_a_request_are_selected_repeated_and_reordered(kind: str) -> None:
    bundle = a_bundle()
    request, passes = KINDS[kind](bundle), passes_of(bundle)
    whole = request.condition(passes)(IMAGES)
    assert whole.shape == (len(request),) == (3,)
    for chains in ([0, 1, 2], [2, 0, 2, 1], [1], [2, 2]):
        some = request.select(chains)
        assert type(some) is type(request)
        assert some.names == tuple(request.names[chain] for chain in chains)
        assert (some.kind, some.noun, some.describe()) == (request.kind, request.noun, request.describe())
        torch.testing.assert_close(some.condition(passes)(IMAGES[chains]), whole[chains], rtol=1e-5, atol=1e-6)
    twice = request.select([2, 0, 1]).select([1, 1, 0])
    assert twice.names == request.select([0, 0, 2]).names
    torch.testing.assert_close(twice.condition(passes)(IMAGES[[0, 0, 2]]), whole[[0, 0, 2]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_each_chain_has_its_target_alone_in_a_batch_and_split(kind: str) -> None:
    bundle = a_bundle()
    request = KINDS[kind](bundle)
    whole, parts = (ppgn.sample(bundle, request, steps=2, batch=batch, seed=3) for batch in (3, 2))
    alone = ppgn.sample(bundle, request.select([2]), count=1, steps=2, seed=5)
    torch.testing.assert_close(parts.codes, whole.codes, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(alone.codes, whole.codes[2:], rtol=1e-4, atol=1e-5)
    assert whole.names == request.names and alone.names == request.names[2:]
    assert whole.about == request.describe()


@pytest.mark.parametrize("kind", KINDS)
def test_a_description_is_json(kind: str) -> None:
    described = KINDS[kind](a_bundle()).describe()
    assert json.loads(json.dumps(described)) == described
    assert isinstance(described["kind"], str)


def test_a_sum_describes_its_terms_with_their_weights_and_names_them() -> None:
    bundle = a_bundle()
    request = requests.weighted([requests.classes(bundle, "tench"), requests.function(dark)], [1.0, -0.5])
    assert request.names == ("tench - 0.5 dark",)
    assert [(term["kind"], term["weight"]) for term in request.describe()["terms"]] == [("class", 1.0), ("condition", -0.5)]


def test_the_kind_of_a_request_chooses_the_recipe() -> None:
    bundle = a_bundle()
    kinds = {name: make(bundle).kind for name, make in KINDS.items()}
    assert {name for name, kind in kinds.items() if kind == "class"} == {"class", "sum of classes"}
    assert {name for name, kind in kinds.items() if kind == "caption"} == {"caption"}
    assert set(kinds.values()) == {"class", "caption", "plugged"}


def test_a_label_is_a_probability_where_the_value_is_one() -> None:
    bundle = a_bundle()
    request, half = requests.classes(bundle, "golf ball"), math.log(0.5)
    assert request.label(0, half, LogSoftmax(4.0)) == "golf ball 0.50"
    assert request.label(0, half, Logit()) == "golf ball -0.693"
    assert KINDS["unit"](bundle).label(1, half) == "0:1@centre 0.50"
    assert KINDS["latent"](bundle).label(0, half) == "4 latent 5 -0.693"
    assert KINDS["sum of classes"](bundle).label(0, half) == "golf ball - 0.25 tench -0.693"


@pytest.mark.parametrize("wanted", [2, np.int64(2), torch.tensor(2), "golf ball", "2"])
def test_a_class_may_be_any_whole_number_or_a_name(wanted: Any) -> None:
    request = requests.of(a_bundle(), wanted, 3)
    assert request.names == ("golf ball",) * 3


@pytest.mark.parametrize("wanted", [[2, 0], np.array([2, 0]), torch.tensor([2, 0]), ("golf ball", "tench")])
def test_a_list_of_classes_may_be_any_sequence(wanted: Any) -> None:
    assert requests.of(a_bundle(), wanted).names == ("golf ball", "tench")


def test_a_caption_condition_of_several_captions_asks_one_of_each_chain() -> None:
    request = requests.of(a_bundle(), Caption(Letters(), ["a", "bbb"]))
    assert request.names == ("a", "bbb")
    assert requests.of(a_bundle(), Caption(Letters(), "a"), 3).names == ("a",) * 3


@pytest.mark.parametrize(
    ("wanted", "count", "said"),
    [
        (None, None, "got None to ask for, expected a class by name or number, a list of them, a request or a function"),
        (1.5, None, "got 1.5 to ask for"),
        ([1.5], None, "got 1.5 to ask for"),
        (7, None, "class 7 is out of range"),
        (-1, None, "class -1 is out of range"),
        ("church", None, "no class 'church'"),
        ([], None, "got count 0, expected at least 1"),
        ([0, 1], 3, "got 2 classes for 3 chains"),
        (
            ClassLogProb(a_network(), [0, 1]),
            3,
            r"for the chains \[0, 1, 2\], expected only chains that it has a request for",
        ),
        (Caption(Letters(), ["a", "b"]), 3, "got 2 captions for 3 chains"),
        (lambda image: image.mean(), 2, "return one log-probability per chain, not a mean or a sum over chains"),
        (lambda image: image.detach().mean((1, 2, 3)), 2, "is not connected to the image"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(wanted: Any, count: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        ppgn.sample(a_bundle(), wanted, count=count, steps=1)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: requests.weighted([]), "a sum of requests got 0 requests"),
        (lambda: requests.weighted([requests.function(dark)], [1.0, 2.0]), "and 2 weights, expected as many weights"),
        (lambda: requests.weighted([requests.function(dark)], [math.nan]), "expected finite numbers"),
        (
            lambda: requests.weighted([requests.function(dark, 2), requests.function(dark, 3)]),
            "a sum got 2 condition targets and 3 condition targets, expected as many of each",
        ),
        (lambda: requests.unit(a_network(), "0:*"), "expected numbers: write 0:0-15"),
        (lambda: requests.unit(a_network(), "9:0"), "no layer '9'"),
        (lambda: requests.unit(a_network(), "0:0", measure="softmax"), "got the measure 'softmax', expected one of"),
        (lambda: requests.captions(tiny_bundle(), "a shoe"), "bundle tiny has no captioner"),
        (lambda: requests.captions(a_bundle(), "a shoee"), "unknown word shoee"),
        (lambda: requests.classes(Bundle.of(lambda code: code[:, :, None, None], [1]), 0), "generator knows no classes"),
    ],
)
def test_a_request_that_cannot_be_made_is_one_sentence(make: Callable[[], Request], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


class Unlike:
    """Asks chains to differ: minus the square of each image's likeness to the mean of all."""

    couples = True

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __call__(self, image: Image) -> LogProb:
        self.seen.append(len(image))
        return (image - image.mean(0, keepdim=True)).square().mean((1, 2, 3))


@pytest.mark.parametrize("wrap", [lambda unlike: unlike, lambda unlike: And(unlike, dark), lambda unlike: Weighted(unlike, 2.0)])
def test_coupled_chains_run_at_once_and_are_refused_where_they_would_be_split(wrap: Callable[[Any], Any]) -> None:
    bundle, unlike = a_bundle(), Unlike()
    found = ppgn.sample(bundle, wrap(unlike), count=20, steps=2)
    assert len(found) == 20
    assert set(unlike.seen) == {20}
    with pytest.raises(ValueError, match="got batch 19 for 20 chains that are coupled, expected all at once"):
        ppgn.sample(bundle, wrap(unlike), count=20, steps=2, batch=19)
    request = requests.weighted([requests.classes(bundle, "tench"), requests.function(wrap(unlike))]).select([0] * 20)
    with pytest.raises(ValueError, match="20 chains that are coupled"):
        ppgn.sample(bundle, request, steps=2, batch=10)


def test_coupled_chains_are_tried_again_all_at_once() -> None:
    unlike = Unlike()
    ppgn.sample(a_bundle(), unlike, count=20, steps=2, tries=3, accept=1.0)
    assert set(unlike.seen) == {20}
    assert len(unlike.seen) == 3 * (2 + 1)  # two steps and the score of each run


@pytest.mark.parametrize("weight", [-1.0, -3.0])
def test_a_negative_weight_lowers_what_a_positive_one_raises(weight: float) -> None:
    bundle, changes = a_bundle(), {"prior": "none", "measure": "log_softmax", "step_size": 0.02, "steps": 30}
    bundle.encoder.fc8.weight.mul_(1e3)  # an untrained head says the same of all pictures
    wanted = requests.classes(bundle, [0, 1, 2])
    setup = recipes.prepare(bundle, recipes.recipe_for(bundle, **changes), wanted)
    objective = recipes.objective(setup, wanted)
    start = objective.score(recipes.starting_codes(setup, range(3)))
    raised, lowered = (
        objective.score(ppgn.sample(bundle, requests.weighted([wanted], [one]), **changes).codes) for one in (1.0, weight)
    )
    assert bool((raised > start + 1e-3).all())
    assert bool((lowered < start - 1e-3).all())
