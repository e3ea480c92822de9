"""Methods without a learned generator, from the command line to the picture, at any size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ppgn
from ppgn import cli, recipes
from ppgn.samplers import Regularised
from ppgn.views import RandomViews


def striped(image: Tensor) -> Tensor:
    """Bright on the left and dark on the right: far from grey, and not met by noise."""
    half = image.shape[-1] // 2
    return 20 * (image[..., :half].mean((1, 2, 3)) - image[..., half:].mean((1, 2, 3)))


@pytest.mark.parametrize("name", recipes.PIONEERS)
def test_every_method_climbs_at_a_size_of_its_own(name: str) -> None:
    bundle = ppgn.load("pixels:20x28")
    changes = {"view_jitter": 3} if name == "deepdream" else {}  # 32 pixels are more than this picture has
    before = ppgn.sample(bundle, striped, count=2, seed=0, recipe=name, steps=1, **changes)
    after = ppgn.sample(bundle, striped, count=2, seed=0, recipe=name, steps=30, **changes)
    assert after.images.shape == (2, 3, 20, 28)
    assert bool((striped(after.images) > striped(before.images) + 0.5).all())
    assert float(after.images.min()) >= 0 and float(after.images.max()) <= 1


@pytest.mark.parametrize("name", ["lucid", "mahendran_2015", "maco"])
def test_a_chain_with_random_views_is_the_same_alone(name: str) -> None:
    bundle = ppgn.load("pixels:16")
    both = ppgn.sample(bundle, striped, count=2, seed=3, recipe=name, steps=4)
    alone = ppgn.sample(bundle, striped, count=1, seed=4, recipe=name, steps=4)
    torch.testing.assert_close(both.images[1:], alone.images, atol=1e-5, rtol=0)


def test_the_operators_of_2015_are_the_published_ones_and_their_steps_become_smaller() -> None:
    of_yosinski, of_mahendran = recipes.PIONEERS["yosinski_2015"], recipes.PIONEERS["mahendran_2015"]
    assert [of_yosinski[name] for name in ("pixel_decay", "blur_width", "blur_every")] == [1e-4, 1.0, 4]
    assert [of_mahendran[name] for name in ("variation_power", "norm_power", "velocity_decay", "view_jitter")] == [2, 6, 0.9, 8]
    for method in (of_yosinski, of_mahendran):
        first, last = method["step_size"]
        assert first >= 20 * last > 0


def test_settings_of_methods_change_by_name_and_are_stored() -> None:
    bundle = ppgn.load("pixels:16")
    recipe = recipes.recipe_for(bundle, "plugged", "yosinski_2015", contribution_percentile=90.0, view="random", view_jitter=3)
    assert isinstance(recipe.sampler, Regularised) and recipe.sampler.contribution_percentile == 90
    assert recipe.view == RandomViews(jitter=3)
    assert recipes.Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_the_command_samples_pixels_of_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def bright(image):\n    return 9 * image.mean((1, 2, 3))\n")
    words = ["sample", "pixels:16", "--condition", "mine.py:bright", "--count", "2", "--steps", "3", "--out", "b.png"]
    assert cli.main([*words, "--recipe", "lucid"]) == 0 and (tmp_path / "b.png").is_file()


@pytest.mark.parametrize("spec", ["pixels:", "pixels:0", "pixels:16x", "pixels:axb", "pixels:99999", "pixels:1x2x3x4"])
def test_a_size_that_cannot_be_is_a_sentence(spec: str) -> None:
    with pytest.raises(ValueError, match="expected pixels:SIDE, pixels:HEIGHTxWIDTH or"):
        ppgn.load(spec)


def test_a_learned_prior_does_not_go_with_pixels() -> None:
    with pytest.raises(ValueError, match="hand_made|pixel_denoiser|choose"):
        recipes.recipe_for(ppgn.load("pixels:16"), "plugged", "lucid", prior="hand_made")
