"""A bundle comes back as it was saved, and what is wrong with one is said in one sentence."""

import ast
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import CLASS_NAMES, RECIPE, save_tiny_bundle, tiny_bundle, tiny_parts
from safetensors.torch import load_file
from torch import nn

import ppgn
from ppgn import loaders, requests
from ppgn.bundle import Bundle, find, list_bundles, load_bundle, save_bundle, search_paths, sha256
from ppgn.errors import BundleError
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from ppgn.types import CodeSpace, ImageSpec

ROOT = Path(__file__).parents[1]
SPACE = CodeSpace((12,))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(tmp_path))
    return save_tiny_bundle(tmp_path / "tiny")


def stored(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "bundle.json").read_text())


def edit(folder: Path, **changes: object) -> None:
    (folder / "bundle.json").write_text(json.dumps({**stored(folder), **changes}))


def edit_part(folder: Path, part: str, **changes: object) -> None:
    parts = stored(folder)["parts"]
    parts[part].update(changes)
    edit(folder, parts=parts)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_bundle_comes_back_with_the_same_weights_to_half_precision(folder: Path) -> None:
    loaded = load_bundle(folder, fold=False)
    for part, network in tiny_parts().items():
        for key, value in network.state_dict().items():
            got = loaded.parts[part].state_dict()[key]
            assert got.dtype == value.dtype
            torch.testing.assert_close(got, value.half().to(value.dtype) if value.is_floating_point() else value, rtol=0, atol=0)


def test_a_loaded_bundle_is_frozen_in_evaluation_mode_and_on_a_real_device(folder: Path) -> None:
    for network in load_bundle(folder).parts.values():
        assert not network.training
        assert not any(weights.requires_grad for weights in network.parameters())
        assert not any(value.is_meta for value in network.state_dict().values())


def test_a_loaded_bundle_has_types_where_bundle_json_has_fields(folder: Path) -> None:
    loaded = load_bundle(folder)
    assert vars(loaded.code) == vars(CodeSpace((12,), low=0.0, high=30.0, mean=0.5, std=1.0, relu=True))
    assert loaded.image == ImageSpec(8, 8, channels=1)
    assert loaded.classes == tuple(CLASS_NAMES)
    assert loaded.recipes == {"class": RECIPE}
    assert loaded.folder == folder
    assert loaded.info["facts"] == {"active": 0.5}
    assert loaded.info["licence"] == "MIT"
    assert loaded.info["parts"]["generator"]["sha256"] == sha256(folder / "generator.safetensors")


def test_statistics_of_each_unit_come_back_exactly_and_are_written_short(tmp_path: Path) -> None:
    high = torch.tensor([0.1, 19.7863, 1e-7, 1 / 3, *range(8)], dtype=torch.float32)
    place = save_bundle(tmp_path / "b", name="b", parts=tiny_parts(), code=CodeSpace((12,), high=high), image=ImageSpec(8, 8, 1))
    code = load_bundle(place).code
    assert isinstance(code.high, torch.Tensor) and torch.equal(code.high, high)
    assert (code.low, code.std, code.relu) == (None, None, False)
    assert stored(place)["code"]["high"][:2] == [0.1, 19.7863]


def test_a_bundle_is_found_by_name_by_folder_and_in_the_environment(folder: Path) -> None:
    assert load_bundle("tiny").name == load_bundle(str(folder)).name == "tiny"
    assert find("tiny") == folder
    assert search_paths()[0] == folder.parent
    assert ROOT / "checkpoints" in search_paths()
    assert "tiny" in [entry["name"] for entry in list_bundles()]


def test_an_unknown_name_lists_what_is_there_and_guesses(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle 'tinny': did you mean tiny\? there is .*tiny"):
        load_bundle("tinny")


def test_malformed_json_is_named(folder: Path) -> None:
    (folder / "bundle.json").write_text('{"format": ')
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        load_bundle(folder)
    assert "cannot be read" in next(entry["error"] for entry in list_bundles() if entry["name"] == "tiny")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other"}, "not a ppgn bundle"),
        ({"version": 99}, "version 99, expected 1 or 2"),
        ({"classes": "church"}, "classes 'church', expected a list"),
        ({"classes": ["church", 3]}, "classes holds 3, expected a list of texts"),
        ({"class_names": []}, "unknown field 'class_names'"),
        ({"parts": {}}, "expected a generator"),
        ({"code": None}, "code None, expected an object"),
        ({"code": {"shape": 12}}, "the shape 12, expected a list"),
        ({"code": {"shape": [12], "std": [1.0, 2.0]}}, r"std of shape \[2\], expected \[12\], one per unit"),
        ({"code": {"shape": [12], "mean": "low"}}, "mean 'low', expected a number or one per unit"),
        ({"code": {"shape": [12], "low": 2.0, "high": 1.0}}, "its field code is wrong: .* expected low <= high"),
        ({"code": {"shape": [12], "std": float("nan")}}, "its field code is wrong: a code space: std holds NaN"),
        ({"code": {"shape": [12], "std": [1.0] * 11 + [float("inf")]}}, "a code space: std holds infinity"),
        ({"code": {"shape": [12], "mean": float("nan")}}, "a code space: mean holds NaN"),
        ({"code": {"shape": [12], "low": float("nan")}}, "a code space: low holds NaN"),
        ({"code": {"shape": [12], "std": -1.0}}, "a code space got a negative std"),
        ({"code": {"shape": [12], "relu": 1}}, "relu 1, expected true or false"),
        ({"image": {"height": 8, "width": 8}}, "lacks channels"),
        ({"image": {"height": 8, "width": 8.5, "channels": 1}}, "width 8.5, expected a whole number"),
        ({"image": {"height": 0, "width": 8, "channels": 1}}, "at least 1"),
        ({"recipes": {"klass": {}}}, "unknown field 'klass', expected class, plugged, caption"),
        ({"papers": {"class": "langevin"}}, "class 'langevin', expected an object"),
    ],
)
def test_a_foreign_incomplete_or_wrong_description_is_refused_in_one_sentence(folder: Path, changes: dict, said: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=said) as raised:
        load_bundle(folder)
    assert "\n" not in str(raised.value)
    assert str(folder) in str(raised.value)


def test_what_a_description_may_leave_out_is_filled_in(folder: Path) -> None:
    kept = {key: stored(folder)[key] for key in ("format", "version", "name", "parts", "code", "image")}
    (folder / "bundle.json").write_text(json.dumps(kept))
    loaded = load_bundle(folder)
    assert (loaded.classes, loaded.recipes, loaded.papers, loaded.precisions) == ((), {}, {}, ())
    assert loaded.info["licence"] == "unstated"


def test_a_changed_byte_is_found_by_its_hash_before_any_tensor_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "generator.safetensors"
    changed = bytearray(file.read_bytes())
    changed[-1] ^= 1
    file.write_bytes(bytes(changed))
    read: list[str] = []
    monkeypatch.setattr("ppgn.bundle.load.load_file", lambda path: (read.append(path.name), load_file(path))[1])
    with pytest.raises(BundleError, match=r"generator\.safetensors is not what bundle\.json describes .* expected"):
        load_bundle(folder)
    assert "encoder.safetensors" in read
    assert "generator.safetensors" not in read


def test_a_hash_may_be_written_in_capitals(folder: Path) -> None:
    edit_part(folder, "generator", sha256=sha256(folder / "generator.safetensors").upper())
    assert load_bundle(folder).name == "tiny"


def test_truncated_weights_with_a_matching_hash_are_refused(folder: Path) -> None:
    file = folder / "denoiser.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    edit_part(folder, "denoiser", sha256=sha256(file))
    with pytest.raises(BundleError, match=r"denoiser\.safetensors does not fit its description"):
        load_bundle(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(BundleError, match=r"encoder\.safetensors is missing"):
        load_bundle(folder)


def test_weights_of_another_shape_are_refused_in_one_sentence(folder: Path) -> None:
    config = stored(folder)["parts"]["generator"]["config"]
    edit_part(folder, "generator", config={**config, "hidden": [32]})
    with pytest.raises(BundleError, match="does not fit its description") as raised:
        load_bundle(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("part", "said"),
    [({"architecture": "transformer"}, "unknown architecture 'transformer'"), ({"config": {"magic": 1}}, "no setting magic")],
)
def test_an_unknown_architecture_or_setting_is_named(folder: Path, part: dict, said: str) -> None:
    edit_part(folder, "generator", **part)
    with pytest.raises(BundleError, match=said):
        load_bundle(folder)


def test_a_description_that_points_outside_its_folder_is_refused(folder: Path) -> None:
    outside = folder.parent / "outside.safetensors"
    outside.write_bytes((folder / "encoder.safetensors").read_bytes())
    edit_part(folder, "encoder", file="../outside.safetensors")
    with pytest.raises(BundleError, match="outside the bundle"):
        load_bundle(folder)


def test_weights_that_are_not_finite_in_half_precision_are_refused_and_the_old_bundle_stays(folder: Path) -> None:
    parts = tiny_parts()
    parts["generator"].to_pixels.weight.data[0, 0, 0, 0] = 1e6
    before = content(folder)
    with pytest.raises(BundleError, match="to_pixels.weight of generator is not finite"):
        save_bundle(folder, name="tiny", parts=parts, code=SPACE, image=ImageSpec(8, 8, 1))
    assert content(folder) == before
    assert [entry.name for entry in folder.parent.iterdir()] == ["tiny"]


def test_a_new_bundle_replaces_the_old_one_whole(folder: Path) -> None:
    (folder / "stray.txt").write_text("from the old one")
    save_brighter(folder)
    assert not (folder / "stray.txt").exists()
    assert not (folder / "denoiser.safetensors").exists()
    assert load_bundle(folder).name == "new"
    assert len(list(folder.iterdir())) == 3


def save_brighter(folder: Path) -> None:
    """Saves the bundle "new" of the tiny encoder and a tiny generator with other weights."""
    parts = tiny_parts()
    parts["generator"].to_pixels.bias.data += 1.0
    two = {name: parts[name] for name in ("encoder", "generator")}
    save_bundle(folder, name="new", parts=two, code=SPACE, image=ImageSpec(8, 8, 1))


class Killed(BaseException):
    """What ends a process where it stands."""


@pytest.mark.parametrize("moves", range(5))
def test_a_save_that_ends_before_any_of_its_moves_leaves_the_old_bundle_or_the_new_one_whole(
    folder: Path, moves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, left = os.replace, [moves]

    def replace(source: Any, target: Any) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        move(source, target)

    before = load_bundle(folder)
    monkeypatch.setattr("os.replace", replace)
    try:
        save_brighter(folder)
        ended = True
    except Killed:
        ended = False
    monkeypatch.undo()
    after, code = load_bundle(folder), torch.ones(1, 12)
    assert after.name == ("new" if ended else "tiny")
    assert ended == (moves >= 3)  # encoder, generator, bundle.json
    assert torch.equal(after.generator(code), before.generator(code)) != ended


KILLED_SAVE = """
import os, signal, sys
from pathlib import Path
from test_bundle import save_brighter
move = os.replace
def replace(source, target):
    if str(target).endswith("bundle.json"):
        os.kill(os.getpid(), signal.SIGKILL)
    move(source, target)
os.replace = replace
save_brighter(Path(sys.argv[1]))
"""


def test_a_process_killed_while_it_saves_leaves_the_old_bundle_whole(folder: Path) -> None:
    wanted = load_bundle(folder).generator(torch.ones(1, 12))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", KILLED_SAVE, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert torch.equal(load_bundle(folder).generator(torch.ones(1, 12)), wanted)
    save_brighter(folder)
    assert len(list(folder.iterdir())) == 3
    assert load_bundle(folder).name == "new"


@pytest.mark.parametrize(
    ("code", "said"), [({"shape": [12], "std": "wide"}, "std 'wide'"), ({"shape": []} | {"low": 1.0, "high": 0.0}, "low <= high")]
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path, code: dict, said: str) -> None:
    with pytest.raises(BundleError, match=said):
        save_bundle(tmp_path / "b", name="b", parts=tiny_parts(), code=code, image=ImageSpec(8, 8, 1))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="is there and is no bundle"):
        save_tiny_bundle(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_part_that_no_bundle_can_describe_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="the generator is a Linear, expected a network with `architecture` and `config`"):
        save_bundle(tmp_path / "b", name="b", parts={"generator": nn.Linear(1, 1)}, code=SPACE, image=ImageSpec(8, 8))


def test_folded_networks_are_not_saved(folder: Path) -> None:
    parts = load_bundle(folder).parts
    with pytest.raises(BundleError, match="load its bundle with fold=False"):
        save_bundle(folder, name="b", parts=parts, code=SPACE, image=ImageSpec(8, 8, 1))


def test_the_hub_is_explained_where_its_client_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BundleError, match="pip install huggingface_hub"):
        load_bundle("hf://someone/something")


def test_nothing_is_unpickled() -> None:
    for file in (ROOT / "ppgn" / "bundle").glob("*.py"):
        called = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
        assert not called & {"torch.load", "pickle.load", "pickle.loads"}, file


def test_moving_a_bundle_moves_every_part_and_the_numbers_of_its_codes() -> None:
    bundle = tiny_bundle()
    bundle.code = CodeSpace((12,), high=torch.ones(12))
    moved = bundle.to("meta")
    assert {next(network.parameters()).device.type for network in moved.parts.values()} == {"meta"}
    assert moved.code.high.device.type == moved.device.type == "meta"


def test_a_bundle_without_an_encoder_is_saved_and_loaded(tmp_path: Path) -> None:
    parts = {"generator": tiny_parts()["generator"]}
    loaded = load_bundle(save_bundle(tmp_path / "b", name="b", parts=parts, code=SPACE, image=ImageSpec(8, 8, 1)))
    assert loaded.encoder is None and loaded.denoiser is None
    assert loaded.generator(torch.zeros(2, 12)).shape == (2, 1, 8, 8)


def test_a_bundle_needs_a_generator() -> None:
    with pytest.raises(BundleError, match="expected a generator"):
        Bundle("b", {"encoder": nn.Identity()}, SPACE, ImageSpec(8, 8))


class Stripes(nn.Module):
    """Somebody's generator: codes of two numbers -> grey pictures of 4x6 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 24)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        return self.layer(code).sigmoid().reshape(-1, 1, 4, 6)


def test_a_foreign_generator_is_a_bundle_whose_image_size_is_found() -> None:
    generator = Stripes()
    bundle = Bundle.of(generator, (2,), name="stripes", low=-1.0, high=1.0, classes=["odd", "even"])
    assert (bundle.image.height, bundle.image.width, bundle.image.channels) == (4, 6, 1)
    assert (bundle.code.shape, bundle.code.low, bundle.code.high) == ((2,), -1.0, 1.0)
    assert bundle.generator is generator and bundle.encoder is None and bundle.folder is None
    assert bundle.classes == ("odd", "even") and bundle.recipes == {}
    assert not generator.training and not generator.layer.weight.requires_grad


def test_a_function_is_a_generator_too_and_remembers_its_device() -> None:
    bundle = Bundle.of(lambda code: code.reshape(-1, 3, 2, 5), (30,), encoder=lambda image: image.flatten(1))
    assert bundle.image == ImageSpec(2, 5, 3)
    assert bundle.encoder(torch.zeros(1, 3, 2, 5)).shape == (1, 30)
    assert bundle.device == torch.device("cpu")
    assert bundle.to("meta").device == torch.device("meta")


def test_one_bound_of_a_foreign_generators_codes_is_kept_and_leaves_the_other_side_open() -> None:
    for bounds in ({"low": -0.1}, {"low": torch.full((2,), -0.1)}, {"low": [-0.1, -0.1]}):
        bundle = Bundle.of(lambda code: code.sigmoid().reshape(-1, 1, 1, 2), (2,), **bounds)
        made = ppgn.sample(bundle, lambda image: image[:, 0, 0, 1] - image[:, 0, 0, 0], count=3, steps=8, step_size=2.0)
        assert made.codes[:, 0].tolist() == pytest.approx([-0.1] * 3) and float(made.codes[:, 1].min()) > 1
    with pytest.raises(ValueError, match=r"std of the codes got shape \[3\], expected a number, or \[2\], one per unit"):
        Bundle.of(Stripes(), (2,), std=torch.ones(3))


def test_an_encoder_without_a_head_gives_units_and_says_that_it_scores_no_classes() -> None:
    bundle = Bundle.of(Stripes(), (2,), encoder=nn.Sequential(nn.Flatten(), nn.Linear(24, 2)), classes=["odd", "even"])
    assert ppgn.sample(bundle, requests.parse(bundle, unit="1:1"), count=2, steps=2).codes.shape == (2, 2)
    with pytest.raises(ValueError, match="the encoder Sequential has no logits_from_code"):
        ppgn.sample(bundle, "odd", count=1, steps=1)


class Scoring(nn.Sequential):
    def logits_from_code(self, code: torch.Tensor) -> torch.Tensor:
        return code[:, :2]


def test_a_foreign_encoder_scores_as_many_classes_as_are_named() -> None:
    def encoder() -> nn.Module:
        return Scoring(nn.Flatten(), nn.Linear(24, 2))

    assert Bundle.of(Stripes(), (2,), encoder=encoder(), classes=["odd", "even"]).classes == ("odd", "even")
    for names in (["odd"], ["odd", "even", "neither"]):
        with pytest.raises(ValueError, match=rf"got {len(names)} classes, but the encoder's scores of one image have .*\[1, 2\]"):
            Bundle.of(Stripes(), (2,), encoder=encoder(), classes=names)
    with pytest.raises(ValueError, match="the encoder scores no image of shape .*pass the encoder of this generator"):
        Bundle.of(Stripes(), (2,), encoder=Scoring(nn.Flatten(), nn.Linear(25, 2)), classes=["odd", "even"])


@pytest.mark.parametrize("where", ["recipes", "papers"])
def test_a_bundle_names_no_code_of_others_in_its_recipes(folder: Path, where: str) -> None:
    recipe = {**stored(folder)[where]["class"], "prior": {"name": "antigravity:geohash"}}
    edit(folder, **{where: {"class": recipe}})
    with pytest.raises(
        BundleError, match=f"its field {where} has the prior 'antigravity:geohash', expected a name without a module"
    ):
        load_bundle(folder)
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (Stripes(), r"does not take a code of shape \[1, 30\] \(RuntimeError: .*pass the code_shape"),
        (lambda code: code, r"made \(1, 30\) of a code"),
        (lambda code: [code], "made list of a code"),
    ],
)
def test_a_generator_that_makes_no_images_of_such_codes_is_one_sentence(generator: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        Bundle.of(generator, (30,))
    assert "\n" not in str(raised.value)


def test_images_need_not_be_square(tmp_path: Path) -> None:
    config = ImageGeneratorConfig(code_size=12, channels=1, hidden=(16,), base_channels=8, base_size=(4, 8), stages=((8, 8),))
    parts = {"generator": ImageGenerator(config)}
    wide = load_bundle(save_bundle(tmp_path / "wide", name="wide", parts=parts, code=SPACE, image=ImageSpec(8, 16, 1)))
    assert wide.image == ImageSpec(height=8, width=16, channels=1)
    assert wide.generator(torch.zeros(1, 12)).shape == (1, *wide.image.shape)


def test_the_package_offers_bundles_at_its_top() -> None:
    assert (ppgn.Bundle, ppgn.load, ppgn.list_bundles) == (Bundle, loaders.bundle, list_bundles)
