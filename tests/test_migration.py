"""Bundles of version 1 become version 2: nothing is lost, nothing is guessed, and the file changes at once."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import save_tiny_bundle

from ppgn.bundle import load_bundle, migrate_bundle, read_info, to_version_2
from ppgn.errors import BundleError
from ppgn.recipes import Recipe
from ppgn.types import ImageSpec

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_bundle(tmp_path / "tiny")


def stored(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bundle.json").read_text())


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


class Killed(BaseException):
    """What ends a process where it stands."""


SETTINGS = {
    "sampler": "adaptive", "prior": "reconstruction", "start": "noise_level", "gradient": "log_softmax", "temperature": 4.0,
    "prior_scale": 0.15, "condition_scale": 50, "step_size": 0.2, "step_size_end": 0.05, "draws": 40, "draw_power": 2.0,
    "steps": 25, "precision": "auto", "compile": False,
}  # fmt: skip
VERSION_1: dict[str, Any] = {
    "format": "ppgn-bundle", "version": 1, "name": "old", "parts": {"generator": {}},
    "code": {"shape": [2], "high": [1.0, 2.0], "active": 0.3}, "image": {"size": 8, "channels": 1},
    "class_names": ["a", "b"], "recipe": {"name": "class", "settings": SETTINGS, "precisions": ["bfloat16"]},
    "training": {"encoder": {}}, "data": {}, "licence": "MIT", "source": "me", "scores": {"accuracy": 1.0},
}  # fmt: skip
NESTED: dict[str, Any] = {
    "sampler": {
        "name": "adaptive", "prior_scale": 0.15, "step_size": {"name": "linear", "start": 0.2, "end": 0.05},
        "noise_scale": 0.0, "momentum": 0.0,
    },
    "prior": {"name": "reconstruction"},
    "start": {"name": "noise_level"},
    "measure": {"name": "log_softmax", "temperature": 4.0},
    "generator": "generator",
    "bounds": {"name": "fixed", "low": 0.0, "high": 30.0},
    "choice": {"draws": 40, "draw_power": 2.0},
    "retries": {"tries": 1, "accept": -0.7},
    "steps": 25,
    "precision": "auto",
}  # fmt: skip
EQ_11 = {"name": "langevin", "prior_scale": 0.15, "condition_scale": 50.0, "noise_scale": 0.0, "condition_limit": 0.0}


def with_recipe(**recipe: object) -> dict[str, Any]:
    return to_version_2({**VERSION_1, "recipe": {**VERSION_1["recipe"], **recipe}})


def sampler_of(settings: dict[str, Any]) -> dict[str, Any]:
    return with_recipe(settings=settings)["recipes"]["class"]["sampler"]


def test_version_1_becomes_version_2_field_by_field_and_stays_as_it_was() -> None:
    given = copy.deepcopy(VERSION_1)
    assert to_version_2(given) == {
        **{key: VERSION_1[key] for key in ("format", "name", "parts", "training", "data", "licence", "source", "scores")},
        "version": 2,
        "code": {**VERSION_1["code"], "relu": True},
        "image": {"height": 8, "width": 8, "channels": 1},
        "classes": ["a", "b"],
        "recipes": {"class": NESTED},
        "papers": {"class": {**NESTED, "sampler": EQ_11}},
        "precisions": ["bfloat16"],
    }
    assert given == VERSION_1


def test_a_kind_of_request_has_the_class_recipe_with_its_own_changes() -> None:
    recipes = with_recipe(plugged={"steps": 50, "draws": 1}, caption={"temperature": 1.5})["recipes"]
    assert recipes["class"] == NESTED
    assert recipes["plugged"] == {**NESTED, "steps": 50, "choice": {"draws": 1, "draw_power": 2.0}}
    assert recipes["caption"] == {**NESTED, "measure": {"name": "log_softmax", "temperature": 1.5}}


def test_a_kind_without_changes_is_left_to_fall_back() -> None:
    migrated = with_recipe(plugged={"steps": 50}, caption={})
    assert list(migrated["recipes"]) == list(migrated["papers"]) == ["class", "plugged"]


def test_the_papers_start_from_their_own_changes_under_those_of_the_kind() -> None:
    papers = with_recipe(papers={"temperature": 3.0, "steps": 100}, plugged={"steps": 50, "condition_scale": 1.0})["papers"]
    measure = {"name": "log_softmax", "temperature": 3.0}
    assert papers["class"] == {**NESTED, "sampler": EQ_11, "measure": measure, "steps": 100}
    assert papers["plugged"] == {**NESTED, "sampler": {**EQ_11, "condition_scale": 1.0}, "measure": measure, "steps": 50}


def test_what_version_1_left_out_had_its_defaults() -> None:
    assert with_recipe(settings={})["recipes"]["class"] == Recipe().to_json()


@pytest.mark.parametrize(
    ("settings", "sampler"),
    [
        ({"sampler": "langevin", "condition_limit": 2.0}, {"condition_limit": 2.0, "prior_scale": 1e-5}),
        ({"sampler": "released", "step_size": 0.5, "step_size_end": 0.5}, {"step_size": 0.5, "reset_every": 0}),
        ({"sampler": "released", "step_size": 0.5}, {"step_size": {"name": "linear", "start": 0.5, "end": 1.0}}),
        ({"sampler": "ascent", "decay": 0.99}, {"decay": 0.99, "step_size": 1.0, "prior_scale": 1e-5}),
        ({"sampler": "adaptive", "momentum": 0.5}, {"momentum": 0.5, "noise_scale": 0.0}),
        (
            {"sampler": "annealed", "prior": "noise_level", "start": "codes", "level": 1.0, "step_size": 0.1},
            {"levels": {"name": "spaced", "highest": 1.0, "lowest": 0.05}, "step_size": 0.1, "corrections": 1},
        ),
    ],
)
def test_each_sampler_takes_its_own_settings(settings: dict[str, Any], sampler: dict[str, Any]) -> None:
    found = sampler_of(settings)
    assert found["name"] == settings["sampler"]
    assert sampler.items() <= found.items()
    recipe = with_recipe(settings=settings)["recipes"]["class"]
    assert Recipe.from_json(recipe).to_json() == recipe


@pytest.mark.parametrize(
    ("settings", "member", "wanted"),
    [
        ({"prior": "noise_level", "level": 0.7}, "prior", {"name": "noise_level", "level": 0.7}),
        ({"start": "unclipped", "start_std": 2.0}, "start", {"name": "unclipped", "mean": 0.0, "std": 2.0}),
        ({"gradient": "logit", "temperature": 2.0}, "measure", {"name": "logit"}),
        ({"bounds": "statistics"}, "bounds", {"name": "statistics"}),
        ({"code_low": -1.0, "code_high": 5}, "bounds", {"name": "fixed", "low": -1.0, "high": 5.0}),
        ({"tries": 3, "accept": -4.0}, "retries", {"tries": 3, "accept": -4.0}),
    ],
)
def test_each_member_takes_its_own_settings(settings: dict[str, Any], member: str, wanted: dict[str, Any]) -> None:
    assert with_recipe(settings=settings)["recipes"]["class"][member] == wanted


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"class_names": "church"}, "class_names 'church', expected a list"),
        ({"magic": 1}, "unknown field 'magic'"),
        ({"image": {"size": 8}}, "lacks channels"),
        ({"image": {"size": "8", "channels": 1}}, "size '8', expected a whole number"),
        ({"image": {"size": 8, "height": 8, "channels": 1}}, "unknown field 'height'"),
        ({"recipe": {"setings": {}}}, "unknown field 'setings'"),
        ({"recipe": {"settings": []}}, r"settings \[\], expected an object"),
        ({"recipe": {"settings": {"magic": 1}}}, "unknown field 'magic'"),
        ({"recipe": {"settings": {"steps": 2.5}}}, "steps 2.5, expected a whole number"),
        ({"recipe": {"settings": {"steps": True}}}, "steps True, expected a whole number"),
        ({"recipe": {"settings": {"prior_scale": "0.1"}}}, "prior_scale '0.1', expected a number"),
        ({"recipe": {"settings": {"sampler": "gibbs"}}}, "sampler 'gibbs', expected langevin, released"),
        ({"recipe": {"plugged": {"gradient": "cubist"}}}, "gradient 'cubist', expected log_softmax"),
        ({"recipe": {"papers": {"stepz": 1}}}, "unknown field 'stepz'"),
    ],
)
def test_a_wrong_field_of_version_1_is_one_sentence(folder: Path, changes: dict[str, Any], said: str) -> None:
    (folder / "bundle.json").write_text(json.dumps({**VERSION_1, **changes}))
    with pytest.raises(BundleError, match=said) as raised:
        read_info(folder)
    assert "\n" not in str(raised.value)
    with pytest.raises(BundleError, match=said):
        migrate_bundle(folder)
    assert stored(folder)["version"] == 1


def make_old(folder: Path) -> None:
    """Writes the bundle.json that version 1 had for the same weights."""
    now = stored(folder)
    code = {"shape": [12], "low": 0.0, "high": 30.0}
    raised = {**VERSION_1, "parts": now["parts"], "code": code, "class_names": now["classes"]}
    (folder / "bundle.json").write_text(json.dumps(raised))


def test_an_old_bundle_loads_as_what_it_is_migrated_to(folder: Path) -> None:
    make_old(folder)
    before, loaded = content(folder), load_bundle(folder)
    assert loaded.recipes == {"class": NESTED}
    assert loaded.code.relu and loaded.image == ImageSpec(8, 8, 1)
    assert content(folder) == before  # reading writes nothing
    assert migrate_bundle(folder)
    assert stored(folder) == read_info(folder)
    assert stored(folder)["recipes"] == loaded.recipes
    after = content(folder)
    assert {name for name in before if before[name] != after[name]} == {"bundle.json"}
    assert set(after) == set(before)
    assert not migrate_bundle(folder)
    assert content(folder) == after


def test_a_migration_that_ends_before_its_move_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(folder)
    before = content(folder)

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(Killed):
        migrate_bundle(folder)
    assert content(folder) == before


@pytest.mark.parametrize("name", ["imagenette64", "products64"])
def test_a_shipped_bundle_is_of_version_2_and_its_config_gives_the_same_recipes(name: str) -> None:
    info = stored(ROOT / "checkpoints" / name)
    assert info == read_info(ROOT / "checkpoints" / name)
    config = yaml.safe_load((ROOT / "training" / "configs" / f"{name}_bundle.yaml").read_text())
    for field in ("recipes", "papers"):
        for kind, recipe in info[field].items():
            assert Recipe.from_json(recipe).to_json() == recipe
            assert Recipe.from_json(config[field][kind]).to_json() == recipe
        assert set(info[field]) == set(config[field])
    assert info["precisions"] == config["precisions"]
