"""benchmarks/story.py: what is kept is not made again, what a row counts, and the figure."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ppgn.probe import Preprocessed

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
pytest.importorskip("timm")
story: Any = importlib.import_module("story")
methods: Any = importlib.import_module("story_methods")


class Red(nn.Module):
    """Two classes, red and not red, and one layer with two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        red = self.maps(pixels)[:, 0].mean((1, 2))
        return torch.stack([20 * red - 10, torch.zeros_like(red)], 1)


class Judge:
    def __call__(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return torch.stack([pictures[:, 0, 0, 0], pictures[:, 1, 0, 0]], 1), pictures.mean((2, 3))


def red_method(calls: list[str], strength: float = 1.0) -> Any:
    def draw(unit: str, seeds: Any) -> Tensor:
        calls.append(unit)
        picture = torch.zeros(len(seeds), 3, 8, 8)
        picture[:, int(unit[-1])] = strength
        return picture

    return methods.Method(2013, draw, {"strength": strength})


def test_every_method_has_a_year_and_settings_and_stands_in_the_order_of_years() -> None:
    years = [method.year for method in methods.METHODS.values()]
    assert years == sorted(years) and all(method.settings for method in methods.METHODS.values())
    assert methods.METHODS["lucid"].settings["sampler"]["name"] == "adam"
    assert methods.METHODS["ppgn"].settings["prior"]["name"] == "reconstruction"


def test_pictures_are_kept_until_seeds_or_settings_change(tmp_path: Path) -> None:
    calls: list[str] = []
    made = [story.drawn("red", red_method(calls), "classifier:0", [0, 1], tmp_path) for _ in range(2)]
    assert calls == ["classifier:0"] and torch.equal(made[0].pictures, made[1].pictures)
    story.drawn("red", red_method(calls), "classifier:0", [0, 2], tmp_path)
    story.drawn("red", red_method(calls, 0.5), "classifier:0", [0, 2], tmp_path)
    assert len(calls) == 3


def test_a_row_counts_what_both_networks_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "lite", SimpleNamespace(lite0=lambda: Preprocessed(Red().eval(), 8, 0.0, 1.0)))
    classes, method = {"red": 0, "green": 1}, red_method([])
    found = [story.drawn("red", method, f"classifier:{index}", [0, 1], tmp_path) for index in classes.values()]
    row = story.measured(Judge(), classes, found, found[0], "maps:0")
    assert row.own.shape == (2, 2) and bool((row.own > 0.99).all()) and bool(row.first.all())
    assert row.diversity == pytest.approx(0, abs=1e-6) and row.unit == 1
    assert story.line("red", method, row).startswith("| 2013 | `red` | 1.000 | 0.731 | 4 of 4 | 0.000 | 1.00 | ")


def test_the_figure_has_a_row_of_tiles_for_each_method() -> None:
    rows = {"one\n2009": torch.rand(3, 3, 8, 8), "two\n2015": torch.rand(3, 3, 16, 16)}
    labels = {name: [story.label(1.0, 0.5, place == 0) for place in range(3)] for name in rows}
    small = story.figure({"one\n2009": rows["one\n2009"]}, labels, ["a", "b", "c"])
    both = story.figure(rows, labels, ["a", "b", "c"])
    assert labels["one\n2009"][:2] == ["1.00 / 0.50 first", "1.00 / 0.50"]
    assert both.width == small.width and both.height > small.height + story.TILE
