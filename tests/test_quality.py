"""benchmarks/quality.py: every variant can run, results are kept, the plot is drawn."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny_bundle

import ppgn
from ppgn import recipes

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import quality  # noqa: E402
import quality_plot  # noqa: E402
import quality_variants  # noqa: E402
import runs  # noqa: E402


def test_every_variant_is_another_setting_that_the_shipped_bundle_can_run() -> None:
    bundle = ppgn.load(ROOT / "checkpoints" / "imagenette64")
    variants = quality_variants.VARIANTS
    found = [json.dumps(runs.recipe_of(bundle, changes).to_json()) for changes in variants.values()]
    assert len(set(found)) == len(found)
    assert set(quality_variants.FIVE) <= set(recipes.runnable(bundle)) & set(variants)


def test_a_result_is_made_once_for_a_request_and_again_for_another(tmp_path: Path) -> None:
    made = []

    def make() -> dict[str, Any]:
        made.append(len(made))
        return {"accuracy": len(made)}

    for request, times in (({"count": 1}, 1), ({"count": 1}, 1), ({"count": 2}, 2)):
        assert quality.kept(tmp_path / "one.json", request, make) == {"request": request, "accuracy": times}
    assert len(made) == 2


def test_the_frontier_names_every_variant(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    temperatures = {"default": 4, "temperature 1": 1, "temperature 5": 5, "Eq. 11, temperature 2": 2, "real": 0}
    found = {
        name: {
            "accuracy": 0.5 + 0.001 * number,
            "diversity_encoder": 0.4,
            "request": {"recipe": {"measure": {"temperature": number}}},
        }
        for name, number in temperatures.items()
    }
    assert quality_plot.joined(found) == ["temperature 1", "default", "temperature 5"]
    quality_plot.frontier(found, tmp_path / "one.svg")
    quality_plot.frontier(found, tmp_path / "two.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert all(f"<!-- {quality_plot.short(name)} -->" in text for name in temperatures)


def test_names_become_file_names() -> None:
    assert quality.slug("start codes, 1 draw") == "start_codes__1_draw"


def test_settings_of_the_command_line_are_those_of_a_recipe() -> None:
    parser = argparse.ArgumentParser()
    runs.add_settings(parser)
    given = parser.parse_args(["--set", "steps=50", "step_size=0.2:0.05", "start=codes", "temperature=1.5", "draws=1"])
    assert given.set == [
        ("steps", 50), ("step_size", "0.2:0.05"), ("start", "codes"), ("temperature", 1.5), ("draws", 1),
    ]  # fmt: skip
    bundle = ppgn.load(ROOT / "checkpoints" / "imagenette64")
    recipe = runs.recipe_of(bundle, dict(given.set))
    assert recipe == recipes.recipe_for(bundle, steps=50, step_size=(0.2, 0.05), start="codes", temperature=1.5, draws=1)
    assert runs.recipe_of(bundle, {"recipe": "dgn_am", "steps": 3}) == recipes.recipe_for(bundle, name="dgn_am", steps=3)


def test_a_setting_without_a_value_ends_with_a_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    runs.add_settings(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--set", "steps"])
    assert "got 'steps', expected KEY=VALUE" in capsys.readouterr().err


def test_a_run_step_by_step_ends_where_sampling_does() -> None:
    bundle = tiny_bundle()
    recipe = recipes.recipe_for(bundle, steps=4)
    steps = list(runs.evaluations(bundle, ["tench", "golf ball"], [3, 4], recipe))
    samples = ppgn.sample(bundle, ["tench", "golf ball"], seed=[3, 4], recipe=recipe)
    assert len(steps) == 4
    assert torch.equal(steps[-1].image, samples.images)
    code = steps[2].code
    assert torch.equal(next(iter(runs.evaluations(bundle, "tench", [0, 1], recipe, code))).code, code)
