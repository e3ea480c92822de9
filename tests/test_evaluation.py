"""`ppgn.evaluation.evaluate` and its parts, as a Python program or a page calls them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle
from PIL import Image
from torch import Tensor, nn

from ppgn import evaluation
from ppgn.bundle import Bundle
from ppgn.evaluation import EvaluationOptions, JudgeSource
from ppgn.probe import Preprocessed
from ppgn.requests import Plugged

CLASSES = ("dark", "light")
HEIGHT, WIDTH = 12, 20


class Shades(nn.Module):
    """Codes `[chain, 1]` -> flat grey pictures that are wider than high."""

    def forward(self, code: Tensor) -> Tensor:
        return code.sigmoid().reshape(-1, 1, 1, 1).expand(-1, 1, HEIGHT, WIDTH)


class Brightness(nn.Module):
    """Two logits, of which the second one wins for bright pictures; its features are the mean of each quarter of the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.quarters = nn.AdaptiveAvgPool2d(2)

    def forward(self, image: Tensor) -> Tensor:
        brightness = self.quarters(image).mean((1, 2, 3))
        return 20 * torch.stack([0.5 - brightness, brightness - 0.5], 1)


def shades() -> Bundle:
    return Bundle.of(Shades(), (1,), name="shades", classes=CLASSES)


def brightness() -> JudgeSource:
    network = Preprocessed(Brightness().eval(), (HEIGHT, WIDTH), 0.0, 1.0)
    return JudgeSource("brightness", classes=CLASSES, layer="quarters", network=network)


def write_pictures(root: Path, count: int, size: tuple[int, int], seed: int) -> Path:
    """`count` noisy pictures of each class, dark and light, of this (width, height), in grey."""
    draw = torch.Generator().manual_seed(seed)
    for name, grey in (("dark", 40), ("light", 180)):
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = grey + torch.randint(0, 40, (size[1], size[0]), generator=draw, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(root / name / f"{number}.png")
    return root


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    sizes = {"val": (6, (WIDTH, HEIGHT)), "train": (5, (2 * WIDTH, 2 * HEIGHT)), "made": (3, (WIDTH, WIDTH))}
    return {name: write_pictures(tmp_path / name, count, size, seed) for seed, (name, (count, size)) in enumerate(sizes.items())}


def test_pictures_that_are_not_square_are_judged_by_a_network_in_memory_without_an_encoder(folders: dict[str, Path]) -> None:
    evaluated = evaluation.evaluate(shades(), folders["val"], train=folders["train"], samples=folders["made"], judge=brightness())
    scores = evaluated.scores
    assert scores["bundle"] == "shades"
    assert scores["judge"] == {"name": "brightness", "weights": None, "held_out": True, "layer": "quarters", "features": 1}
    assert scores["samples"]["accuracy"] == scores["real"]["accuracy"] == 1
    assert scores["samples"]["pictures"] == 6 and scores["real"]["pictures"] == 12 and scores["training_pictures"] == 10
    assert scores["recipe"] is scores["chain"] is scores["cost"] is None
    assert sorted(evaluated.pictures) == ["best", "copies", "real", "samples"]
    assert {name: len(values) for name, values in evaluated.ratios.items()} == {"samples": 6, "real": 12}


def test_scores_are_plain_json_and_saved_with_a_page_that_needs_nothing_else(folders: dict[str, Path], tmp_path: Path) -> None:
    evaluated = evaluation.evaluate(shades(), folders["val"], train=folders["train"], samples=folders["made"], judge=brightness())
    scores, index = evaluated.save(tmp_path / "out" / "evaluation")
    assert json.loads(scores.read_text()) == evaluated.scores
    assert index.read_text() == evaluated.page()
    assert sorted(file.name for file in scores.parent.iterdir()) == ["index.html", "scores.json"]
    assert evaluated.page().count("data:image/png;base64,") == 4
    assert not re.search(r"(src|href)=\"(?!data:)", evaluated.page())
    assert "brightness (held out)" in evaluated.table().splitlines()[0]
    with pytest.raises(ValueError, match=r"scores\.json"):
        evaluated.save(scores)


def test_progress_names_each_stage_from_its_start_to_its_end(folders: dict[str, Path]) -> None:
    calls: dict[str, list[tuple[int, int]]] = {}

    def note(stage: str, done: int, total: int) -> None:
        calls.setdefault(stage, []).append((done, total))

    options = EvaluationOptions(samples=folders["made"], train=folders["train"], judge=brightness())
    evaluation.run(evaluation.prepare(shades(), folders["val"], options), note)
    assert list(calls) == [
        "reading samples",
        "reading",
        "judging samples",
        "judging real pictures",
        "judging training pictures",
        "scoring",
    ]
    for stage, numbers in calls.items():
        totals = {total for _, total in numbers}
        assert len(totals) == 1, stage
        assert [done for done, _ in numbers] == list(range(totals.pop() + 1)), stage


def test_samples_drawn_now_carry_their_recipe_seed_and_cost(tmp_path: Path) -> None:
    bundle = tiny_bundle()
    for name in bundle.classes:
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.effect_noise((8, 8), 60).save(tmp_path / name / f"{number}.png")
    settings: dict[str, Any] = {"sampler": "langevin", "noise_scale": 0.3, "steps": 4}
    evaluated = evaluation.evaluate(bundle, tmp_path, classes=["tench", "golf"], count=2, seed=3, chain_steps=6, **settings)
    scores = evaluated.scores
    assert scores["recipe"]["sampler"]["name"] == "langevin" and scores["recipe"]["steps"] == 4 and scores["seed"] == 3
    assert scores["cost"]["passes_per_sample"] == {"generator": 4.0, "encoder": 4.0}
    assert scores["samples"]["pictures"] == 4
    assert scores["chain"]["chains"] == 2 and scores["chain"]["steps"] == 6 and scores["chain"]["after"] == 4
    assert len(scores["chain"]["features"]["autocorrelation"]) == 6
    assert not evaluated.stopped


@pytest.mark.parametrize(("classes", "count"), [(1, 10), (10, 10), (20, 5), (33, 3), (1000, 2)])
def test_many_classes_get_fewer_samples_each_but_two(classes: int, count: int) -> None:
    assert evaluation.samples_per_class(classes) == count


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"count": 0}, "count 0, expected at least 1"),
        ({"batch": 0}, "batch 0, expected at least 1"),
        ({"real_count": -1}, "real_count -1, expected at least 0"),
        ({"chain_steps": 1}, "chain_steps 1, expected at least 2"),
        ({"samples": "made", "chain_steps": 5}, "chain_steps, expected one of them"),
        ({"samples": "made", "recipe": "ppgn_h"}, "recipe, expected one of them"),
        ({"samples": "made", "changes": {"steps": 5, "temperature": None}}, "and steps, expected one of them"),
        ({"lpips": "resnet"}, "alex, vgg, squeeze"),
    ],
)
def test_options_that_do_not_fit_are_refused_without_naming_flags(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        EvaluationOptions(**fields)
    assert "--" not in str(refused.value)


def test_a_description_of_the_bundles_classifier_and_one_of_a_network_in_memory_are_refused() -> None:
    with pytest.raises(ValueError, match="bundle:classifier got mean, bgr"):
        JudgeSource(mean=0.0, bgr=True)
    network = Preprocessed(Brightness().eval(), 8, 0.0, 1.0)
    with pytest.raises(ValueError, match="got size, expected a name"):
        JudgeSource("mine", size=8, network=network)
    with pytest.raises(ValueError, match="got no name"):
        JudgeSource(network=network)


def test_a_network_that_fails_as_a_judge_is_named_with_the_bundle(folders: dict[str, Path]) -> None:
    network = Preprocessed(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)).eval(), 8, 0.0, 1.0)
    with pytest.raises(ValueError, match="judge lines failed on a picture of shades"):
        evaluation.prepare(shades(), folders["val"], EvaluationOptions(judge=JudgeSource("lines", network=network)))


def test_a_bundle_without_encoder_needs_another_judge(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="shades has no encoder"):
        evaluation.prepare(shades(), folders["val"])


def test_classes_are_chosen_within_one_group() -> None:
    bundle = Bundle.of(Shades(), (1,), classes=("type:Bag", "type:Shoe", "colour:Red", "colour:Blue"), groups=("type", "colour"))
    assert evaluation.choose_classes(bundle, ["all"]) == (range(0, 2), (0, 1))
    assert evaluation.choose_classes(bundle, "colour:all") == (range(2, 4), (0, 1))
    assert evaluation.choose_classes(bundle, ["blue", 2, "blue"]) == (range(2, 4), (1, 0))
    with pytest.raises(ValueError, match="single group"):
        evaluation.choose_classes(bundle, ["bag", "red"])
    with pytest.raises(ValueError, match="classes"):
        evaluation.choose_classes(Bundle.of(Shades(), (1,)), ["all"])


def test_class_names_are_read_as_lines_and_as_tables(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("tench\n\ngoldfish\n")
    (tmp_path / "table.tsv").write_text("index\twnid\tname\n1\tn1\ttench\n0\tn0\tgoldfish\n")
    assert evaluation.read_class_names(tmp_path / "lines.txt") == ["tench", "goldfish"]
    assert evaluation.read_class_names(tmp_path / "table.tsv") == ["goldfish", "tench"]
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match="one name a line"):
        evaluation.read_class_names(tmp_path / "bytes")


def test_plots_hold_a_mark_for_each_value_and_escape_names() -> None:
    bins = [{"confidence": 0.6, "accuracy": 0.5, "pictures": 4}, {"confidence": 0.9, "accuracy": 1.0, "pictures": 12}]
    calibration = evaluation.reliability({"a < b": bins})
    assert calibration.count("<circle") == 2 and "a &lt; b" in calibration and "a < b" not in calibration
    assert evaluation.curves({"one": [1.0, 0.5, 0.0], "two": [1.0, 0.0, -1.0]}).count("<polyline") == 2
    assert evaluation.histogram({"samples": [0.0, 1.0, 5.0]}).count("<rect") == 20 + 1  # and the frame


def test_a_whole_number_is_a_position_where_the_names_of_classes_are_numbers(tmp_path: Path) -> None:
    real = write_pictures(tmp_path, 2, (WIDTH, HEIGHT), 0)
    for name, number in (("dark", "1"), ("light", "0")):
        (real / name).rename(real / number)
    bundle = Bundle.of(Shades(), (1,), classes=("1", "0"))
    for wanted, found in ((1, (1,)), ("1", (0,))):
        options = EvaluationOptions(classes=wanted, judge=JudgeSource("it", classes=("1", "0"), network=brightness().network))
        assert evaluation.prepare(bundle, real, options).classes == found


NETWORK = f"""
from test_evaluation import Brightness
from ppgn.probe import Preprocessed
from ppgn.requests import Plugged

def network():
    return Preprocessed(Brightness().eval(), ({HEIGHT}, {WIDTH}), 0.0, 1.0)
"""


@pytest.mark.parametrize("classes", ["all", ["1"]])
def test_a_bundle_without_classes_is_evaluated_by_those_of_a_plugged_in_network(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: Any
) -> None:
    (tmp_path / "brightness_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    for index, name in enumerate(CLASSES):  # a network without names of classes has numbers
        (folders["val"] / name).rename(folders["val"] / str(index))
    bundle = Bundle.of(Shades(), (1,), name="shades", mean=0.0, std=1.0)
    settings: dict[str, Any] = {"sampler": "langevin", "prior": "none", "condition_scale": 1.0, "noise_scale": 0.01, "steps": 30}
    network = Plugged("brightness_network:network")
    with pytest.raises(ValueError, match="shades has no classes, expected some.*name a network that has classes"):
        evaluation.prepare(bundle, folders["val"])
    task_options = EvaluationOptions(classes=classes, network=network, count=2, chain_steps=6, changes=settings)
    scores = evaluation.run(evaluation.prepare(bundle, folders["val"], task_options)).scores
    assert scores["samples"]["accuracy"] == 1 and scores["samples"]["pictures"] == 2 * (2 if classes == "all" else 1)
    assert scores["classes"] == ["0", "1"]
    assert scores["judge"]["name"] == "brightness_network:network" and scores["judge"]["held_out"] is False
    held_out = EvaluationOptions(network=network, judge=brightness(), count=2, chain_steps=0, changes=settings)
    with pytest.raises(ValueError, match="brightness has no class '0' among its 2"):
        evaluation.prepare(bundle, folders["val"], held_out)
