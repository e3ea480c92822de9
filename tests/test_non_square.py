"""Pictures need not be square: every network trains on 48x80 pictures (height x width), and a bundle of them samples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning import LightningModule
from PIL import Image

import ppgn
from ppgn import images
from training import (
    CodeData,
    ConditionalGanSystem,
    DenoiserSystem,
    EncoderSystem,
    GeneratorSystem,
    ImageData,
    TrainingCLI,
    export,
    read_network,
)  # fmt: skip

HEIGHT, WIDTH = 48, 80
QUIET = {"accelerator": "cpu", "enable_progress_bar": "false", "enable_model_summary": "false", "limit_val_batches": 1}
NETWORK = {"hidden": "[16]", "base_channels": 8, "base_size": "[3, 5]", "stages": "[[8, 8], [8, 0], [8, 0], [8, 0]]"}
ADVERSARY = {"widths": "[4, 8]", "feature_width": 4}


def pictures(root: Path) -> Path:
    """Dark and light pictures of several shapes, in colours that change from left to right."""
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 2)):
        for name, level in (("dark", 60), ("light", 190)):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                height, width = ((HEIGHT, WIDTH), (60, 90), (90, 60), (30, 100))[number % 4]
                ramp = np.linspace(-40, 40, width)[None, :, None] + random.integers(-20, 20, 3)
                pixels = np.broadcast_to(np.clip(level + ramp, 0, 255), (height, width, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


def train(system: type[LightningModule], data: type[ImageData], folder: Path, steps: int, **settings: Any) -> Path:
    """Runs a training script's command on the pictures; dots in names of settings are written as two underscores."""
    given = {"data.image_size": f"[{HEIGHT}, {WIDTH}]", "data.name": "folder", "data.batch_size": 4}
    given |= {f"trainer.{name}": value for name, value in QUIET.items()}
    given |= {"trainer.default_root_dir": folder, "trainer.max_steps": steps, "trainer.max_epochs": -1}
    given |= {name.replace("__", "."): value for name, value in settings.items()}
    arguments = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    TrainingCLI(system, data, args=["fit", *arguments], save_config_kwargs={"overwrite": True})
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an encoder, a generator and a denoiser of its codes."""
    folder = tmp_path_factory.mktemp("run")
    root = pictures(folder / "pictures")
    sizes = {"widths": "[4, 8, 8, 8]", "depths": "[block2]", "reduce": 4, "code_size": 12, "hidden": 8}
    sizes = {f"model__{name}": value for name, value in sizes.items()}
    encoder = train(EncoderSystem, ImageData, folder / "encoder", 4, data__root=root, **sizes)
    networks = {f"model__network__{name}": value for name, value in NETWORK.items()}
    networks |= {f"model__discriminator__{name}": value for name, value in ADVERSARY.items()}
    taught: dict[str, Any] = {"data__root": root, "model__encoder": encoder, **networks}
    train(GeneratorSystem, ImageData, folder / "generator", 6, model__cache_features="float32", **taught)
    train(ConditionalGanSystem, ImageData, folder / "conditional_gan", 4, model__noise_size=4, **taught)
    train(DenoiserSystem, CodeData, folder / "denoiser", 4, data__root=root, data__encoder=encoder)
    return folder


def test_encoder_generator_denoiser_and_conditional_gan_train_on_pictures_that_are_not_square(run: Path) -> None:
    parts = {"encoder": "encoder", "generator": "generator", "denoiser": "denoiser", "conditional_gan": "generator"}
    networks = {stage: read_network(run / stage / "checkpoints" / "last.ckpt", part) for stage, part in parts.items()}
    encoder = networks["encoder"]
    assert (encoder.config.input_size, encoder.config.pool5_size) == ((HEIGHT, WIDTH), (3, 5))
    codes = encoder(torch.rand(2, 3, HEIGHT, WIDTH))
    assert networks["denoiser"](codes).shape == codes.shape == (2, 12)
    assert networks["generator"].config.image_size == (HEIGHT, WIDTH)
    for stage, code in (("generator", codes), ("conditional_gan", torch.rand(2, 6))):
        made = networks[stage](code)
        assert made.shape == (2, 3, HEIGHT, WIDTH) and bool(made.isfinite().all())
    assert yaml.safe_load((run / "generator" / "config.yaml").read_text())["data"]["image_size"] == [HEIGHT, WIDTH]
    frame = 2  # pixels around each picture of a sheet
    for sheet, columns, rows in (("generator/reconstructions.png", 8, 1), ("conditional_gan/samples.png", 8, 2)):
        assert Image.open(run / sheet).size == (columns * (WIDTH + frame) + frame, rows * (HEIGHT + frame) + frame), sheet


def test_a_bundle_of_pictures_that_are_not_square_samples_and_fills_holes(run: Path, tmp_path: Path) -> None:
    bundle = ppgn.load(export(run, "oblong", tmp_path / "oblong"))
    assert bundle.image.shape == (3, HEIGHT, WIDTH)
    pixels = {"generator": "pixels", "prior": "none", "bounds": "fixed", "bounds_low": 0.0, "bounds_high": 1.0}
    for changes in ({}, {"prior": "denoiser"}, pixels):
        samples = ppgn.sample(bundle, "light", count=2, steps=3, **changes)
        assert samples.images.shape == (2, 3, HEIGHT, WIDTH), changes
    assert samples.grid().width == 2 * 2 * WIDTH + 3 * images.GAP  # two tiles, twice as large
    picture = images.load_image(run / "pictures" / "val" / "dark" / "1.png", bundle.image.size)  # 60x90
    known = images.box_mask("20,10,50,20", bundle.image.size)
    filled = ppgn.in_paint(bundle, picture, known, "light", steps=2)
    assert torch.equal(filled.images[0][:, known[0] > 0], picture[:, known[0] > 0])
    assert filled.blended().shape == (1, 3, HEIGHT, WIDTH)
    assert ppgn.from_picture(bundle, picture, "light", steps=2).images.shape == (1, 3, HEIGHT, WIDTH)
