"""Flags that come from the fields of recipes, requests that are added up, recipes in files, and the sentences about them."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from ppgn import cli, recipes
from ppgn.recipes import Recipe
from ppgn.samplers import Linear

MINE = """
from __future__ import annotations
from dataclasses import dataclass, replace
import torch
import ppgn

@dataclass(frozen=True)
class Push:
    '''h' = h + push * gradient, 50 % as I like it.'''

    push: float
    keeps: bool = True
    wise: str = "no"
    many: tuple[int, ...] = (1, 2)

    def init(self, code, seeds):
        return ppgn.ChainState(code, tuple(seeds))

    def step(self, state, objective):
        found = objective.evaluate(state.code)
        return replace(state, code=state.code + self.push * found.gradient, step=state.step + 1), found

@dataclass(frozen=True)
class Clash(Push):
    count: int = 3

@dataclass(frozen=True)
class Hides(Push):
    push: float = 1.0
    bundle: str = ""

@dataclass(frozen=True)
class Lost(Push):
    push: float = 1.0

    def step(self, state, objective):
        return state

@dataclass(frozen=True)
class Broken(Lost):
    def step(self, state, objective):
        raise RuntimeError("out of order")

class Needs:
    def __init__(self, number):
        self.number = number

def bright(image):
    return image.mean((1, 2, 3))

def stripes():
    def paint(code):
        return torch.sigmoid(code)[:, None, None, :].expand(-1, 3, 8, -1)
    return ppgn.Bundle.of(paint, (8,), name="stripes")
"""


@pytest.fixture
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "ours.py").write_text(MINE)
    monkeypatch.delitem(sys.modules, "ours", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def told(folder: Path, *arguments: str, bundle: str = "tiny") -> dict[str, Any]:
    """samples.json of `ppgn sample BUNDLE ARGUMENTS`, two steps, one picture each unless the arguments say otherwise."""
    assert cli.main(["sample", bundle, "--steps", "2", "--count", "1", *arguments, "--save-images", "each", "--overwrite"]) == 0
    return json.loads((folder / "each" / "samples.json").read_text())


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The only line that `ppgn sample tiny ARGUMENTS` ends with."""
    capsys.readouterr()
    assert cli.main(["sample", "tiny", *arguments]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ppgn: error: ")
    return line.removeprefix("ppgn: error: ")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    """The help of a command, and the examples at its end."""
    with pytest.raises(SystemExit, match="0"):
        cli.main([*arguments, "--help"])
    flags, _, examples = capsys.readouterr().out.partition("examples")
    return flags, examples


def test_every_field_of_every_member_has_a_flag_that_sets_it() -> None:
    words = ["sample", "tiny"]
    values = {"Scale": "0.25:0.5", "Spaced | Sequence[float]": "2:1", "float": "0.25", "int": "3", "str": "word", "bool": None}
    expected: dict[str, Any] = {}
    for family, members in recipes.FAMILIES.items():
        for kind in members.values():
            for field in recipes.settings_of(kind):
                expected[recipes.flat_name(family, field.name)] = values[recipes.type_of(field)]
    for kind in (recipes.Choice, recipes.Retries):
        expected |= {field.name: values[recipes.type_of(field)] for field in dataclasses.fields(kind)}
    assert {"prior_scale", "momentum", "start_mean", "bounds_low", "levels", "level", "draw_power", "accept"} <= set(expected)
    for name, value in expected.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is None else [value])]
    given = cli.parse(words)
    for name, value in expected.items():
        parts = (True,) if value is None else (value,) if value == "word" else tuple(float(part) for part in value.split(":"))
        assert getattr(given, name) in (parts, parts[0]), name


def test_flags_change_the_recipe_of_the_run(folder: Path) -> None:
    flags = ["--sampler", "adaptive", "--step-size", "0.2:0.05", "--momentum", "0.5", "--start", "unclipped", "--start-std", "2"]
    found = told(folder, "--class", "tench", *flags, "--draws", "3", "--bounds-high", "9", "--measure", "log_softmax")["recipe"]
    recipe = Recipe.from_json(found)
    assert recipe.flat()["step_size"] == Linear(0.2, 0.05)
    assert (found["sampler"]["name"], found["sampler"]["momentum"], found["sampler"]["prior_scale"]) == ("adaptive", 0.5, 1e-5)
    assert (found["start"], found["choice"]["draws"]) == ({"name": "unclipped", "mean": 0.0, "std": 2.0}, 3)
    assert (found["bounds"]["high"], found["measure"]["name"]) == (9.0, "log_softmax")


def test_the_measure_is_that_of_the_unit_where_there_is_one(folder: Path) -> None:
    of_unit = told(folder, "--unit", "fc7:1", "--measure", "log_softmax")
    assert of_unit["condition"]["measure"] == "log_softmax"
    assert of_unit["recipe"]["measure"]["name"] == "released"
    of_class = told(folder, "--class", "tench", "--measure", "logit")
    assert of_class["recipe"]["measure"] == {"name": "logit"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sampler", "ascent", "--momentum", "0.9"], "got --momentum 0.9, which the sampler ascent does not have"),
        (["--sampler", "langevin", "--step-size", "9"], "got --step-size 9.0, which the sampler langevin does not have"),
        (["--sampler", "langevin", "--step-size", "9"], "choose --sampler released"),
        (["--momentum", "0.9"], "got --momentum 0.9, which the sampler released does not have"),
        (["--sampler", "adaptive", "--momentum", "1.5"], "got --momentum 1.5, expected it in [0, 1)"),
        (["--momentum", "nan", "--sampler", "adaptive"], "--momentum got nan, expected a finite number"),
        (["--sampler", "magic"], "unknown --sampler 'magic': choose langevin"),
        (["--sampler", "ours:Push"], "needs push"),
        (["--sampler", "ours:Nothing"], "no function 'Nothing'"),
        (["--sampler", "ours:bright"], "expected an object with init and step"),
        (["--sampler", "ours:Needs"], "ours:Needs lacks a setting"),
        (["--sampler", "ours:Clash"], "has a field 'count', expected another name, as --count is taken"),
        (["--start", "ours:bright"], "as the start, expected an object with draw"),
        (["--recipe", "dgn_am", "--settings", "x.json"], "got --settings and --recipe"),
        (["--prior", "noise_level", "--start", "normal"], "choose --start codes"),
        (["--draws", "0"], "got 0 draws, expected at least 1"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_the_name_of_its_flag(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in refused(capsys, "--class", "0", *arguments)


@pytest.mark.parametrize("flag", ["--gradient", "--step-size-end", "--compile", "--sampler-name"])
def test_a_flag_that_is_not_there_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str], flag: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", "tiny", "--class", "0", flag, "0.1"])
    assert f"ppgn sample: error: no flag {flag}: " in capsys.readouterr().err


def test_a_word_without_a_flag_is_not_called_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", "tiny", "--class", "0", "--weights", "1", "0.2"])
    assert "ppgn sample: error: '0.2' belongs to no flag: see ppgn sample --help" in capsys.readouterr().err


def test_abbreviated_flags_are_refused() -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.parse(["sample", "tiny", "--class", "0", "--samp", "langevin"])


def test_help_beside_a_member_shows_its_fields_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every, _ = shown(capsys, "sample")
    assert "--momentum" in every and "(released, ascent, adaptive, annealed, adam, regularised, biggan_am)" in " ".join(
        every.split()
    )
    langevin, _ = shown(capsys, "sample", "--sampler", "langevin")
    assert "A Langevin step whose step and noise sizes are decoupled" in langevin
    assert "--condition-limit" in langevin and "else 0.0" in langevin
    assert "--momentum" not in langevin and "--levels" not in langevin and "--step-size" not in langevin
    assert "--level X" in langevin and "--level X" not in shown(capsys, "sample", "--prior=none")[0]
    mine, _ = shown(capsys, "sample", "--sampler", "ours:Push")
    assert "h' = h + push * gradient, 50 % as I like it." in mine
    assert "--push X" in mine and "--keeps, --no-keeps" in mine and "--momentum" not in mine


def test_fields_of_a_rule_of_the_users_own_are_flags_of_their_types(folder: Path) -> None:
    found = told(
        folder, "--class", "tench", "--sampler", "ours:Push", "--push", "0.5", "--no-keeps", "--wise", "7", "--many", "[3]"
    )
    assert found["recipe"]["sampler"] == {"name": "ours:Push", "push": 0.5, "keeps": False, "wise": "7", "many": [3]}


def test_commands_whose_chains_do_not_begin_anew_take_no_tries(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tries" in shown(capsys, "sample")[0]
    for command in ("chain", "inpaint"):
        assert "--tries" not in shown(capsys, command)[0]


def test_a_generator_without_an_encoder_is_sampled_by_the_name_of_a_function(folder: Path) -> None:
    few, many = (
        told(folder, "--condition", "ours:bright", "--prior", "none", "--steps", steps, bundle="ours:stripes")
        for steps in ("1", "20")
    )
    assert few["bundle"] == "stripes"
    assert many["recipe"]["prior"] == {"name": "none"}
    assert many["samples"][0]["log_probability"] > few["samples"][0]["log_probability"]


def test_a_generator_without_an_encoder_says_what_needs_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--class", "0"], "stripes knows no classes"),
        (["--unit", "fc6:1"], "no encoder"),
        (["--condition", "ours:bright", "--prior", "reconstruction"], "no encoder"),
        ([], "stripes has no classes"),
    ):
        assert cli.main(["sample", "ours:stripes", *arguments]) == 2
        assert said in capsys.readouterr().err


def test_a_recipe_is_read_back_from_the_samples_that_it_made(folder: Path) -> None:
    first = told(folder, "--class", "tench", "--sampler", "langevin", "--condition-scale", "3", "--prior", "denoiser")
    (folder / "each" / "samples.json").rename(folder / "kept.json")
    again = told(folder, "--class", "tench", "--settings", "kept.json")
    assert again == first
    changed = told(folder, "--class", "tench", "--settings", "kept.json", "--condition-scale", "4", "--steps", "1")["recipe"]
    assert changed == {**first["recipe"], "steps": 1, "sampler": {**first["recipe"]["sampler"], "condition_scale": 4.0}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read a recipe in file.json"),
        ("{", "cannot read a recipe in file.json"),
        ("[]", "file.json holds list"),
        ("{}", "file.json holds no recipe, expected an object with one under 'recipe'"),
        ('{"settings": {"sampler": "langevin", "steps": 5}}', "of an older ppgn, expected a recipe: make the file anew"),
        ('{"recipe": 5}', "file.json: a recipe got int"),
        ('{"recipe": {"colour": 1}}', "file.json: a recipe got the unknown settings colour"),
        ('{"recipe": {"steps": "many"}}', "file.json: steps got 'many', expected a whole number"),
        ('{"recipe": {"steps": 0}}', "file.json: got 0 steps"),
        ('{"recipe": {"sampler": "langevin"}}', "expected an object with a name"),
        ('{"recipe": {"sampler": {"name": "langevin", "momentum": 0.5}}}', "does not have momentum"),
        ('{"recipe": {"sampler": {"name": "langevin", "prior_scale": NaN, "condition_scale": 1}}}', "got nan, expected a number"),
        ('{"recipe": {"sampler": {"name": "subprocess:Popen"}}}', "subprocess:Popen lacks a setting"),
        ('{"recipe": {"prior": {"name": "json:nothing"}}}', "has no function 'nothing'"),
    ],
)
def test_a_file_without_a_recipe_is_refused_in_a_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    if text is not None:
        (folder / "file.json").write_text(text)
    assert said in refused(capsys, "--class", "0", "--settings", "file.json")
    with pytest.raises(ValueError, match="file.json"):
        recipes.read_recipe("file.json")


def test_kinds_are_added_up_by_their_weights(folder: Path) -> None:
    found = told(folder, "--class", "tench", "ball", "--unit", "fc7:3", "--weight", "1", "-0.5", "--count", "2")
    assert [row["sum"] for row in found["samples"]] == [
        "tench - 0.5 fc7:3", "tench - 0.5 fc7:3", "golf ball - 0.5 fc7:3", "golf ball - 0.5 fc7:3"
    ]  # fmt: skip
    assert [(term["kind"], term["weight"]) for term in found["condition"]["terms"]] == [("class", 1.0), ("unit", -0.5)]


def test_the_targets_of_one_kind_are_added_up_by_their_weights(folder: Path) -> None:
    rows = told(folder, "--class", "tench", "ball", "--weight", "1", "0.2", "--count", "2")["samples"]
    assert [row["sum"] for row in rows] == ["tench + 0.2 golf ball"] * 2
    alone = told(folder, "--class", "tench", "--weight", "1", "--count", "2")["samples"]
    assert [row["log_probability"] for row in alone] != [row["log_probability"] for row in rows]


def test_a_direction_and_latents_of_a_layer_are_read_from_files(folder: Path) -> None:
    rows = torch.eye(10)[[2, 5]]
    save_file({"direction": rows}, "d.safetensors")
    save_file({"encoder.weight": rows, "encoder.bias": torch.zeros(2)}, "s.safetensors")
    units = [row["activation"] for row in told(folder, "--unit", "fc7:2,5")["samples"]]
    found = told(folder, "--direction", "d.safetensors", "--layer", "fc7")
    assert [row["direction"] for row in found["samples"]] == ["fc7 direction 0", "fc7 direction 1"]
    assert [row["activation"] for row in found["samples"]] == pytest.approx(units, rel=1e-4)
    found = told(folder, "--sae", "s.safetensors", "--latent", "1", "0", "--layer", "fc7")
    assert [row["latent"] for row in found["samples"]] == ["fc7 latent 1", "fc7 latent 0"]


def test_settings_of_the_library_are_said_as_flags() -> None:
    given = {"step_size": 0.5, "count": 0, "size": None, "weights": None, "sampler": "x", "class_": []}
    for message, expected in {
        "got step_size 0.5, which": "got --step-size 0.5, which",
        "got count 0, expected": "got --count 0, expected",
        "step_size got 0.5": "--step-size got 0.5",
        "give size=(HEIGHT, WIDTH), weights=FILE": "give --size HEIGHT,WIDTH, --weights FILE",
        "leave weights out, or choose sampler adaptive": "leave --weights out, or choose --sampler adaptive",
        "got counts of 3 (its settings: step_size, decay)": "got counts of 3 (its settings: step_size, decay)",
        "the sampler got a step_size": "the sampler got a step_size",
    }.items():
        assert cli.in_flags(message, given) == expected


def test_advice_for_python_is_advice_for_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "choose one that `ppgn layers` lists" in refused(capsys, "--unit", "nowhere:1")
    assert "or --captioner hf:NAME" in refused(capsys, "--caption", "a red bag")
    assert "pass --push VALUE" in refused(capsys, "--class", "0", "--sampler", "ours:Push")
    assert "there is no file ours2.py" in refused(capsys, "--condition", "./ours2.py:bright")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prior", "ours:bright"], "a run with ours:bright failed (TypeError: bright() takes 1 positional argument"),
        (["--sampler", "ours:Lost"], "a run with ours:Lost failed (TypeError: "),
        (["--sampler", "ours:Broken"], "a run with ours:Broken failed (RuntimeError: out of order): correct its code (-v shows"),
        (["--sampler", "ours:Hides"], "has a field 'bundle', expected another name, as --bundle is taken by ppgn sample"),
    ],
)
def test_code_of_the_users_own_that_fails_is_named_in_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert said in refused(capsys, "--class", "0", *arguments)


def test_a_fault_that_is_nobodys_own_code_is_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgn.sampling.sample", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["sample", "tiny", "--class", "0"])


def test_an_unknown_command_is_refused_at_once_with_the_nearest() -> None:
    code = "import sys\nfrom ppgn import cli\ntry:\n    cli.main(['smaple'])\nfinally:\n    print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.strip() == "False"
    assert "no command 'smaple': did you mean sample?" in done.stderr


def test_help_of_every_command_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for command in cli.COMMANDS:
        assert f"ppgn {command}" in shown(capsys, command)[1], command
