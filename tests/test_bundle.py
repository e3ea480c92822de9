"""A bundle comes back as it was saved, or says in one sentence why not."""

import ast
import json
from pathlib import Path

import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle, tiny_parts

import ppgn
from ppgn import bundle as shelf
from ppgn.bundle import BundleError, load_bundle, save_bundle


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(tmp_path))
    return save_tiny_bundle(tmp_path / "tiny")


def edit(folder: Path, **changes: object) -> None:
    path = folder / "bundle.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, **changes}))


def edit_part(folder: Path, part: str, **changes: object) -> None:
    parts = json.loads((folder / "bundle.json").read_text())["parts"]
    parts[part].update(changes)
    edit(folder, parts=parts)


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


def test_a_bundle_is_found_by_name_by_folder_and_in_the_environment(folder: Path) -> None:
    assert load_bundle("tiny").name == load_bundle(str(folder)).name == "tiny"
    assert "tiny" in [entry["name"] for entry in ppgn.list_bundles()]


def test_an_unknown_name_lists_what_is_there_and_guesses(folder: Path) -> None:
    with pytest.raises(BundleError, match=r"no bundle 'tinny': did you mean tiny\? there is .*tiny"):
        load_bundle("tinny")


def test_malformed_json_is_named(folder: Path) -> None:
    (folder / "bundle.json").write_text('{"format": ')
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        load_bundle(folder)
    assert "cannot be read" in next(entry["error"] for entry in ppgn.list_bundles() if entry["name"] == "tiny")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other"}, "not a ppgn bundle"),
        ({"version": 99}, "version 99, this ppgn reads 1"),
        ({"class_names": "church"}, "lacks class_names"),
        ({"parts": {}}, "lacks encoder, generator"),
        ({"code": None}, "lacks code"),
    ],
)
def test_a_foreign_or_incomplete_description_is_refused(folder: Path, changes: dict, said: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=said):
        load_bundle(folder)


def test_a_changed_byte_is_found_by_its_hash_before_any_tensor_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "generator.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    read: list[str] = []
    original = shelf.load_file
    monkeypatch.setattr(shelf, "load_file", lambda path: (read.append(path.name), original(path))[1])
    with pytest.raises(BundleError, match=r"generator\.safetensors is not what bundle\.json describes .* expected"):
        load_bundle(folder)
    assert "generator.safetensors" not in read


def test_truncated_weights_with_a_matching_hash_are_refused(folder: Path) -> None:
    file = folder / "denoiser.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    edit_part(folder, "denoiser", sha256=shelf.sha256(file))
    with pytest.raises(BundleError, match=r"denoiser\.safetensors does not fit its description"):
        load_bundle(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "encoder.safetensors").unlink()
    with pytest.raises(BundleError, match=r"encoder\.safetensors is missing"):
        load_bundle(folder)


def test_weights_of_another_shape_are_refused_in_one_sentence(folder: Path) -> None:
    config = json.loads((folder / "bundle.json").read_text())["parts"]["generator"]["config"]
    edit_part(folder, "generator", config={**config, "hidden": [32]})
    with pytest.raises(BundleError, match="does not fit its description") as told:
        load_bundle(folder)
    assert "\n" not in str(told.value)


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
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    info = json.loads((folder / "bundle.json").read_text())
    with pytest.raises(BundleError, match="to_pixels.weight of generator is not finite"):
        save_bundle(folder, parts=parts, **{key: info[key] for key in ("name", "code", "image", "class_names", "recipe")})
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [entry.name for entry in folder.parent.iterdir()] == ["tiny"]


def test_a_new_bundle_replaces_the_old_one_whole(folder: Path) -> None:
    (folder / "stray.txt").write_text("from the old one")
    save_tiny_bundle(folder)
    assert not (folder / "stray.txt").exists()
    assert load_bundle(folder).class_names[0] == "tench"


def test_the_hub_is_explained_where_its_client_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(BundleError, match="pip install huggingface_hub"):
        load_bundle("hf://someone/something")


def test_nothing_is_unpickled() -> None:
    tree = ast.parse(Path(shelf.__file__).read_text())
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not called & {"torch.load", "pickle.load", "pickle.loads"}


def test_moving_a_bundle_moves_every_part() -> None:
    moved = tiny_bundle().to("meta")
    assert {next(network.parameters()).device.type for network in moved.parts.values()} == {"meta"}
