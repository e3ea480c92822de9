"""`ppgn evaluate`: what a person types, what is printed, and what is left on the disk."""

import contextlib
import json
import re
from pathlib import Path

import pytest
import torch
from conftest import CLASS_NAMES
from PIL import Image
from torch import nn

from ppgn import cli, images
from ppgn.images import table_of

QUICK = ["--count", "2", "--chain-steps", "6"]


def write_pictures(root: Path, count: int, seed: int) -> None:
    """A folder for each class of the tiny bundle with noise of 8x8 pixels."""
    draw = torch.Generator().manual_seed(seed)
    for name in CLASS_NAMES:
        folder = root / name.replace(" ", "_")
        folder.mkdir(parents=True)
        for number in range(count):
            pixels = torch.randint(0, 256, (8, 8), generator=draw, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")


@pytest.fixture
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_pictures(folder / "val", 4, seed=0)
    write_pictures(folder / "train", 3, seed=1)
    monkeypatch.syspath_prepend(folder)
    return folder


def evaluated(folder: Path, *arguments: str, out: str = "evaluation") -> dict:
    assert cli.main(["evaluate", "tiny", "--real", "val", "--out", out, *arguments]) == 0
    return json.loads((folder / out / "scores.json").read_text())


def test_evaluate_writes_a_table_scores_and_a_page_that_needs_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = evaluated(folder, "--train", "train", "--sampler", "langevin", "--noise-scale", "0.3", *QUICK)
    assert sorted(file.name for file in (folder / "evaluation").iterdir()) == ["index.html", "scores.json"]
    assert scores["samples"]["pictures"] == 8
    assert scores["real"]["pictures"] == 16
    assert scores["compared"] == {"reference": 8, "samples": 8, "real": 8}
    for key in ("accuracy", "calibration_error", "frechet", "kernel", "coverage", "feature_diversity", "structure_diversity"):
        assert isinstance(scores["samples"][key], float), key
        assert isinstance(scores["real"][key], float), key
    assert sum(map(sum, scores["samples"]["confusion"])) == 8
    assert scores["samples"]["copies"]["least_ratio"] > 0
    assert scores["training_pictures"] == 12
    assert scores["chain"]["steps"] == 6 and len(scores["chain"]["log_prob"]["autocorrelation"]) == 6
    assert scores["cost"]["passes_per_sample"] == {"encoder": 5.0, "generator": 5.0}
    assert scores["cost"]["seconds_per_sample"] > 0
    page = (folder / "evaluation" / "index.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    printed = capsys.readouterr().out
    assert "| accuracy |" in printed
    assert "bundle:classifier (not held out)" in printed and "bundle:classifier (not held out)" in page
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 5 for line in printed.splitlines() if line.startswith("|"))


def test_a_chain_at_rest_is_reported_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = evaluated(folder, "--count", "2", "--chain-steps", "6", "--steps", "3", "--sampler", "langevin", "--condition-scale",
                     "0", "--prior", "none", "--noise-scale", "0")  # fmt: skip
    assert scores["chain"]["log_prob"]["tau"] is scores["chain"]["features"]["tau"] is None
    assert "at rest" in (folder / "evaluation" / "index.html").read_text()
    assert "| autocorrelation time, log-probability | - |" in capsys.readouterr().out


def test_samples_from_a_folder_score_as_those_sampled_now(folder: Path) -> None:
    now = evaluated(folder, *QUICK, out="now")
    assert cli.main(["sample", "tiny", "--class", "all", "--count", "2", "--save-images", "made"]) == 0
    before = evaluated(folder, "--samples", "made", out="before")
    assert before["samples"]["confusion"] == now["samples"]["confusion"]
    assert before["samples"]["feature_diversity"] == pytest.approx(now["samples"]["feature_diversity"], abs=0.01)
    assert before["cost"] is before["chain"] is before["recipe"] is before["seed"] is None
    assert now["recipe"]["steps"] == 5 and now["seed"] == 0


def test_training_pictures_given_as_samples_are_found_to_be_copies(folder: Path) -> None:
    scores = evaluated(folder, "--samples", "train", "--train", "train")
    assert scores["samples"]["copies"]["below_one"] == 1
    assert scores["samples"]["copies"]["median_ratio"] == 0
    assert scores["real"]["copies"]["least_ratio"] > 0


def test_the_same_command_gives_the_same_scores(folder: Path) -> None:
    first, second = (evaluated(folder, *QUICK, out=name) for name in ("a", "b"))
    assert first["samples"] == second["samples"]
    assert first["chain"] == second["chain"]


def judge() -> nn.Module:
    """A classifier of five classes in three colours."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


JUDGE = ["--judge", "judges:judge", "--judge-size", "8", "--judge-mean", "0.5", "--judge-std", "0.5"]


def write_judge(folder: Path) -> None:
    (folder / "judges.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef judge():\n    torch.manual_seed(1)\n    return nn.Sequential("
        "nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))\n"
    )
    (folder / "names.txt").write_text("index\twnid\tname\n1\tn1\ttench, Tinca tinca\n0\tn0\tgoldfish\n" + "".join(
        f"{index}\tn{index}\t{name}\n" for index, name in ((2, "golf ball"), (4, "English springer"), (3, "gas pump"))
    ))  # fmt: skip


def test_another_network_judges_the_classes_it_shares_by_name(folder: Path) -> None:
    write_judge(folder)
    arguments = [*JUDGE, "--judge-classes", "names.txt", "--samples", "val", "--class", "ball", "tench"]
    scores = evaluated(folder, *arguments)
    assert scores["judge"] == {"name": "judges:judge", "weights": None, "held_out": True, "layer": "2", "features": 6}
    assert scores["classes"] == CLASS_NAMES
    assert scores["samples"]["pictures"] == 8
    assert scores["samples"]["per_class"][1] is scores["samples"]["per_class"][3] is None
    pictures = torch.stack([images.load_image(folder / "val" / "golf_ball" / f"{number}.png") for number in range(4)])
    with torch.no_grad():
        logits = judge().eval()((pictures - 0.5) / 0.5)[:, [1, 4, 2, 3]]  # tench, springer, golf ball, gas pump
    expected = torch.bincount(logits.argmax(1), minlength=4).tolist()
    assert scores["samples"]["confusion"][2] == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--real", "nowhere"], "no folder nowhere"),
        (["--real", "bundles"], "'tench'"),
        (["--train", "nowhere"], "no folder nowhere"),
        (["--count", "0"], "count 0, expected at least 1"),
        (["--real-count", "1"], "at least 2"),
        (["--real-count", "-1"], "--real-count -1, expected at least 0"),
        (["--chain-steps", "1"], "--chain-steps 1, expected at least 2"),
        (["--samples", "val", "--steps", "9"], "steps"),
        (["--samples", "val", "--chain-steps", "9"], "chain_steps"),
        (["--samples", "nowhere"], "no folder nowhere"),
        (["--class", "whale"], "whale"),
        (["--judge-bgr"], "got bgr, expected none"),
        (["--judge-classes", "names.txt"], "the judge bundle:classifier got classes, expected none"),
        (["--judge-classes", "a", "b", "c", "d"], "the judge bundle:classifier got classes, expected none"),
        ([*JUDGE, "--judge-classes", "nowhere.txt"], "there is no file nowhere.txt of a judge's class names"),
        (["--judge", "nosuch:judge"], "nosuch"),
        (JUDGE, "has 5 classes"),
        ([*JUDGE, "--judge-classes", "a", "b", "c", "d", "e"], "'tench'"),
        (["--judge-layer", "trunk.nosuch"], "trunk.block1"),
        (["--lpips", "resnet"], "alex"),
        (["--prior", "magic"], "reconstruction"),
        (["--out", "val/tench/0.png"], "val/tench/0.png"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    write_judge(folder)
    before = sorted(folder.rglob("*.*"))
    assert cli.main(["evaluate", "tiny", "--real", "val", *arguments]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert printed[-1].startswith("ppgn: error: ")
    assert said in printed[-1]
    assert "Traceback" not in "\n".join(printed)
    assert [file for file in sorted(folder.rglob("*.*")) if "__pycache__" not in str(file)] == before


def test_a_folder_that_another_evaluation_writes_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "evaluation").mkdir()
    with images.alone_in(folder / "evaluation"):
        assert cli.main(["evaluate", "tiny", "--real", "val", *QUICK]) == 2
    assert "evaluation is written by another process already, expected none" in capsys.readouterr().err
    assert list((folder / "evaluation").iterdir()) == []


def test_a_picture_that_is_broken_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "val" / "tench" / "0.png").write_bytes(b"no picture")
    assert cli.main(["evaluate", "tiny", "--real", "val", *QUICK]) == 2
    assert "val/tench/0.png" in capsys.readouterr().err
    assert not (folder / "evaluation" / "scores.json").exists()


def test_a_bundle_of_a_table_is_judged_by_pictures_that_its_training_held_out(folder: Path) -> None:
    names = ["type:Bag", "type:Shoe", "colour:Blue", "colour:Red"]
    data = {"name": "table", "table": "rows.jsonl", "labels": {"type": "kind", "colour": "hue"}, "least": 5, "split_seed": 0}
    description = folder / "bundles" / "tiny" / "bundle.json"
    training = {"encoder": {"data": {**data, "validation_share": 0.3}}}
    description.write_text(
        json.dumps({**json.loads(description.read_text()), "classes": names, "groups": ["type", "colour"], "training": training})
    )
    (folder / "table").mkdir()
    rows = []
    for index in range(60):
        rows.append({"file": f"{index}.png", "kind": ("Bag", "Shoe")[index % 2], "hue": ("Red", "Blue")[index // 30]})
        Image.effect_noise((8, 8), 60).save(folder / "table" / f"{index}.png")
    (folder / "table" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = table_of(training, names, folder / "table")
    assert table is not None
    scores = evaluated(folder, "--real", "table", "--train", "table", "--real-count", "0", "--class", "colour:all", *QUICK)
    assert scores["classes"] == names[2:]
    assert scores["real"]["pictures"] == len(table.held_out)
    assert scores["samples"]["pictures"] == 4
    pictures = {path for path, _ in table.training} | {path for path, _ in table.held_out}
    assert len(pictures) == 60 == len(table.training) + len(table.held_out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate", "tiny", "--real", "val", "--class", "tench", *QUICK],
        ["evaluate", "tiny", "--real", "\x1b[2Jnowhere"],
        ["sample", "\x1b[2Jtiny", "--class", "1"],
        ["sample", "tiny", "--class", "1", "\x1b[2Jword"],
        ["sample", "tiny", "--class", "1", "--count", "1", "--steps", "1", "--out", "\x1b[2J.png"],
    ],
)
def test_control_characters_of_a_name_do_not_reach_the_terminal(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "val" / "tench" / "\x1b[2J\x9b31m.png").write_bytes(b"no picture")
    with contextlib.suppress(SystemExit):  # of argparse
        cli.main(arguments)
    printed = "".join(capsys.readouterr())
    assert "\\x1b[2J" in printed
    assert "\x1b[2J" not in printed and "\x9b" not in printed
