"""A judge's logits and features, the classes it knows, and folders of pictures for it."""

import json
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image
from torch import nn

from ppgn import evaluation, loaders
from ppgn.probe import Preprocessed
from ppgn.types import ImageSpec


def test_the_judge_gives_its_logits_in_the_order_asked_for_and_its_pooled_maps_in_one_pass() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    seen = Preprocessed(network, 8, 0.0, 1.0)
    layer = evaluation.feature_layer(seen, 8, 3, outputs=5)
    judge = evaluation.Judge(seen, [3, 1], layer)
    grey = torch.rand(2, 1, 8, 8)
    counter = evaluation.PassCounter({"network": network})
    with counter, torch.no_grad():
        judged = judge.judged([grey], [0, 1])
    colours = grey.expand(-1, 3, -1, -1)
    with torch.no_grad():
        assert torch.allclose(judged.logits, network(colours)[:, [3, 1]])
        assert torch.allclose(judged.features, network[0](colours).mean((2, 3)))
    assert counter.counts["network"] == 2


def test_the_layer_of_features_is_the_last_map_that_does_not_hold_the_scores() -> None:
    scores = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert evaluation.feature_layer(Preprocessed(scores, 8, 0.0, 1.0), 8, 3, outputs=5) == "1"
    flat = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.Linear(6, 5))
    assert evaluation.feature_layer(Preprocessed(flat, 8, 0.0, 1.0), 8, 3, outputs=5) == "1"
    with pytest.raises(ValueError, match="no layer of features"):
        evaluation.feature_layer(Preprocessed(nn.Sequential(nn.Conv2d(3, 5, 8), nn.Flatten()), 8, 0.0, 1.0), 8, 3, outputs=5)


def test_the_bundles_classifier_judges_as_the_bundle_does() -> None:
    bundle = tiny_bundle()
    judge = evaluation.Judge(loaders.network("bundle:classifier", bundle=bundle), [2, 0], "trunk.block1", channels=1)
    image = torch.rand(3, 1, 8, 8)
    logits, features = judge(image)
    with torch.no_grad():
        expected = bundle.encoder.logits_from_code(bundle.encoder(image))
        maps = bundle.encoder.maps(image)[-1]
    assert torch.allclose(logits, expected[:, [2, 0]])
    assert torch.allclose(features, maps.mean((2, 3)))


def test_classes_are_found_by_any_of_their_names_and_the_nearest_are_named() -> None:
    listed = ["tench, Tinca tinca", "gas pump, gasoline pump", "golf_ball"]
    assert evaluation.class_columns(listed, ["golf ball", "Tench", "type:gas pump"], "judge", ["type"]) == [2, 0, 1]
    with pytest.raises(ValueError, match="'golf ball'"):
        evaluation.class_columns(listed, ["golf bal"], "judge")


def test_only_a_declared_group_is_no_part_of_a_name_for_a_judge() -> None:
    columns = evaluation.class_columns
    assert columns(["dog: big", "cat: big"], ["cat: big"], "judge") == [1]
    assert columns(["colour:red", "red"], ["colour:red", "type:red"], "judge", ["type"]) == [0, 1]
    assert columns(["type:red, crimson", "red"], ["type:red"], "judge", ["type"]) == [0]
    for listed, wanted, groups in (
        (["dog: big", "cat: small"], "cat: big", []),
        (["dog: big", "small"], "cat: small", []),
        (["colour:red", "colour:blue"], "type:red", ["type", "colour"]),
    ):
        with pytest.raises(ValueError, match="^judge has no class"):
            columns(listed, [wanted], "judge", groups)


def test_only_a_declared_group_is_no_part_of_a_name_for_a_folder(tmp_path: Path) -> None:
    grey = ImageSpec(8, 8, channels=1)
    for name in ("cat: big", "dog: big", "Bag"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "0.png")
    for index, name in enumerate(("cat: big", "dog: big")):
        found = evaluation.class_folder(tmp_path, ["cat: big", "dog: big"], [index], 0, grey)
        assert found.files == (tmp_path / name / "0.png",)
    grouped = evaluation.class_folder(tmp_path, ["type:Bag", "type:Shoe"], [0], 0, grey, groups=["type"])
    assert grouped.files == (tmp_path / "Bag/0.png",)
    with pytest.raises(ValueError, match="no pictures of the class 'type:Bag'"):
        evaluation.class_folder(tmp_path, ["type:Bag"], [0], 0, grey)
    rows = [{"class": "type:Bag & colour:Red", "file": "0.png"}, {"class": "Red", "file": "1.png"}]
    (tmp_path / "samples.json").write_text(json.dumps({"samples": rows}))
    for name in ("type:Bag", "colour:Red"):
        found = evaluation.class_folder(tmp_path, [name], [0], 0, grey, groups=["type"])
        assert found.files == (tmp_path / "0.png",)


def test_a_judges_class_is_the_one_spelled_so_and_of_two_with_one_name_none_is_guessed() -> None:
    assert evaluation.class_columns(["A", "a", "Cafe\u0301"], ["a", "Caf\u00e9"], "judge") == [1, 2]
    assert evaluation.class_columns(["crane", "drake", "crane"], ["crane", "drake", "crane"], "judge") == [0, 1, 2]
    with pytest.raises(ValueError, match="judge has 2 classes 'crane' .0 crane, 2 crane., expected one"):
        evaluation.class_columns(["crane", "drake", "crane"], ["crane"], "judge")


def test_no_folder_of_a_class_is_dropped(tmp_path: Path) -> None:
    grey = ImageSpec(8, 8, channels=1)
    for name in ("alpha", "Alpha", "Cafe\u0301"):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / f"{name}.png")
    assert evaluation.class_folder(tmp_path, ["Alpha", "alpha"], [1], 0, grey).files == (tmp_path / "alpha/alpha.png",)
    assert len(evaluation.class_folder(tmp_path, ["Caf\u00e9"], [0], 0, grey)) == 1
    with pytest.raises(ValueError, match="Alpha and alpha for the classes 0 alpha, expected one folder for one class: merge"):
        evaluation.class_folder(tmp_path, ["alpha"], [0], 0, grey)
    with pytest.raises(ValueError, match="alpha for the classes 0 alpha, 1 alpha"):
        evaluation.class_folder(tmp_path, ["alpha", "alpha"], [0], 0, grey)


def test_a_class_folder_takes_pictures_evenly_and_knows_what_is_missing(tmp_path: Path) -> None:
    for name, count in (("golf_ball", 5), ("tench", 2)):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("L", (9, 8), 50 * number).save(tmp_path / name / f"{number}.png")
        (tmp_path / name / "notes.txt").write_text("no picture")
    grey = ImageSpec(8, 8, channels=1)
    folder = evaluation.class_folder(tmp_path, ["tench", "golf ball", "church"], [1, 0], 2, grey)
    assert [file.stem for file in folder.files] == ["0", "2", "0", "1"]
    assert folder.classes == (1, 1, 0, 0)
    loaded = torch.cat(list(folder.batches(3)))
    assert loaded.shape == (4, 1, 8, 8)
    assert loaded[:, 0, 4, 4].tolist() == pytest.approx([0, 100 / 255, 0, 50 / 255])
    with pytest.raises(ValueError, match="'church'.*golf_ball, tench"):
        evaluation.class_folder(tmp_path, ["church"], [0], 2, grey)
    (tmp_path / "samples.json").write_text(json.dumps({"samples": [{"class": "church", "file": "golf_ball/3.png"}]}))
    assert evaluation.class_folder(tmp_path, ["church"], [0], 0, grey).files == (tmp_path / "golf_ball/3.png",)
