"""A finished run becomes a bundle of version 2, with the sizes of its pictures and the recipes of its config."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import RECIPE, save_tiny_bundle
from PIL import Image

from ppgn.bundle import load_bundle
from ppgn.errors import BundleError
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig, ImageGenerator, ImageGeneratorConfig
from ppgn.recipes import Recipe
from ppgn.types import ImageSpec
from training import describe, export

CLASSES = ["dark", "light"]
PARTIAL = {"sampler": {"name": "langevin", "prior_scale": 0.3, "condition_scale": 30.0}, "steps": 7}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run folders that the training of an encoder and a generator of 8x16 pictures leave, with random weights."""
    random = np.random.default_rng(0)
    for name, brightness in zip(CLASSES, (60, 200), strict=True):
        for split, count in (("train", 6), ("val", 1)):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(brightness - 50, brightness + 50, (8, 16), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{index}.png")
    torch.manual_seed(0)
    sizes = {"channels": 1, "input_size": 8, "pool5_channels": 8, "pool5_size": 2, "reduce": 0, "code_size": 12, "hidden": 10}
    encoder = Fc6Encoder(Fc6EncoderConfig(classes=2, widths=(8, 8), **sizes))
    generator = ImageGenerator(
        ImageGeneratorConfig(code_size=12, channels=1, hidden=(16,), base_channels=8, base_size=(4, 8), stages=((8, 8),))
    )
    data = {"name": "folder", "root": str(tmp_path / "data"), "image_size": [8, 16], "channels": 1}
    for stage, parts in (("encoder", {"encoder": encoder}), ("generator", {"encoder": encoder, "generator": generator})):
        (tmp_path / stage / "checkpoints").mkdir(parents=True)
        entry = {"parts": {name: describe(part) for name, part in parts.items()}, "class_names": CLASSES, "scores": {"loss": 1.0}}
        torch.save({"ppgn": entry}, tmp_path / stage / "checkpoints" / "last.ckpt")
        (tmp_path / stage / "config.yaml").write_text(yaml.safe_dump({"data": data, "seed_everything": 0}))
    return tmp_path


def exported(run: Path, **options: Any) -> Path:
    return export(run, "made", run / "made", **options)


def test_a_run_of_pictures_that_are_not_square_becomes_a_bundle(run: Path) -> None:
    options = {"recipes": {"class": PARTIAL, "plugged": RECIPE}, "papers": {"class": PARTIAL}, "precisions": ("bfloat16",)}
    bundle = load_bundle(exported(run, **options, licence="MIT", scores={"judge": 0.5}))
    assert bundle.image == ImageSpec(height=8, width=16, channels=1)
    assert bundle.generator(torch.zeros(1, 12)).shape == (1, *bundle.image.shape)
    assert bundle.classes == tuple(CLASSES)
    assert set(bundle.parts) == {"encoder", "generator", "start"}
    assert bundle.recipes == {"class": Recipe.from_json(PARTIAL).to_json(), "plugged": RECIPE}
    assert bundle.papers == {"class": bundle.recipes["class"]}
    assert bundle.precisions == ("bfloat16",)
    assert bundle.info["scores"] == {"encoder": {"loss": 1.0}, "generator": {"loss": 1.0}, "judge": 0.5}
    assert bundle.info["data"] == {"name": "folder", "train": 12, "split": "train"}
    assert "root" not in bundle.info["training"]["generator"]["data"]


def test_the_code_space_is_that_of_the_training_pictures(run: Path) -> None:
    bundle = load_bundle(exported(run))
    pictures = [np.asarray(Image.open(file)) for file in sorted((run / "data" / "train").rglob("*.png"))]
    codes = bundle.encoder(torch.from_numpy(np.stack(pictures))[:, None].float() / 255)
    assert bundle.code.shape == (12,) and bundle.code.relu and bundle.code.low == 0.0
    for found, wanted in ((bundle.code.mean, codes.mean(0)), (bundle.code.std, codes.std(0))):
        torch.testing.assert_close(found, wanted, rtol=0, atol=0.01)
    torch.testing.assert_close(bundle.code.high, codes.mean(0) + 3 * codes.std(0), rtol=0, atol=0.03)
    assert bundle.info["facts"] == {"active": pytest.approx(float((codes > 0).float().mean()), abs=0.02), "pictures": 12}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"recipes": {"class": {"sampler": {"name": "gibbs"}}}}, "the recipe for class cannot be: unknown sampler 'gibbs'"),
        ({"papers": {"plugged": {"stepz": 1}}}, "the recipe for plugged cannot be: .*stepz"),
        ({"recipes": {"klass": PARTIAL}}, "unknown field 'klass', expected class, plugged, caption"),
    ],
)
def test_a_recipe_that_cannot_be_is_one_sentence_and_nothing_is_written(run: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        exported(run, **options)
    assert not (run / "made").exists()


def test_a_folder_of_something_else_is_left_alone_and_an_old_bundle_replaced(run: Path) -> None:
    with pytest.raises(BundleError, match="is there and is no bundle"):
        export(run, "made", run / "data")
    save_tiny_bundle(run / "made")
    assert load_bundle(exported(run)).name == "made"
