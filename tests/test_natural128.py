"""The bundle natural128 in the repository: 209 classes of two groups, drawn by a score model with real codes' lengths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import ppgn
from ppgn import recipes
from ppgn.networks import WienerDenoiser
from ppgn.starts import GuidedCodes

FOLDER = Path(__file__).parents[1] / "checkpoints" / "natural128"


@pytest.fixture(scope="module")
def bundle() -> ppgn.Bundle:
    return ppgn.load(FOLDER)


def test_it_is_at_most_seventy_five_megabytes_and_tells_where_it_comes_from() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 75e6
    told = json.loads((FOLDER / "bundle.json").read_text())
    assert "EfficientNet-Lite0" in told["licence"] and told["source"]
    assert "/work" not in json.dumps(told) and "/tmp" not in json.dumps(told)


def test_it_knows_109_objects_and_100_scenes(bundle: ppgn.Bundle) -> None:
    assert bundle.class_groups == {"object": (0, 109), "scene": (109, 209)}
    assert bundle.image.shape == (3, 128, 128)
    assert isinstance(recipes.recipe_for(bundle).start, GuidedCodes)


def test_its_draws_are_as_long_as_real_codes(bundle: ppgn.Bundle) -> None:
    """Standardised codes with these variances have a length of at most sqrt(sum of variances), 32; real ones have 31.5."""
    model = bundle.parts["noise_level"]
    assert isinstance(model, WienerDenoiser)
    with torch.no_grad():
        drawn = model.standardised(model.before_relu(torch.randn(200, 1024, generator=torch.Generator().manual_seed(7))))
    assert abs(float(drawn.norm(dim=1).mean()) / 31.5 - 1) < 0.05  # of 200
    share = model.variance.cumsum(0) / model.variance.sum()  # docs/natural128.md
    assert abs(float(share[49]) - 0.74) < 0.005 and float(share[127]) > 0.9
    assert abs(float(drawn.square().sum(1).mean()) / float(model.variance.sum()) - 1) < 0.1


def test_classes_of_both_groups_are_drawn_and_recognised(bundle: ppgn.Bundle) -> None:
    wanted = ["church", "golf ball", "volcano", "bedroom"]
    samples = ppgn.sample(bundle, wanted * 2, seed=[0] * 4 + [1] * 4)
    classes = [next(i for i, name in enumerate(bundle.classes) if name.endswith(f":{one}")) for one in wanted]
    logits = bundle.encoder.logits_from_code(bundle.encoder(samples.images))
    ranks = [int((row > row[index]).sum()) for row, index in zip(logits, classes * 2, strict=True)]
    assert sum(rank < 5 for rank in ranks) >= 6
    assert float(samples.images.std((2, 3)).mean()) > 0.05
    assert float((samples.images[:4] - samples.images[4:]).abs().mean((1, 2, 3)).min()) > 0.01


def test_an_object_can_be_asked_for_in_a_scene(bundle: ppgn.Bundle) -> None:
    made = ppgn.sample(bundle, "object:church & scene:desert sand", count=2)
    assert made.images.shape == (2, 3, 128, 128) and bool(made.images.isfinite().all())


@pytest.mark.parametrize(
    ("written", "name"),
    [("church", "object:church"), ("church outdoor", "scene:church-outdoor"), ("scene:desert sand", "scene:desert-sand")],
)
def test_a_class_is_found_by_its_name_without_the_group_and_with_any_hyphen(bundle: ppgn.Bundle, written: str, name: str) -> None:
    assert ppgn.requests.class_index(bundle.classes, written, groups=bundle.groups) == bundle.classes.index(name)
