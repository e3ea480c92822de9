"""benchmarks/composition.py: which pairs are sampled, and what a judge of known answers makes of the pictures."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save_tiny_bundle, tiny_bundle, tiny_parts
from PIL import Image

import ppgn
from ppgn import recipes
from ppgn.bundle import Bundle
from training import describe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
composition = importlib.import_module("composition")

NAMES = ("type:Bag", "type:Shoe", "colour:Blue", "colour:Red")
GROUPS = {"type": (0, 2), "colour": (2, 4)}
DATA = {
    "name": "table", "table": "captions.jsonl", "labels": {"type": "kind", "colour": "hue"}, "least": 5, "split_seed": 0,
    "validation_share": 0.2,
}  # fmt: skip
TRAINING = {"encoder": {"data": DATA}}


def shown(pairs: torch.Tensor) -> torch.Tensor:
    """Pictures `[picture, 1, 1, 4]` whose pixels are 1 at the classes they show."""
    return torch.eye(4)[pairs].sum(1)[:, None, None, :]


def seeing(pictures: torch.Tensor) -> torch.Tensor:
    """A judge who sees what `shown` painted."""
    return pictures.flatten(1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A table of 60 pictures in which a red shoe never occurs, and a hat that is too rare to be a class."""
    kinds = [("Bag", "Red")] * 20 + [("Bag", "Blue")] * 20 + [("Shoe", "Blue")] * 20 + [("Hat", "Red")]
    rows = [{"file": f"images/{index}.png", "kind": kind, "hue": hue} for index, (kind, hue) in enumerate(kinds)]
    folder = tmp_path / "table"
    (folder / "images").mkdir(parents=True)
    for row in rows:
        Image.fromarray(np.full((8, 8), 99, dtype=np.uint8)).save(folder / row["file"])
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def bundle(root: Path) -> Bundle:
    tiny = tiny_bundle()
    return replace(tiny, classes=NAMES, groups=tuple(GROUPS), info={**tiny.info, "training": TRAINING})


def save_judge(path: Path, names: tuple[str, ...] = NAMES, seed: int | None = 1) -> Path:
    """A checkpoint of the tiny encoder, with another last layer unless the seed is None."""
    encoder = tiny_parts()["encoder"]
    if seed is not None:
        torch.manual_seed(seed)
        torch.nn.init.normal_(encoder.fc8.weight)
    torch.save({"ppgn": {"parts": {"encoder": describe(encoder)}, "class_names": list(names)}}, path)
    return path


def test_absent_are_the_pairs_that_never_occur_of_classes_that_do() -> None:
    present, absent = composition.pairs_of([(0, 3), (1, 4), (0, 3), (2, 3)])  # nothing shows the class 5
    assert present == [(0, 3), (1, 4), (2, 3)]
    assert absent == [(0, 4), (1, 3), (2, 4)]


def test_pairs_are_drawn_once_each_by_the_seed_and_again_only_when_there_are_too_few() -> None:
    pairs = [(kind, hue) for kind in range(5) for hue in range(5, 9)]
    first = composition.drawn(pairs, 12, seed=3)
    assert len(set(first)) == 12 and set(first) <= set(pairs)
    assert first == composition.drawn(pairs, 12, seed=3) != composition.drawn(pairs, 12, seed=4)
    again = composition.drawn(pairs, 25, seed=3)
    assert set(again[:20]) == set(pairs) and again[20:] == again[:5]
    with pytest.raises(ValueError, match="no pair to draw 3 from"):
        composition.drawn([], 3, seed=0)


def test_a_judge_that_sees_what_is_shown_finds_every_class_and_a_share_of_the_others_wrong() -> None:
    pairs = torch.tensor([[0, 2], [0, 3], [1, 2], [1, 3]])
    found = composition.judged([seeing], shown(pairs), GROUPS)
    assert found.tolist() == pairs.tolist()
    wanted = torch.tensor([[0, 2], [1, 3], [1, 3], [0, 3]])  # type right in 2, colour in 3, both in 1
    assert composition.score(wanted, found, GROUPS) == {"pictures": 4, "type": 0.5, "colour": 0.75, "both": 0.25}
    assert composition.mistakes(wanted, found, NAMES, GROUPS) == {
        "type": [("Shoe", "Bag", 1), ("Bag", "Shoe", 1)],
        "colour": [("Red", "Blue", 1)],
    }
    assert composition.mistakes(wanted, wanted, NAMES, GROUPS) == {"type": [], "colour": []}


def test_present_and_absent_pairs_are_scored_apart_and_real_pairs_once_each() -> None:
    right, wrong = [0, 2], [1, 3]
    rows = composition.rows_of(torch.tensor([right] * 5), torch.tensor([right, right, wrong, wrong, wrong]), 2, GROUPS)
    assert [row["pictures"] for row in rows.values()] == [3, 2, 5]
    assert [row["both"] for row in rows.values()] == pytest.approx([2 / 3, 0, 0.4])
    real = composition.real_rows(torch.tensor([right, right, right, wrong]), torch.tensor([right, wrong, wrong, right]), GROUPS)
    assert [(row["pictures"], row["both"]) for row in real.values()] == [(4, 0.25), (2, 0.5)]


def test_of_two_judges_the_probabilities_are_multiplied() -> None:
    sure, unsure = torch.tensor([[0.0, 3.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0, 2.0]])
    found = composition.judged([lambda _: sure, lambda _: unsure], torch.zeros(1, 1, 8, 8), GROUPS)
    assert found.tolist() == [[1, 3]]


def test_the_table_is_read_as_the_generator_saw_it(bundle: Bundle, root: Path) -> None:
    table = composition.table_for(bundle, root)
    assert table.class_names == NAMES  # without the hat
    present, absent = composition.pairs_of(label for _, label in table.training)
    assert (present, absent) == ([(0, 2), (0, 3), (1, 2)], [(1, 3)])
    pictures, pairs = composition.held_out(table, bundle)
    assert pictures.shape == (len(pairs), 1, 8, 8) and len(pairs) + len(table.training) == 60
    torch.testing.assert_close(pictures, torch.full_like(pictures, 99 / 255))


def test_what_cannot_be_measured_is_a_sentence(bundle: Bundle, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not trained on a table"):
        composition.table_for(tiny_bundle(), root)
    with pytest.raises(ValueError, match="differ in the classes .*type:Hat"):
        composition.table_for(replace(bundle, classes=(*NAMES[:2], "type:Hat", *NAMES[2:])), root)
    with pytest.raises(ValueError, match="knows no colour:Red"):
        composition.read_judge(save_judge(tmp_path / "judge.ckpt", (*NAMES[:3], "colour:Pink")), bundle)
    with pytest.raises(ValueError, match="is the bundle's own encoder"):
        composition.read_judge(save_judge(tmp_path / "judge.ckpt", seed=None), bundle)


def test_a_judge_with_its_classes_in_another_order_answers_in_the_order_of_the_bundle(bundle: Bundle, tmp_path: Path) -> None:
    pictures = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    same = composition.read_judge(save_judge(tmp_path / "same.ckpt"), bundle)(pictures)
    turned = composition.read_judge(save_judge(tmp_path / "turned.ckpt", NAMES[::-1]), bundle)(pictures)
    torch.testing.assert_close(turned, same.flip(1))


def test_the_command_samples_absent_pairs_by_their_share_of_all_and_says_how_many_are_right(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny_bundle(tmp_path / "tiny")
    info = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(
        json.dumps({**info, "classes": list(NAMES), "groups": list(GROUPS), "training": TRAINING})
    )
    judge, figures, picture = save_judge(tmp_path / "judge.ckpt"), tmp_path / "figures.json", tmp_path / "grid.png"
    options = ["--bundle", str(folder), "--judge", str(judge), "--root", str(root), "--pairs", "8", "--json", str(figures)]
    monkeypatch.setattr(sys, "argv", ["composition.py", *options, "--grid", str(picture), "--set", "steps=2"])
    composition.main()
    page, result = capsys.readouterr().out, json.loads(figures.read_text())
    wanted = [tuple(sample["wanted"]) for sample in result["samples"]]
    assert set(wanted[:3]) == {(0, 2), (0, 3), (1, 2)} and wanted[:3] == wanted[3:6]
    assert wanted[6:] == [(1, 3), (1, 3)]  # a quarter of all pairs is absent: the only absent pair, two seeds
    assert [sample["seed"] for sample in result["samples"]] == list(range(8))
    assert result["recipe"] == recipes.recipe_for(ppgn.load(folder), steps=2).to_json()
    assert "training saw 3 pairs of its classes and did not see 1" in page
    right = [sample["wanted"] == sample["judged"] for sample in result["samples"]]
    assert result["rows"]["samples, all"]["both"] == pytest.approx(sum(right) / 8)
    assert f"| samples, absent pairs | 2 | {result['rows']['samples, absent pairs']['type']:.3f} |" in page
    with Image.open(picture) as opened:
        assert opened.width > 10 * 2 * 8  # ten columns of 8 px tiles, twice as large

    monkeypatch.setattr(sys, "argv", ["composition.py", *options[:-2], "--set", "stride=2"])
    with pytest.raises(SystemExit, match="2"):
        composition.main()
    assert "error: unknown settings stride" in capsys.readouterr().err
