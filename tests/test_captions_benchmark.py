"""benchmarks/captions.py: how captions are phrased, and the rank that a captioner of known answers gives them."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_captioner import tiny_captioner
from test_composition import NAMES, TRAINING, save_judge
from test_composition import root as root
from test_words import with_captioner

import ppgn
from ppgn import recipes
from ppgn.networks import MARKS
from training import describe

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
captions = importlib.import_module("captions")

VOCABULARY = (*MARKS, "red", "blue", "bag", "shoe", "in")
PLACES = {"bag": 0, "shoe": 1, "blue": 2, "red": 3}


class Reader:
    """A captioner for pictures whose pixels are 1 at the classes they show: a caption's value says how many of them it names."""

    def words_of(self, text: str) -> list[int]:
        return [PLACES[word] for word in text.split() if word != "in"]

    def image_vector(self, image: torch.Tensor) -> torch.Tensor:
        return image.flatten(1)

    def word_log_probs(self, vector: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return vector.gather(1, words.clamp(min=0)) - 1


def test_a_caption_names_type_and_colour_in_two_phrasings_in_turn() -> None:
    assert [captions.caption(NAMES, (0, 3), number) for number in range(3)] == ["red bag", "bag in red", "red bag"]


def test_the_rank_counts_the_captions_that_are_as_likely_as_the_right_one() -> None:
    pairs = [(0, 2), (0, 3), (1, 2), (1, 3)]
    right = torch.eye(4)[torch.tensor(pairs)].sum(1)[:, None, None, :]
    assert captions.ranks(Reader(), right, pairs, range(4), NAMES, 4, 0).tolist() == [0, 0, 0, 0]
    wrong = right.flip(0)  # shows the other type and the other colour: all others name as much or more
    assert captions.ranks(Reader(), wrong, pairs, range(4), NAMES, 4, 0).tolist() == [3, 3, 3, 3]


def test_the_command_samples_each_caption_and_says_how_many_are_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path
) -> None:
    folder = tmp_path / "tiny"
    with_captioner(folder, vocabulary=VOCABULARY)
    info = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(
        json.dumps({**info, "classes": list(NAMES), "groups": ["type", "colour"], "training": TRAINING})
    )
    judge, second = save_judge(tmp_path / "judge.ckpt"), tmp_path / "second.ckpt"
    torch.save({"ppgn": {"parts": {"captioner": describe(tiny_captioner(vocabulary=VOCABULARY))}, "class_names": []}}, second)
    options: list[Any] = ["--bundle", folder, "--judge", judge, "--root", root, "--captioner", second, "--captions", 4]
    options += ["--samples", 2, "--among", 2, "--json", tmp_path / "numbers.json", "--grid", tmp_path / "grid.png"]
    monkeypatch.setattr(sys, "argv", ["captions.py", *map(str, options)])
    captions.main()
    result = json.loads((tmp_path / "numbers.json").read_text())
    rows = result["rows"]
    assert result["recipe"] == recipes.recipe_for(ppgn.load(folder), "caption").to_json()
    assert {name: row["pictures"] for name, row in rows.items()} == {
        "samples, pairs in training": 6, "samples, absent pairs": 2, "samples, all": 8, "real held-out pictures": 9,
    }  # fmt: skip
    assert "| samples, all | 8 |" in capsys.readouterr().out
    assert (tmp_path / "grid.png").is_file()
