"""The class-conditional baseline: it trains, resumes, obeys the class, and its pictures are written for `ppgn evaluate`."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything
from PIL import Image

from ppgn.evaluation import class_folder
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from ppgn.types import ImageSpec
from training import (
    ClassGenerator,
    ConditionalGanSystem,
    DiscriminatorConfig,
    EncoderSystem,
    ImageData,
    Optimisation,
    mode_seeking_loss,
    one_hot,
    read_checkpoint,
    read_conditional_gan,
    read_network,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
SMALL = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),))
SHALLOW = DiscriminatorConfig(widths=(8, 8), feature_width=8)
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
TWO: dict[str, Any] = {"name": "folder", "image_size": 8, "channels": 1, "batch_size": 16}


def fit(system: Any, folder: Path, steps: int, data: dict[str, Any], **resumed: Any) -> None:
    """`steps` updates of a network, counting those before a checkpoint; a GAN's trainer counts each twice."""
    seed_everything(0)
    counted = steps * (1 + isinstance(system, ConditionalGanSystem))
    trainer = Trainer(default_root_dir=folder, max_epochs=-1, max_steps=counted, limit_val_batches=1, **QUIET)
    trainer.fit(system, datamodule=ImageData(**data), **resumed)
    trainer.save_checkpoint(folder / "last.ckpt")


def small_gan(encoder: Path, **changes: Any) -> ConditionalGanSystem:
    return ConditionalGanSystem(encoder, **{"network": SMALL, "discriminator": SHALLOW, "noise_size": 6, **changes})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Thirty-two dark and as many light pictures, each of one grey near its class's."""
    root = tmp_path_factory.mktemp("greys")
    for name, grey in (("dark_grey", 50), ("light_grey", 200)):
        (root / "train" / name).mkdir(parents=True)
        (root / "val" / name).mkdir(parents=True)
        for index in range(32):
            split = "val" if index % 4 == 0 else "train"
            Image.new("L", (8, 8), grey + index - 16).save(root / split / name / f"{index}.png")
    return {**TWO, "root": root}


@pytest.fixture(scope="module")
def encoder(data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    fit(EncoderSystem(widths=(8, 8), depths=("block0",), reduce=0, code_size=12, hidden=10), folder, 20, data)
    return folder / "last.ckpt"


@pytest.fixture(scope="module")
def trained(encoder: Path, data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gan")
    optimisation = Optimisation(learning_rate=2e-3, ema=0.95)
    fit(small_gan(encoder, optimisation=optimisation, mode_seeking=0.0), folder, 150, data)  # a class is one grey here
    return folder / "last.ckpt"


def test_every_unit_of_the_code_has_a_mean_square_of_one_over_balanced_classes() -> None:
    code = one_hot(torch.arange(5), 5)
    torch.testing.assert_close(code.square().mean(0), torch.ones(5))
    assert torch.equal(code.argmax(1), torch.arange(5))


def test_mode_seeking_compares_neighbours_of_one_class_in_all_maps() -> None:
    maps = [torch.eye(4)[:, :, None, None], torch.ones(4, 2, 3, 3)]  # orthogonal vectors are 2 apart, equal ones 0
    loss = mode_seeking_loss(maps, torch.tensor([1, 0, 1, 0]))
    torch.testing.assert_close(loss, torch.tensor(1 / 2.01))
    maps[0][2] = maps[0][0]  # both of class 1 alike: half as far on average
    torch.testing.assert_close(mode_seeking_loss(maps, torch.tensor([1, 0, 1, 0])), torch.tensor(1 / 1.01))
    assert mode_seeking_loss(maps, torch.arange(4)) == 0


def test_mode_seeking_keeps_the_samples_of_a_class_apart(encoder: Path, data: dict[str, Any], tmp_path: Path) -> None:
    apart = []
    for weight in (0.0, 1.0):
        system = small_gan(encoder, optimisation=Optimisation(learning_rate=2e-3, ema=0.95), mode_seeking=weight)
        fit(system, tmp_path, 40, data)
        maps = system.encoder.maps(system.average.module.sample(0, range(32), 2))
        apart.append(1 / float(mode_seeking_loss(maps, torch.zeros(32))))
    assert apart[1] > 1.5 * apart[0], apart


def test_a_sample_depends_on_its_seed_and_class_only() -> None:
    torch.manual_seed(0)
    generator = ClassGenerator(ImageGenerator(dataclasses.replace(SMALL, code_size=8)), 6).eval()
    together = generator.sample(1, range(3, 7), 2)
    torch.testing.assert_close(together[2:3], generator.sample(1, range(5, 6), 2))
    assert not torch.allclose(together[:3], together[1:])
    assert not torch.allclose(together, generator.sample(0, range(3, 7), 2))


def test_training_makes_pictures_of_the_class_asked_for(trained: Path) -> None:
    gan = read_conditional_gan(trained)
    assert gan.class_names == ("dark grey", "light grey")
    dark, light = (gan.generator.sample(target, range(32), 2).mean((1, 2, 3)) for target in (0, 1))
    assert float(dark.max()) < float(light.min())
    assert abs(float(dark.mean()) - 50 / 255) < 0.15
    assert abs(float(light.mean()) - 200 / 255) < 0.15


def test_its_checkpoint_is_read_as_any_other_and_tells_how_it_did(trained: Path) -> None:
    generator = read_network(trained, "generator")
    assert generator(torch.randn(2, 8)).shape == (2, 1, 8, 8)
    told = read_checkpoint(trained)
    assert told["updates"] == 150
    assert {"val/own_accuracy", "val/spread", "train/discriminator", "train/adversarial"} <= set(told["scores"])
    grid = Image.open(trained.parent / "samples.png")
    assert grid.size == (8 * 10 + 2, 2 * 10 + 2)  # eight pictures for each of two classes, two pixels apart


def test_it_resumes_where_it_stopped(encoder: Path, trained: Path, data: dict[str, Any], tmp_path: Path) -> None:
    before = read_checkpoint(trained)
    system = small_gan(encoder, optimisation=Optimisation(learning_rate=1e-4, ema=0.95))
    fit(system, tmp_path, 152, data, ckpt_path=trained, weights_only=True)
    after = read_checkpoint(tmp_path / "last.ckpt")
    assert after["updates"] == 152
    moved = [
        float((after["parts"]["generator"]["state"][key] - value).abs().max())
        for key, value in before["parts"]["generator"]["state"].items()
        if value.is_floating_point() and "running" not in key
    ]
    assert 0 < max(moved) < 0.05


def test_the_adversary_sees_the_class_but_no_noise(encoder: Path, data: dict[str, Any], tmp_path: Path) -> None:
    system = small_gan(encoder)
    fit(system, tmp_path, 1, data)
    assert system.generator.network.config.code_size == 6 + 2
    _, seen = system.encode(torch.rand(2, 1, 8, 8), torch.tensor([1, 0]))
    assert torch.equal(seen, one_hot(torch.tensor([1, 0]), 2))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": ImageGeneratorConfig(hidden=(16,), stages=((8, 8), (8, 8)))}, "makes 16x16 pictures"),
        ({"discriminator": DiscriminatorConfig()}, "4 discriminator widths halve 8x8 pictures to nothing"),
        ({"noise_size": 0}, "got noise_size 0, expected at least 1"),
        ({"mode_seeking": -1.0}, "got mode_seeking -1.0, expected at least 0"),
    ],
)
def test_settings_that_cannot_be_met_are_refused(
    changes: dict[str, Any], said: str, encoder: Path, data: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=said):
        fit(small_gan(encoder, **changes), tmp_path, 1, data)


def test_an_encoder_of_other_classes_is_refused(encoder: Path, tmp_path: Path) -> None:
    digits = {"name": "digits", "image_size": 8, "channels": 1, "flip": False}
    with pytest.raises(ValueError, match="knows the classes dark grey, light grey, expected those of the data, 0, 1, "):
        fit(small_gan(encoder), tmp_path, 1, digits)


def test_the_shipped_config_trains_from_the_command_line(encoder: Path, data: dict[str, Any], tmp_path: Path) -> None:
    arguments = ["fit", "--config", ROOT / "training/configs/imagenette64_conditional_gan.yaml", "--model.encoder", encoder]
    arguments += ["--data.name", "folder", "--data.root", data["root"], "--data.image_size", 8, "--data.channels", 1]
    arguments += ["--trainer.default_root_dir", tmp_path, "--trainer.max_steps", 4, "--trainer.enable_progress_bar", "false"]
    arguments += ["--model.network.stages", "[[8, 8]]", "--model.discriminator.widths", "[8, 8]"]
    call = [sys.executable, str(ROOT / "scripts/train_conditional_gan.py"), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["updates"] == 2


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """benchmarks/conditional_gan.py with the options given, in an empty folder."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.chdir(tmp_path)

    def run(*options: object) -> None:
        import conditional_gan

        monkeypatch.setattr(sys, "argv", ["conditional_gan.py", *map(str, options)])
        conditional_gan.main()

    return run


def test_the_benchmark_writes_what_evaluate_reads_and_the_same_bytes_for_the_same_seed(
    trained: Path, tmp_path: Path, benchmark: Callable[..., None]
) -> None:
    for folder, seed in (("first", 3), ("again", 3), ("other", 4)):
        benchmark("--checkpoint", trained, "--count", 5, "--batch", 2, "--seed", seed, "--out", folder)
    found = class_folder(tmp_path / "first", ("dark grey", "light grey"), (0, 1), 0, ImageSpec(8, 8, 1))
    assert found.classes == (0,) * 5 + (1,) * 5
    levels = found.load(range(10)).mean((1, 2, 3))
    assert float(levels[:5].max()) < float(levels[5:].min())
    first, again, other = (
        [path.read_bytes() for path in sorted((tmp_path / folder).rglob("*.png"))] for folder in ("first", "again", "other")
    )
    assert first == again
    assert first[1] == other[0]  # the second picture of a class has the next seed
    assert first != other


@pytest.mark.parametrize(
    ("checkpoint", "options", "said"),
    [
        ("trained", ["--count", "0"], "got --count 0, expected at least 1"),
        ("trained", ["--out", "full"], "is not empty, expected a new folder"),
        ("encoder", [], "holds encoder, expected a class-conditional GAN"),
        ("nowhere", [], "no checkpoint at"),
    ],
)
def test_a_mistake_in_the_benchmark_is_a_sentence_and_status_two(
    checkpoint: str,
    options: list[str],
    said: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    benchmark: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.png").touch()
    path = checkpoint if checkpoint == "nowhere" else request.getfixturevalue(checkpoint)
    with pytest.raises(SystemExit) as stop:
        benchmark("--checkpoint", path, "--out", "new", *options)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
