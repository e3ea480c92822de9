"""Recipes that are wrong: whatever stands in their JSON, or is asked to change, is refused in one sentence."""

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import tiny_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recipe_values import EVERY, as_stored

from ppgn import recipes
from ppgn.priors import ReconstructionPrior
from ppgn.recipes import Recipe
from ppgn.samplers import ReleasedLangevin


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "a recipe got list, expected an object"),
        ("langevin", "a recipe got str"),
        ({"speed": 3}, "unknown settings speed: choose from sampler, prior, start"),
        ({"sampler": "langevin"}, "the sampler 'langevin', expected an object with a name"),
        ({"sampler": {"prior_scale": 1.0}}, "expected an object with a name"),
        ({"sampler": {"name": 3}}, "expected an object with a name"),
        ({"sampler": {"name": "gibbs"}}, "unknown sampler 'gibbs': choose langevin, released, ascent, adaptive, annealed"),
        ({"sampler": {"name": "nowhere:Gibbs"}}, "no module 'nowhere'"),
        ({"sampler": {"name": "langevin", "prior_scale": 1.0}}, "sampler langevin needs condition_scale, got none"),
        ({"sampler": {"name": "released", "decay": 1.0}}, r"sampler released does not have decay \(its settings: prior_scale"),
        ({"sampler": {"name": "released", "prior_scale": "much"}}, "prior_scale of sampler released got 'much'"),
        ({"sampler": {"name": "released", "prior_scale": [1, 2, 3]}}, r"got \[1, 2, 3\], expected a number, or a start"),
        ({"sampler": {"name": "released", "step_size": {"name": "cosine"}}}, "step_size of sampler released got"),
        ({"sampler": {"name": "released", "step_size": {"name": []}}}, "step_size of sampler released got"),
        ({"sampler": {"name": "released", "reset_every": 1.5}}, "sampler released got 1.5, expected a whole number"),
        ({"sampler": {"name": "released", "reset_every": 10**400}}, "reset_every of sampler released got 1000"),
        ({"sampler": {"name": "released", "prior_scale": 10**400}}, "prior_scale of sampler released got 1000"),
        ({"sampler": {"name": "released", "reset_every": -1}}, "at least 0"),
        ({"sampler": {"name": "adaptive", "prior_scale": 1, "step_size": 1, "momentum": 2}}, "momentum 2"),
        ({"sampler": {"name": "annealed", "levels": {"name": "spaced", "highest": "1", "lowest": 0.1}}}, "levels of sampler"),
        ({"sampler": {"name": "annealed", "levels": ["a", "b"]}}, "levels of sampler annealed"),
        ({"prior": {"name": "noise_level", "level": True}}, "level of prior noise_level got True, expected a finite number"),
        ({"prior": {"name": "none", "scale": 1}}, r"prior none does not have scale \(its settings: none\)"),
        ({"prior": {"name": "pixel_denoiser"}}, "got prior 'pixel_denoiser' with generator 'generator': choose generator pixels"),
        ({"start": {"name": "nowhere"}}, "unknown start 'nowhere': choose normal, unclipped, codes, noise_level"),
        ({"measure": {"name": "logit", "temperature": 2.0}}, "measure logit does not have temperature"),
        ({"measure": {"name": "released", "temperature": 0}}, "temperature 0, expected more than 0"),
        ({"bounds": {"name": "fixed", "low": 3, "high": 1}}, "bounds from 3 to 1, expected low <= high"),
        ({"bounds": {"name": "fixed", "low": None}}, "low of bounds fixed got None, expected a finite number"),
        ({"choice": {"draws": 0}}, "got 0 draws, expected at least 1"),
        ({"choice": {"draws": 2.5}}, "draws of choice got 2.5, expected a whole number"),
        ({"choice": 3}, "choice got 3, expected an object"),
        ({"retries": {"accept": float("nan")}}, "accept of retries got nan"),
        ({"retries": {"tries": 2}, "measure": {"name": "logit"}}, "got 2 tries with measure 'logit'"),
        ({"retries": {"limit": 2}}, r"retries does not have limit \(its settings: tries, accept\)"),
        ({"generator": 3}, "generator got 3, expected a word"),
        ({"steps": "many"}, "steps got 'many', expected a whole number"),
        ({"steps": 0}, "got 0 steps, expected at least 1"),
        ({"steps": True}, "steps got True"),
        ({"precision": "float16"}, "unknown precision 'float16': choose float32, bfloat16, auto"),
        ({"precision": None}, "precision got None"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_is_refused_in_one_sentence(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Recipe.from_json(wrong)
    assert "\n" not in str(raised.value) and "--" not in str(raised.value)


WORDS = st.text(st.characters(exclude_characters=":"), max_size=8)  # a colon names a module, which would be imported
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, -(10**400), 0, -1, True]))
NAMES = st.sampled_from([name for family in recipes.FAMILIES.values() for name in family] + ["linear", "spaced", "pixels"])
VALUES = st.recursive(
    st.one_of(st.none(), NUMBERS, WORDS, NAMES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(WORDS, st.sampled_from(["name", "start", "end", "steps", "highest", "lowest", "count", "rho"])),
                        inner, max_size=4),
    ),
    max_leaves=6,
)  # fmt: skip


def places(tree: Any) -> list[tuple[dict[str, Any], str]]:
    """(object, key) of everything in a JSON tree."""
    if not isinstance(tree, Mapping):
        return []
    found = [(tree, key) for key in tree]
    return [*found, *(place for child in tree.values() for place in places(child))]  # type: ignore[list-item]


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_a_mutated_recipe_is_a_recipe_or_a_value_error(data: st.DataObject) -> None:
    tree = copy.deepcopy(as_stored(EVERY[data.draw(st.sampled_from(sorted(EVERY)))]))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places(tree)))
        change = data.draw(st.sampled_from(["replace", "drop", "add", "rename"]))
        if change == "replace":
            holder[key] = data.draw(VALUES)
        elif change == "add":
            holder[data.draw(WORDS)] = data.draw(VALUES)
        else:
            value = holder.pop(key)
            if change == "rename":
                holder[data.draw(WORDS)] = value
        if not places(tree):
            break
    try:
        made = Recipe.from_json(tree)
    except ValueError:
        return
    assert Recipe.from_json(as_stored(made)) == made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"decay": 0.9}, r"got decay 0.9, which the sampler released does not have \(its settings: .*reset_every\): .* ascent"),
        ({"level": 0.5}, r"which the prior reconstruction does not have \(its settings: none\): .* choose prior noise_level"),
        ({"measure": "logit", "temperature": 2.0}, "which the measure logit does not have"),
        ({"bounds": "statistics", "bounds_low": 1.0}, "which the bounds statistics does not have"),
        ({"gradient": "released"}, "unknown settings gradient: choose from .*measure.*temperature"),
        ({"step_size_end": 0.1}, "unknown settings step_size_end"),
        ({"code_low": 0.1}, "unknown settings code_low: choose from .*bounds_low"),
        ({"compile": True}, "unknown settings compile"),
        ({"sampler": "gibbs"}, "unknown sampler 'gibbs'"),
        ({"sampler": 3}, "as the sampler, expected an object with init and step"),
        ({"prior": 3}, "as the prior, expected an object with"),
        ({"start": lambda code: code}, "as the start, expected an object with draw"),
        ({"step_size": "fast"}, "step_size got 'fast', expected a number, or a start and an end"),
        ({"start_mean": "high"}, "start_mean got 'high', expected a finite number"),
        ({"choice": 3}, "choice got 3, expected"),
        ({"draws": 0}, "got 0 draws"),
        ({"steps": "5"}, "steps got '5', expected a whole number"),
        ({"steps": 2.0}, "steps got 2.0, expected a whole number"),
        ({"generator": 3}, "generator got 3, expected a word"),
        ({"precision": "float16"}, "unknown precision 'float16'"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_fit_is_one_sentence(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Recipe(ReleasedLangevin(), ReconstructionPrior()).changed(**changes)
    assert "\n" not in str(raised.value) and "--" not in str(raised.value)


def test_a_recipe_for_no_kind_of_request_and_one_that_is_no_recipe_are_refused() -> None:
    with pytest.raises(ValueError, match="requests of kind 'ppgn_h', expected caption, plugged, class"):
        recipes.recipe_for(tiny_bundle(), "ppgn_h")
    with pytest.raises(ValueError, match=r"unknown recipe \{'steps': 3\}: choose ppgn_x"):
        recipes.recipe_for(tiny_bundle(), "class", {"steps": 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("setting", "said"), [("steps", "as the recipe has one too"), ("temperature", "as the sampler has one too")]
)
def test_two_settings_of_one_name_are_refused(setting: str, said: str) -> None:
    own = dataclasses.make_dataclass("Own", [(setting, float, 1.0)], bases=(ReleasedLangevin,), frozen=True)
    with pytest.raises(ValueError, match=f"has a setting '{setting}', expected another name, {said}"):
        Recipe(own())


def test_a_wrong_recipe_of_a_bundle_is_refused_in_its_name() -> None:
    bundle = tiny_bundle()
    bundle.recipes["plugged"] = {"steps": 0}
    with pytest.raises(ValueError, match="a recipe of the bundle tiny: got 0 steps"):
        recipes.recipe_for(bundle)
