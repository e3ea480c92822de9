"""benchmarks/quality.py: every variant can run, results are kept, the plot is drawn."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

import ppgn
from ppgn import recipes

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import quality  # noqa: E402


def test_every_variant_is_another_setting_that_the_shipped_bundle_can_run() -> None:
    bundle = ppgn.load(ROOT / "checkpoints" / "imagenette64")
    found = [dataclasses.astuple(recipes.settings_for(bundle, **changes)) for changes in quality.VARIANTS.values()]
    assert len(set(found)) == len(found)
    assert set(quality.FIVE) <= set(recipes.runnable(bundle)) & set(quality.VARIANTS)


def test_a_result_is_made_once_for_what_is_asked_and_again_for_something_else(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, Any]:
        made.append(len(made))
        return {"accuracy": len(made)}

    for asked, times in (({"count": 1}, 1), ({"count": 1}, 1), ({"count": 2}, 2)):
        assert quality.kept(tmp_path / "one.json", asked, make) == {"asked": asked, "accuracy": times}
    assert len(made) == 2


def test_the_frontier_names_every_variant(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    temperatures = {"default": 4, "temperature 1": 1, "temperature 5": 5, "Eq. 11, temperature 2": 2, "real": 0}
    found = {
        name: {"accuracy": 0.5 + 0.001 * number, "diversity_encoder": 0.4, "asked": {"settings": {"temperature": number}}}
        for name, number in temperatures.items()
    }
    quality.frontier(found, tmp_path / "one.svg")
    quality.frontier(found, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert all(f"<!-- {quality.short(name)} -->" in text for name in temperatures)


def test_names_become_file_names() -> None:
    assert quality.slug("start codes, 1 draw") == "start_codes__1_draw"
