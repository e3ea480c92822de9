"""Classes in groups, "type:Handbags" and "colour:Red": trained with a softmax each, asked for together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle
from PIL import Image

import ppgn
from ppgn import cli, requests, sampling
from ppgn.bundle import Bundle, load_bundle
from ppgn.conditions import ClassesOfGroups, LogSoftmax, Measure, Released, class_groups
from ppgn.errors import BundleError
from training import ImageData, accuracies, cross_entropy, open_source

NAMES = ("type:Bag", "type:Shoe", "colour:Red", "colour:Blue")
GROUPS = {"type": (0, 2), "colour": (2, 4)}


def grouped_bundle() -> Bundle:
    return replace(tiny_bundle(), classes=NAMES, groups=tuple(GROUPS))


def network(image: torch.Tensor) -> torch.Tensor:
    return image.flatten(1)[:, :4]


def test_classes_stand_in_the_groups_that_are_declared_and_else_in_one() -> None:
    assert class_groups(NAMES, ("type", "colour")) == GROUPS
    assert class_groups(NAMES) == class_groups(("tench", "a:b", "", "c:d")) == {"": (0, 4)}
    assert class_groups(("a:b:c", "a:b:d"), ("a:b",)) == {"a:b": (0, 2)}
    for groups in (("a", "a:b"), ("a:b", "a")):
        assert class_groups(("a:x", "a:b:c", "a:b:d"), groups) == {"a": (0, 1), "a:b": (1, 3)}
    for names, fault in (
        (("type:Bag", "colour:Red", "type:Shoe"), "'type' do not stand together"),
        (("type:Bag", "Red"), "'Red' is of none of the groups type, colour"),
        (("type:Bag", "type:Shoe"), "'colour' has no classes"),
    ):
        with pytest.raises(ValueError, match=fault):
            class_groups(names, ("type", "colour"))


def test_a_colon_divides_a_name_only_after_a_declared_group() -> None:
    bundle = replace(tiny_bundle(), classes=("a", "b", "c", "scale 1:2"))
    assert requests.classes(bundle, "2").targets == requests.listed_classes(bundle, ["2"]).targets == (2,)
    assert requests.classes(grouped_bundle(), ["shoe", "Red"]).targets == (1, 2)


def test_a_bundle_of_before_has_the_groups_that_all_its_names_spell(tmp_path: Path) -> None:
    folder = save_tiny_bundle(tmp_path / "old")
    info = json.loads((folder / "bundle.json").read_text())
    del info["groups"]
    for names, groups in ((NAMES, GROUPS), (("type:Bag", "Shoe", "colour:Red", "x"), {"": (0, 4)})):
        (folder / "bundle.json").write_text(json.dumps({**info, "classes": names}))
        assert load_bundle(folder).class_groups == groups
    (folder / "bundle.json").write_text(json.dumps({**info, "classes": NAMES, "groups": ["type"]}))
    with pytest.raises(BundleError, match="'colour:Red' is of none of the groups type"):
        load_bundle(folder)


@pytest.mark.parametrize("measure", [None, LogSoftmax(), Released()])
def test_the_log_probabilities_of_the_groups_add_up_for_each_chain(measure: Measure | None) -> None:
    image = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condition = ClassesOfGroups(network, [(0, 3), (1,), (2,)], GROUPS, measure)
    type_, colour = network(image)[:, :2].log_softmax(1), network(image)[:, 2:].log_softmax(1)
    wanted = torch.stack([type_[0, 0] + colour[0, 1], type_[1, 1], colour[2, 0]])
    torch.testing.assert_close(condition(image), wanted)


def test_a_class_alone_stands_in_one_softmax_over_groups_that_are_alternatives() -> None:
    image = torch.randn(3, 1, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    condition = ClassesOfGroups(network, [(0, 3), (1,), (2,)], GROUPS, LogSoftmax(2.0), alternatives=True)
    scores = network(image) / 2
    whole, types, colours = scores.log_softmax(1), scores[:, :2].log_softmax(1), scores[:, 2:].log_softmax(1)
    torch.testing.assert_close(condition(image), torch.stack([types[0, 0] + colours[0, 1], whole[1, 1], whole[2, 2]]))
    torch.testing.assert_close(condition.for_chains([2])(image[2:]), condition(image)[2:])


def test_a_bundle_says_whether_its_groups_are_alternatives(tmp_path: Path) -> None:
    folder = save_tiny_bundle(tmp_path / "either", alternatives=True)
    assert load_bundle(folder).alternatives and not load_bundle(save_tiny_bundle(tmp_path / "each")).alternatives
    either = replace(grouped_bundle(), alternatives=True)
    one, other = (sampling.sample(bundle, "type:Shoe", count=2, steps=3).log_prob for bundle in (either, grouped_bundle()))
    assert bool((one < other).all())  # more classes share the softmax
    assert ppgn.load("natural128").alternatives and not ppgn.load("products64").alternatives


@pytest.mark.parametrize(
    ("targets", "said"), [([(0, 1)], "two classes of the group 'type'"), ([(9,)], "each in"), ([()], "each in")]
)
def test_what_cannot_be_asked_for_is_a_sentence(targets: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ClassesOfGroups(network, targets, GROUPS)


def test_a_sample_is_asked_for_a_class_of_each_group() -> None:
    bundle = grouped_bundle()
    samples = sampling.sample(bundle, "Bag & colour:Blue", count=2, steps=3)
    logits = bundle.encoder.logits_from_code(bundle.encoder(samples.images))
    wanted = logits[:, :2].log_softmax(1)[:, 0] + logits[:, 2:].log_softmax(1)[:, 1]
    torch.testing.assert_close(samples.log_prob, wanted)
    with pytest.raises(ValueError, match="two classes of the group ''"):
        sampling.sample(tiny_bundle(), "tench & gas pump", count=1)


def test_the_command_line_asks_for_every_class_of_one_group_with_every_one_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    info = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**info, "classes": NAMES, "groups": list(GROUPS)}))
    monkeypatch.chdir(tmp_path)
    options = ["--class", "type:Bag", "Shoe", "--class", "colour:Red", "--count", "1", "--steps", "2", "--save-images", "each"]
    assert cli.main(["sample", str(folder), *options]) == 0
    rows = json.loads((tmp_path / "each" / "samples.json").read_text())["samples"]
    assert [row["class"] for row in rows] == ["type:Bag & colour:Red", "type:Shoe & colour:Red"]
    assert cli.main(["chain", str(folder), "--class", "Bag & Red", "Shoe & Blue", "--steps", "2", "--out", "walk.gif"]) == 0
    assert "type:Bag & colour:Red, type:Shoe & colour:Blue" in capsys.readouterr().out


def write_table(root: Path, rows: list[dict]) -> Path:
    (root / "images").mkdir(parents=True, exist_ok=True)
    for index, row in enumerate(rows):
        row["file"] = f"images/{index}.png"
        Image.fromarray(np.full((8, 8, 3), index, dtype=np.uint8)).save(root / row["file"])
    (root / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_a_table_gives_every_picture_a_class_of_each_column_and_leaves_rare_ones_out(tmp_path: Path) -> None:
    rows = [{"kind": kind, "hue": hue} for kind in ("Bag", "Shoe") for hue in ("Red", "Blue") for _ in range(10)]
    root = write_table(tmp_path, [*rows, {"kind": "Hat", "hue": "Red"}, {"kind": "Bag", "hue": "Pink"}])
    data = ImageData("table", root, image_size=8, labels={"type": "kind", "colour": "hue"}, least=5, batch_size=4)
    data.setup()
    assert data.class_names == ("type:Bag", "type:Shoe", "colour:Blue", "colour:Red")
    assert data.train_pictures is not None and data.validation_pictures is not None
    assert len(data.train_pictures) + len(data.validation_pictures) == 40
    assert len(data.validation_pictures) > 0
    pictures, labels = data.train_pictures.__getitems__([0, 1, 2])
    for picture, label in zip(pictures, labels, strict=True):
        row = rows[int(picture[0, 0, 0])]
        assert [data.class_names[index] for index in label] == [f"type:{row['kind']}", f"colour:{row['hue']}"]


@pytest.mark.parametrize(
    ("labels", "least", "said"),
    [
        (None, 1, "which columns"),
        ({"type": "tags"}, 1, r"has \['new'\] in the column 'tags'"),
        ({"type": "size"}, 1, "the column 'size' has text and other values"),
        ({"type": "sort"}, 1, "lacks the column 'sort'"),
        ({"type": "kind"}, 99, "too few to split"),
    ],
)
def test_a_table_that_cannot_serve_is_refused(tmp_path: Path, labels: dict | None, least: int, said: str) -> None:
    root = write_table(tmp_path, [{"kind": "Bag", "tags": ["new"], "size": size} for size in (1, "L", 1, "L")])
    with pytest.raises(ValueError, match=said):
        open_source("table", root, False, columns=labels, least=least)
    with pytest.raises(ValueError, match="no table of pictures"):
        open_source("table", tmp_path / "none", False, columns={"type": "kind"})


def test_the_loss_of_groups_is_the_sum_of_their_cross_entropies() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[0, 2], [1, 3], [1, 2], [0, 3], [0, 2]])
    wanted = -(logits[:, :2].log_softmax(1).gather(1, labels[:, :1]) + logits[:, 2:].log_softmax(1).gather(1, labels[:, 1:] - 2))
    torch.testing.assert_close(cross_entropy(logits, labels, GROUPS), wanted.mean())
    torch.testing.assert_close(
        cross_entropy(logits, labels[:, 0], {"": (0, 4)}), torch.nn.functional.cross_entropy(logits, labels[:, 0])
    )
    right = accuracies(10 * torch.eye(4)[labels].sum(1), labels, GROUPS)
    assert {group: float(share) for group, share in right.items()} == {"type": 1.0, "colour": 1.0}
