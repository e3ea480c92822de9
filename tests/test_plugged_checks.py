"""What is wrong with a plugged-in network is said before any chain runs, with the fix; and the checks can be left out."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle

from ppgn import requests
from ppgn.cli import main
from ppgn.requests import Plugged

MODULE = """
import torch
from torch import nn
from torch.nn import functional as F
from ppgn.probe import Preprocessed

def network(*behind):
    torch.manual_seed(3)
    layers = [nn.Conv2d(1, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)]
    return nn.Sequential(*layers, *behind)

def seen(module):
    return Preprocessed(module, 8, 0.5, 0.25)

class Functional(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.body = function, network()

    def forward(self, image):
        return self.function(self.body(image))

def good(): return seen(network())
def softmax(): return seen(network(nn.Softmax(1)))
def softmax_in_bfloat16(): return seen(network(nn.Softmax(1)).bfloat16())
def sigmoid(): return seen(Functional(torch.sigmoid))
def log_softmax(): return seen(network(nn.LogSoftmax(1)))
def one_score(): return seen(network(nn.Linear(7, 1)))
def dropout(): return seen(Functional(lambda x: F.dropout(x)))
def detached(): return seen(Functional(lambda x: x.detach()))
def rounded(): return seen(Functional(lambda x: torch.round(x * 10)))
def centred(): return seen(Functional(lambda x: x - x.mean(0)))
def by_batch(): return seen(network(nn.BatchNorm1d(7, track_running_stats=False)))
def trained(): return seen(Functional(lambda x: F.batch_norm(x, torch.zeros(7), torch.ones(7), training=True)))

def dead():
    module = network()
    with torch.no_grad():
        module[0].bias[:] = torch.tensor([10.0, 10.0, -100.0, 10.0, 10.0])
    return seen(module)

def levels():
    return Preprocessed(network(), 8, (123.675,), (58.395,))
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "plugged_faults.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("plugged_faults", None)


def network(name: str, **given: Any) -> Plugged:
    return Plugged(f"plugged_faults:{name}", precision="float32", **given)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("softmax", r"ends in a softmax \(its scores sum to 1\), expected scores of any size: return the scores before it"),
        ("softmax_in_bfloat16", "ends in a softmax"),
        ("sigmoid", "ends in a sigmoid"),
        ("one_score", "has one score, whose softmax is always 1"),
        ("dropout", r"is random or remembers earlier calls.*F.dropout needs training=self.training"),
        ("detached", "is not connected to the image"),
        ("rounded", "has a gradient of exactly 0 to the image"),
        ("centred", "lets chains depend on each other"),
        ("by_batch", "keeps no running statistics and normalises by the batch"),
        ("trained", "runs for 2 chains and fails for one .*F.batch_norm needs training=False"),
    ],
)
def test_a_network_that_would_run_to_no_good_is_refused_with_the_fix_and_runs_unchecked(name: str, said: str) -> None:
    bundle = tiny_bundle()
    with pytest.raises(ValueError, match=said) as raised:
        requests.parse(bundle, class_="0", network=network(name))
    assert str(raised.value).startswith(f"plugged_faults:{name} ") and "\n" not in str(raised.value)
    assert requests.parse(bundle, class_="0", network=network(name), check=False).names == ("0",)


@pytest.mark.parametrize("name", ["good", "log_softmax"])
def test_good_networks_pass(name: str, caplog: pytest.LogCaptureFixture) -> None:
    bundle = tiny_bundle()
    for asked in ({"class_": "all"}, {"unit": "4:*"}, {"unit": "0:0@centre"}, {"unit": "4:1", "measure": "log_softmax"}):
        requests.parse(bundle, network=network(name), **asked)
    assert not caplog.records


def test_units_behind_a_softmax_may_be_climbed_but_not_measured_by_another_one() -> None:
    bundle = tiny_bundle()
    assert requests.parse(bundle, unit="5:3", network=network("softmax")).names == ("5:3",)
    with pytest.raises(ValueError, match="the layer '5' ends in a softmax"):
        requests.parse(bundle, unit="5:3", measure="released", network=network("softmax"))


def test_the_contract_of_units_is_checked_too() -> None:
    with pytest.raises(ValueError, match="plugged_faults:by_batch breaks the contract of conditions: .*normalises by the batch"):
        requests.parse(tiny_bundle(), unit="5:3", network=network("by_batch"))


def test_a_dead_unit_is_warned_of_by_name_and_its_neighbours_are_not(caplog: pytest.LogCaptureFixture) -> None:
    bundle = tiny_bundle()
    with caplog.at_level(logging.WARNING, "ppgn"):
        assert len(requests.parse(bundle, unit="1:0-3", network=network("dead"))) == 4
    (record,) = caplog.records
    said = record.getMessage()
    assert "1:2" in said and "1:1" not in said and "is exactly 0 in two pictures of tiny" in said
    caplog.clear()
    requests.parse(bundle, unit="1:2", network=network("dead"))
    assert "the gradient of 1 of 1 targets (1:2) is exactly 0" in caplog.text
    caplog.clear()
    requests.parse(bundle, unit="1:2", network=network("dead"), check=False)
    requests.parse(bundle, unit="0:2", network=network("dead"))
    assert not caplog.records


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mean": (123.675, 116.28, 103.53)}, r"got the mean 123.675, 116.28, 103.53, expected .*mean=\(0.485, 0.456, 0.406\)"),
        ({"mean": 128.0}, "got the mean 128, expected numbers up to 1"),
        ({"std": (58.395, 57.12, 57.375)}, r"got the std 58.395.*divide it by 255, std=\(0.229, 0.224, 0.225\)"),
    ],
)  # fmt: skip
def test_a_mean_in_levels_is_refused_with_its_value_for_pixels_in_the_unit_interval(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        requests.parse(tiny_bundle(), class_="3", network=network("good", **given))


def test_a_module_that_states_its_mean_in_levels_is_refused_too() -> None:
    with pytest.raises(ValueError, match="plugged_faults:levels got the mean 123.675"):
        requests.parse(tiny_bundle(), class_="3", network=network("levels"))


def test_the_command_line_refuses_and_leaves_the_checks_out_where_it_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sample", "tiny", "--network", "plugged_faults:softmax", "--class", "3", "--steps", "1", "--count", "1"]
    assert main([*command, "--out", "grid.png"]) == 2
    assert "ppgn: error: plugged_faults:softmax ends in a softmax" in capsys.readouterr().err
    assert main([*command, "--out", "grid.png", "--no-check"]) == 0
    assert torch.tensor((folder / "grid.png").stat().st_size) > 0
