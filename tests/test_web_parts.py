"""The page without a browser: wishes as texts and as requests, recipes as forms."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import ppgn
from ppgn import cli, recipes, sampling
from ppgn.bundle import Bundle
from ppgn.recipes import Recipe
from ppgn.requests import Plugged, Request
from ppgn.samplers import SAMPLERS
from ppgn.web import Known, Wish, read_wish, wishes
from ppgn.web import settings as forms

pytestmark = pytest.mark.usefixtures("one_thread")

MODULE = """
import torch
from torch import nn

def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))

def bright(image):
    return image.mean((1, 2, 3)).log()
"""
NETWORK = Plugged("my_parts:network", size=(8, 8), mean=(-0.25,), std=(0.5,))
KNOWN = Known(
    {"my_parts:network": NETWORK}, ("my_parts:bright",), "hf:a_model", {"stripes": ("stripes.safetensors", "trunk.block0.0")}
)
NAMES = Known(
    {"lite:0": Plugged("lite:0"), "b": Plugged(), "a of b": Plugged()}, ("m:f", "m:g"), "", {"d 1": ("d.safetensors", "l")}
)


@pytest.fixture
def place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a bundle called "tiny", a network, a function and a direction."""
    (folder / "my_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    save_file({"direction": torch.linspace(-1, 1, 8)}, "stripes.safetensors")
    return folder


# Wishes

WORDS = st.one_of(
    st.sampled_from(["church", "golf ball", "unit", "class", "text book", "2 * church", "class x", "block8:7", "a of b", "*"]),
    st.text(min_size=1, max_size=40),
)
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr), st.sampled_from(["2", "-.5", "+3.", "1e-5", "-2E3", "1", "1.0"])
)
TEXTS = st.builds(
    lambda weight, kind, value, network: f"{weight}{kind}{value}{network}",
    st.one_of(st.just(""), NUMBERS.map(lambda number: f"{number} * "), NUMBERS.map(lambda number: f"{number}*")),
    st.sampled_from(["", "", *(f"{kind} " for kind in wishes.KEYWORDS)]),
    WORDS,
    st.sampled_from(["", "", " of lite:0", " of b", " of a of b", " of nobody"]),
)


@given(TEXTS)
@settings(deadline=None, max_examples=200)
def test_every_wish_is_read_back_from_its_text(text: str) -> None:
    try:
        wish = read_wish(text, NAMES)
    except ValueError:
        return
    assert read_wish(str(wish), NAMES) == wish


@given(
    st.sampled_from(["class", "unit", "sentence", "text"]),
    st.text(min_size=1, max_size=60).map(str.strip).filter(bool),
    st.floats(allow_nan=False, allow_infinity=False).filter(bool),
)
@settings(deadline=None, max_examples=100)
def test_a_wish_of_any_words_is_read_back_with_its_weight_to_the_last_bit(kind: str, value: str, weight: float) -> None:
    wish = Wish(kind, value, "lite:0" if kind in wishes.OF_NETWORK else "", weight)
    assert read_wish(str(wish), NAMES) == wish


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("church", Wish("class", "church")),
        ("  golf ball ", Wish("class", "golf ball")),
        ("-0.5 * golf ball", Wish("class", "golf ball", weight=-0.5)),
        ("1e-05*golf ball", Wish("class", "golf ball", weight=1e-5)),
        ("2. * .5 * church", Wish("class", ".5 * church", weight=2)),
        ("unit block8:60 of lite:0", Wish("unit", "block8:60", "lite:0")),
        ("-2 * unit block8:60 of lite:0", Wish("unit", "block8:60", "lite:0", -2)),
        ("church of a of b", Wish("class", "church", "a of b")),
        ("church of nobody", Wish("class", "church of nobody")),
        ("sentence the work of lite:0", Wish("sentence", "the work of lite:0")),
        ("class text book", Wish("class", "text book")),
        ("unit", Wish("class", "unit")),
        ("function m:g", Wish("function", "m:g")),
        ("direction d 1 of lite:0", Wish("direction", "d 1", "lite:0")),
    ],
)
def test_what_a_text_wishes(text: str, wish: Wish) -> None:
    assert read_wish(text, NAMES) == wish


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "got a wish of 0 characters"),
        (" \n", "got a wish of 0 characters"),
        ("x" * 301, "got a wish of 301 characters, expected 1 to 300"),
        ("0 * church", "got the weight 0, expected a number that is not 0"),
        ("-1e999 * church", "got the weight -inf"),
        ("function os:system", r"got the function os:system, expected one that this page was started with \(m:f, m:g\)"),
        ("direction ../../etc/passwd", r"got the direction ../../etc/passwd, expected one that was uploaded \(d 1\)"),
    ],
)
def test_a_text_that_wishes_nothing_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_wish(text, NAMES)


def caught(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[Request, Recipe]:
    """The request and the recipe that `ppgn sample tiny` makes of words, without the run."""
    found: list[Any] = []

    def sample(bundle: Bundle, wanted: Request, **options: Any) -> None:
        found.extend([wanted, options["recipe"]])
        raise ValueError("caught")

    with monkeypatch.context() as patched:
        patched.setattr(sampling, "sample", sample)
        cli.main(["sample", "tiny", *words, "--count", "1"])
    assert found, capsys.readouterr().err
    return found[0], found[1]


TOGETHER = [
    ["tench"],
    ["-0.5 * golf ball"],
    ["tench", "-0.123456789 * golf ball", "3"],
    ["1e-05 * tench", "-1e-05 * gas pump"],
    ["all"],
    ["unit trunk.block0.0:3"],
    ["unit trunk.block0.0:3", "-2 * unit trunk.block0.0:5"],
    ["unit trunk.block0.0:0-2"],
    ["tench", "0.25 * unit trunk.block0.0:3"],
    ["0.25 * unit trunk.block0.0:3", "tench"],
    ["2 of my_parts:network"],
    ["2 of my_parts:network", "-1 * 0 of my_parts:network"],
    ["unit 0:1 of my_parts:network"],
    ["0.5 * unit 0:1 of my_parts:network", "-1 * 4 of my_parts:network"],
    ["function my_parts:bright"],
    ["-1 * function my_parts:bright", "tench"],
]
APART = [
    ["tench", "2 of my_parts:network"],
    ["unit trunk.block0.0:3", "unit fc8:1"],
    ["tench", "golf ball", "unit trunk.block0.0:3"],
    ["tench", "-0.5 * tench"],
    ["unit trunk.block0.0:3@centre", "unit trunk.block0.0:4"],
    ["direction stripes"],
    ["direction stripes", "-0.5 * tench"],
]


@pytest.mark.parametrize("texts", TOGETHER + APART, ids=" + ".join)
def test_words_and_python_ask_for_the_same_as_the_page(
    texts: list[str], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, listed = ppgn.load("tiny"), [read_wish(text, KNOWN) for text in texts]
    request = wishes.request_of(bundle, listed, KNOWN)
    found = [eval(wishes.python(listed, KNOWN), {"ppgn": ppgn, "bundle": bundle})]
    words = wishes.words(listed, KNOWN)
    assert (words is None) == (texts in APART)
    if words is not None:
        found.append(caught(words, monkeypatch, capsys)[0])
    for one in found:
        assert (one.names, one.describe(), one.kind) == (request.names, request.describe(), request.kind)
        assert one.condition(passes(bundle))(pictures(len(one))).equal(request.condition(passes(bundle))(pictures(len(request))))
    assert wishes.kind_of(listed) == request.kind
    assert sorted(wish.weight for wish in listed) == sorted(weights(request, len(listed)))


def weights(request: Request, count: int) -> list[float]:
    about = request.describe()
    return [term["weight"] for term in about["terms"]] if about["kind"] == "sum" else [1.0] * count


def passes(bundle: Bundle) -> Any:
    return recipes.prepare(bundle, recipes.recipe_for(bundle)).passes()


def pictures(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(4))


def test_sentences_and_texts_are_words_of_the_command_line() -> None:
    listed = [read_wish(text, KNOWN) for text in ("sentence a red bag", "2 * sentence -x")]
    words = wishes.words(listed, KNOWN)
    assert words is not None
    found = cli.parse(["sample", "tiny", *words])
    assert (found.caption, found.weight) == (["a red bag", "-x"], [1.0, 2.0])
    words = wishes.words([read_wish("text it's a bag", KNOWN), read_wish("-1 * tench", KNOWN)], KNOWN)
    assert words is not None
    found = cli.parse(["sample", "tiny", *words])
    assert (found.text, found.similarity, found.class_, found.weight) == (["it's a bag"], "hf:a_model", ["tench"], [-1.0, 1.0])
    assert "similarity='hf:a_model'" in wishes.python([read_wish("text it's a bag", KNOWN)], KNOWN)
    assert wishes.kind_of(listed) == "caption" and wishes.kind_of([]) == "class"


def test_a_request_of_no_wishes_and_a_text_without_a_model_are_refused() -> None:
    with pytest.raises(ValueError, match="got nothing that is wanted"):
        wishes.request_of(tiny_bundle(), [], KNOWN)
    with pytest.raises(ValueError, match="got a text, expected a page that was started with a model for texts"):
        wishes.request_of(tiny_bundle(), [Wish("text", "a bag")], NAMES)


# Forms


def sent(form: dict[str, Any]) -> dict[str, Any]:
    """A form as a browser sends it back, where 1.0 is 1."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        if isinstance(value, list):
            return [plain(one) for one in value]
        return int(value) if isinstance(value, float) and value.is_integer() else value

    return plain(json.loads(json.dumps(form)))


def typed(form: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A form with other values in its fields."""
    form = sent(form)
    known = {field["name"]: field for group in form["groups"] for field in group["fields"]}
    for name, value in values.items():
        known[name]["value"] = value
    return form


LEVELS = {"prior": "noise_level", "start": "noise_level"}
MEMBERS: dict[str, tuple[str, dict[str, str]]] = {
    name: (forms.OWN, {"sampler": name, **(LEVELS if hasattr(rule, "levels") else {})}) for name, rule in SAMPLERS.items()
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_form_shows_every_number_of_every_rule(name: str) -> None:
    bundle = tiny_bundle()
    recipe, members = MEMBERS[name]
    shown = forms.form_of(bundle, "class", recipe, members)["groups"][0]["fields"]
    kinds = {field["name"]: field["kind"] for field in shown}
    for one in dataclasses.fields(SAMPLERS[name]):
        if not one.metadata.get("setting", True):
            continue
        expected = (
            "scale" if "Scale" in str(one.type) or "Spaced" in str(one.type) else {"bool": "switch"}.get(str(one.type), "number")
        )
        assert kinds.get(one.name) == (None if str(one.type) == "str" else expected), one.name
    assert forms.values_of(forms.form_of(bundle, "class", recipe, members))["sampler"] == name


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_form_of_a_chosen_rule_comes_back_as_the_choice_of_it(name: str) -> None:
    bundle = tiny_bundle()
    recipe, members = MEMBERS[name]
    form = sent(forms.form_of(bundle, "class", recipe, members))
    own = recipes.recipe_for(bundle)
    expected = {member: chosen for member, chosen in members.items() if own.flat()[member] != chosen}
    assert forms.members_of(bundle, form) == expected
    _, changes = forms.changes_of(bundle, "class", form)
    assert {member: changes[member] for member in expected} == expected
    made = recipes.recipe_for(bundle, **changes).flat()
    shown = forms.values_of(form)
    for setting in shown:
        value = made[setting]
        ends = (
            [value.start, value.end]
            if hasattr(value, "start")
            else [value.highest, value.lowest]
            if hasattr(value, "lowest")
            else value
        )
        assert shown[setting] in (ends, [ends, ends]), setting


def test_a_form_as_it_was_sent_changes_nothing() -> None:
    bundle = tiny_bundle()
    for kind in ("class", "plugged", "caption"):
        for name in forms.recipe_names(bundle):
            assert forms.changes_of(bundle, kind, sent(forms.form_of(bundle, kind, name))) == (name, {})


def test_a_form_of_another_kind_of_request_counts_as_not_typed() -> None:
    bundle = tiny_bundle()
    form = typed(forms.form_of(bundle, "class", forms.OWN), steps=9)
    assert forms.changes_of(bundle, "class", form) == (forms.OWN, {"steps": 9})
    assert forms.changes_of(bundle, "plugged", form) == (forms.OWN, {})


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # recipe, members, what is typed, the changes of the library
    (forms.OWN, {}, {"steps": 7}, {"steps": 7}),
    (forms.OWN, {}, {"steps": 7.0, "draws": 3}, {"steps": 7, "draws": 3}),
    (forms.OWN, {}, {"prior_scale": [0.1, 0.1]}, {"prior_scale": 0.1}),
    (forms.OWN, {}, {"prior_scale": [1e-7, 1e-7]}, {"prior_scale": 1e-7}),
    (forms.OWN, {}, {"step_size": [0.123456789, 0.01]}, {"step_size": (0.123456789, 0.01)}),
    (forms.OWN, {}, {"step_size": [2, 1e-10], "noise_scale": [0.5, 0]}, {"step_size": (2.0, 1e-10), "noise_scale": (0.5, 0.0)}),
    (forms.OWN, {}, {"step_size": [0.3, 0.3], "temperature": 2}, {"step_size": 0.3, "temperature": 2.0}),
    (forms.OWN, {}, {"start_mean": -0.5, "start_std": 0.25}, {"start_mean": -0.5, "start_std": 0.25}),
    (forms.OWN, {}, {"start_mean": -1e-5}, {"start_mean": -1e-5}),
    (forms.OWN, {}, {"precision": "bfloat16", "draw_power": 0.5}, {"precision": "bfloat16", "draw_power": 0.5}),
    (forms.OWN, {"sampler": "adam"}, {"nesterov": True}, {"sampler": "adam", "nesterov": True}),
    (forms.OWN, {"measure": "log_softmax"}, {}, {"measure": "log_softmax"}),
    (forms.OWN, {"prior": "none", "start": "unclipped"}, {"steps": 2}, {"prior": "none", "start": "unclipped", "steps": 2}),
    (forms.OWN, {"sampler": "annealed", **LEVELS}, {"levels": [0.4, 0.1], "corrections": 2},
     {"sampler": "annealed", **LEVELS, "levels": (0.4, 0.1), "corrections": 2}),
    ("ppgn_h", {}, {"noise_scale": [0.1, 0.1]}, {"noise_scale": 0.1}),
    ("ppgn_h_released", {"sampler": "langevin"}, {"condition_limit": 0.5}, {"sampler": "langevin", "condition_limit": 0.5}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "members", "values", "changes"), CHANGES)
def test_what_is_typed_arrives_as_changes_and_their_flags_make_the_same_recipe(
    name: str, members: dict[str, str], values: dict[str, Any], changes: dict[str, Any],
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    bundle = ppgn.load("tiny")
    form = typed(forms.form_of(bundle, "class", name, members), **values)
    found = forms.changes_of(bundle, "class", form)
    assert found == (name, changes)
    assert {setting: type(value) for setting, value in found[1].items()} == {one: type(value) for one, value in changes.items()}
    recipe = recipes.recipe_for(bundle, "class", None if name == forms.OWN else name, **changes)
    assert recipe == forms.recipe_of(bundle, "class", name, changes)
    assert caught(["--class", "0", *forms.flags(name, changes)], monkeypatch, capsys)[1] == recipe


def test_a_switch_that_is_put_out_is_a_flag_that_says_no() -> None:
    assert forms.flags(forms.OWN, {"nesterov": False, "step_size": (0.5, 0.1)}) == ["--no-nesterov", "--step-size", "0.5:0.1"]


WORDS_OF_JUNK = st.sampled_from(["os:system", "langevin", "1e999"])
KEYS_OF_JUNK = st.sampled_from(["name", "value", "groups", "fields"])
JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), WORDS_OF_JUNK),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS_OF_JUNK, inner)),
    max_leaves=6,
)
TINY = tiny_bundle()
FIELDS = [field["name"] for group in forms.form_of(TINY, "class", forms.OWN)["groups"] for field in group["fields"]]


def sentence_of(call: Callable[[], Any]) -> None:
    """Calls what may refuse with a ValueError, and with no other exception."""
    with contextlib.suppress(ValueError):
        call()


@given(JUNK)
@settings(deadline=None, max_examples=100)
def test_anything_but_a_form_is_refused(junk: Any) -> None:
    with pytest.raises(ValueError, match="form"):
        forms.changes_of(TINY, "class", junk)
    with pytest.raises(ValueError, match="form"):
        forms.members_of(TINY, junk)


@given(st.sampled_from(FIELDS), JUNK)
@settings(deadline=None, max_examples=100)
def test_a_form_with_any_value_in_a_field_is_read_or_refused_in_a_sentence(name: str, junk: Any) -> None:
    form = forms.form_of(TINY, "class", forms.OWN)
    next(field for group in form["groups"] for field in group["fields"] if field["name"] == name)["value"] = junk
    sentence_of(lambda: forms.members_of(TINY, form))
    sentence_of(lambda: recipes.recipe_for(TINY, "class", None, **forms.changes_of(TINY, "class", form)[1]))


@given(st.sampled_from(["kind", "recipe", "groups"]), JUNK)
@settings(deadline=None, max_examples=100)
def test_a_form_with_any_head_is_read_or_refused_in_a_sentence(name: str, junk: Any) -> None:
    form = {**forms.form_of(TINY, "class", forms.OWN), name: junk}
    sentence_of(lambda: forms.members_of(TINY, form))
    sentence_of(lambda: forms.changes_of(TINY, "class", form))
    form = forms.form_of(TINY, "class", forms.OWN)
    del form[name]
    with pytest.raises(ValueError, match="no form of this page"):
        forms.changes_of(TINY, "class", form)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"sampler": "os:system"}, "got the sampler 'os:system', expected langevin"),
        ({"prior": "test_web_parts:House"}, "got the prior 'test_web_parts:House'"),
        ({"sampler": None}, "names in a form that are no texts"),
        ({"steps": float("nan")}, "got steps nan, expected a number"),
        ({"steps": float("inf")}, "got steps inf, expected a number"),
        ({"steps": 1e400}, "got steps inf, expected a number"),
        ({"steps": 2.5}, "steps got 2.5, expected a whole"),
        ({"steps": 0}, "got 0 steps"),
        ({"steps": "many"}, "got steps many, expected a number"),
        ({"step_size": [float("nan"), 1]}, "step_size|nan"),
        ({"step_size": 3}, "got step_size 3, expected a number"),
        ({"step_size": [1, 2, 3]}, r"got step_size \[1, 2, 3\], expected a number"),
        ({"prior_scale": [-1, -1]}, "prior_scale"),
        ({"precision": "float16"}, "got precision float16, expected auto, float32, bfloat16"),
        ({"precision": "reproducible"}, "got precision reproducible"),
        ({"draws": [1]}, r"got draws \[1\], expected a number"),
        ({"temperature": {}}, "got temperature {}, expected a number"),
    ],
)
def test_a_wrong_value_is_refused_in_a_sentence(values: dict[str, Any], sentence: str) -> None:
    form = forms.form_of(TINY, "class", forms.OWN)
    for group in form["groups"]:
        for field in group["fields"]:
            field["value"] = values.get(field["name"], field["value"])
    with pytest.raises(ValueError, match=sentence):
        forms.changes_of(TINY, "class", form)


def test_an_unknown_recipe_and_an_unknown_kind_are_refused() -> None:
    form = forms.form_of(TINY, "class", forms.OWN)
    with pytest.raises(ValueError, match="got the recipe 'os:system', expected the bundle's own"):
        forms.changes_of(TINY, "class", {**form, "recipe": "os:system"})
    with pytest.raises(ValueError, match="kind"):
        forms.members_of(TINY, {**form, "kind": "os:system"})
    with pytest.raises(ValueError, match="unknown recipe"):
        forms.form_of(TINY, "class", "os:system")


def test_a_switch_takes_true_and_false_alone() -> None:
    form = forms.form_of(TINY, "class", forms.OWN, {"sampler": "adam"})
    for junk in ("false", 1, None):
        with pytest.raises(ValueError, match="got nesterov .*, expected True, False"):
            forms.changes_of(TINY, "class", typed(form, nesterov=junk))


@pytest.mark.parametrize("sampler", ["ascent", "adaptive", "langevin"])
def test_a_rule_of_which_no_recipe_has_settings_can_be_chosen(sampler: str) -> None:
    bundle = tiny_bundle()
    bundle.papers = {}
    form = sent(forms.form_of(bundle, "class", forms.OWN, {"sampler": sampler}))
    changes = forms.changes_of(bundle, "class", form)[1]
    assert recipes.recipe_for(bundle, **changes).flat()["sampler"] == sampler


def test_chains_that_begin_anew_elsewhere_have_every_measure_on_the_page() -> None:
    bundle = tiny_bundle()
    bundle.recipes["class"]["retries"]["tries"] = 3
    form = forms.form_of(bundle, "class", forms.OWN, {"measure": "logit"})
    assert forms.changes_of(bundle, "class", form)[1] == {"measure": "logit"}


@pytest.mark.parametrize("name", ["steps", "draws", "start_steps", "corrections"])
def test_counts_beyond_those_of_the_page_are_refused(name: str) -> None:
    forms.check_most({name: 1000, "prior_scale": 2000.0}, 1000)
    with pytest.raises(ValueError, match=f"got {name} 1001, expected at most 1000 on this page"):
        forms.check_most({"sampler": "annealed", name: 1001}, 1000)
