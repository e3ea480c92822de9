"""Kept features of real pictures: what the encoder says of them, of the right picture, and never of yesterday's."""

import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer, seed_everything

from ppgn.networks import Fc6Encoder, Fc6EncoderConfig, ImageGeneratorConfig
from training import (
    CacheKey,
    DiscriminatorConfig,
    EncoderSystem,
    GeneratorSystem,
    ImageData,
    Noise,
    PicturesWithFeatures,
    RealFeatures,
    freeze,
    keep_features,
    read_checkpoint,
)

ROOT = Path(__file__).parents[1]
SMALL = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),))
SHALLOW = DiscriminatorConfig(widths=(8, 8), feature_width=8)
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def digits(**changes: Any) -> ImageData:
    settings = {"name": "digits", "image_size": 8, "channels": 1, "flip": False, "batch_size": 16}
    return ImageData(**{**settings, **changes})


def fit(system: Any, folder: Path, precision: Any = "32-true", data: ImageData | None = None) -> Trainer:
    seed_everything(0)
    trainer = Trainer(
        default_root_dir=folder, max_epochs=1, limit_train_batches=1, limit_val_batches=0, precision=precision, **QUIET
    )
    trainer.fit(system, datamodule=data or digits())
    return trainer


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    trainer = fit(EncoderSystem(widths=(8, 8), depths=("block0",), reduce=0, code_size=12, hidden=10), folder)
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


def encoder(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = Fc6EncoderConfig(
        widths=(8, 8), depths=("block0",), channels=1, input_size=8, pool5_channels=8, pool5_size=2, reduce=0, code_size=12
    )
    return freeze(Fc6Encoder(config))


@pytest.fixture(scope="module")
def pictures() -> Any:
    data = digits()
    data.setup()
    return data.train_pictures


def cache_key(pictures: Any, **changes: Any) -> CacheKey:
    return CacheKey(
        **{"encoder": encoder(), "pictures": pictures, "flip": True, "storage": "float32", "precision": "32", **changes}
    )


@pytest.mark.parametrize("storage", ["float32", "float16", "bfloat16"])
def test_kept_features_are_those_of_the_picture_that_comes_with_them_mirrored_or_not(
    storage: Any, pictures: Any, tmp_path: Path
) -> None:
    keep_features(tmp_path / "f", cache_key(pictures, storage=storage), nullcontext)
    torch.manual_seed(0)
    indices = [5, 900, 5, 17, 1436, 0]
    seen, labels, features = PicturesWithFeatures(pictures, RealFeatures(tmp_path / "f"), flip=True).__getitems__(indices)
    plain = pictures.__getitems__(indices)[0]
    mirrored = [bool((a == b.flip(-1)).all()) for a, b in zip(seen, plain, strict=True)]
    assert any(mirrored) and not all(mirrored)
    expected = encoder().maps(seen.float() / 255)
    expected = [*expected, encoder().code_from_pool5(expected[-1])]
    bounds = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 8e-3}
    for feature, right in zip(features, expected, strict=True):
        torch.testing.assert_close(feature.float(), right, rtol=bounds[storage], atol=bounds[storage])
    assert torch.equal(labels, pictures.__getitems__(indices)[1])
    assert features[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("storage", "precision", "bound"),
    [("float32", "32-true", 1e-6), ("bfloat16", "bf16-mixed", 1e-6), ("float16", "32-true", 3e-3)],
)
def test_a_step_with_kept_features_has_the_losses_of_a_step_without(
    storage: Any, precision: str, bound: float, checkpoint: Path, tmp_path: Path
) -> None:
    losses = []
    for kept in (None, storage):
        system = GeneratorSystem(checkpoint, SMALL, SHALLOW, cache_features=kept)
        losses.append(fit(system, tmp_path, precision).callback_metrics)
    assert {"train/image", "train/feature", "train/adversarial", "train/discriminator"} <= set(losses[0])
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value, rtol=bound, atol=bound)


def test_features_are_kept_until_encoder_pictures_order_or_settings_change(pictures: Any, tmp_path: Path) -> None:
    path = tmp_path / "f"
    keep_features(path, cache_key(pictures), nullcontext)
    first = path.stat().st_ino
    keep_features(path, cache_key(pictures), nullcontext)
    assert path.stat().st_ino == first
    turned = digits()
    turned.setup()
    assert turned.train_pictures is not None and turned.train_pictures.cached is not None
    swapped = turned.train_pictures.cached[0]
    swapped[[3, 4]] = swapped[[4, 3]]
    changes = [{"encoder": encoder(1)}, {"pictures": turned.train_pictures}, {"storage": "float16"}, {"precision": "bf16-mixed"}]
    for change in [*changes, {"flip": False}]:
        before = path.read_bytes()
        keep_features(path, cache_key(**{"pictures": pictures, **change}), nullcontext)
        assert path.read_bytes() != before, change


def test_a_cut_file_is_computed_again(pictures: Any, tmp_path: Path) -> None:
    path = tmp_path / "f"
    keep_features(path, cache_key(pictures), nullcontext)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    keep_features(path, cache_key(pictures), nullcontext)
    assert path.read_bytes() == whole


def test_a_file_cut_while_it_is_read_is_a_sentence(pictures: Any, tmp_path: Path) -> None:
    path = tmp_path / "f"
    keep_features(path, cache_key(pictures), nullcontext)
    features = RealFeatures(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="ends before row 2873, expected whole rows"):
        features.rows(torch.tensor([2 * 1437 - 1]))


def test_a_computation_that_fails_leaves_nothing_behind(pictures: Any, tmp_path: Path) -> None:
    failing, passes = encoder(), []

    def maps(image: torch.Tensor) -> list[torch.Tensor]:
        passes.append(len(image))
        if len(passes) > 3:
            raise KeyboardInterrupt
        return type(failing).maps(failing, image)

    failing.maps = maps
    with pytest.raises(KeyboardInterrupt):
        keep_features(tmp_path / "f", cache_key(pictures, encoder=failing), nullcontext)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    pictures: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 1000))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"need 0\.0 GiB, .* has 0\.0 GiB free: set trainer\.default_root_dir to a folder"):
        keep_features(tmp_path / "f", cache_key(pictures), nullcontext)
    assert list(tmp_path.iterdir()) == []


def test_features_that_the_stored_type_cannot_hold_are_refused(pictures: Any, tmp_path: Path) -> None:
    loud = encoder()
    loud.fc6.bias.fill_(1e6)
    with pytest.raises(ValueError, match="infinite or not a number in float16, expected finite ones: set"):
        keep_features(tmp_path / "f", cache_key(pictures, encoder=loud, storage="float16"), nullcontext)


@pytest.mark.parametrize(
    ("noise", "shift", "said"),
    [
        (Noise(image=0.1), 0, "got model.noise.image 0.1"),
        (Noise(pool5=0.5), 2, "got model.noise.pool5 0.5, data.shift 2"),
    ],
)
def test_noise_on_picture_or_pool5_and_moved_pictures_are_refused(
    noise: Noise, shift: int, said: str, checkpoint: Path, tmp_path: Path
) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW, noise=noise, cache_features="float32")
    with pytest.raises(ValueError, match=f"no noise and no shift, {said}: set it to 0 or leave"):
        fit(system, tmp_path, data=digits(shift=shift))


def test_noise_on_the_code_is_drawn_anew_over_the_kept_code(checkpoint: Path, tmp_path: Path) -> None:
    system = GeneratorSystem(checkpoint, SMALL, SHALLOW, noise=Noise(code=0.5), cache_features="float32")
    fit(system, tmp_path)
    features = RealFeatures(tmp_path / "features.safetensors").rows(torch.tensor([1, 2]))
    maps, code = system.encode(torch.zeros(2, 1, 8, 8), torch.zeros(2), features)
    again = system.encode(torch.zeros(2, 1, 8, 8), torch.zeros(2), features)[1]
    assert torch.equal(maps[-1], features[-2])
    assert not torch.equal(code, again)
    assert not torch.equal(code, features[-1])


def test_loader_processes_read_the_same_features(checkpoint: Path, tmp_path: Path) -> None:
    losses = []
    for workers in (0, 2):
        system = GeneratorSystem(checkpoint, SMALL, SHALLOW, cache_features="float32")
        losses.append(fit(system, tmp_path, data=digits(workers=workers)).callback_metrics["train/feature"])
    torch.testing.assert_close(losses[0], losses[1])


def test_a_training_from_the_command_line_keeps_its_features_and_resumes_with_them(checkpoint: Path, tmp_path: Path) -> None:
    call = [sys.executable, str(ROOT / "scripts/train_generator.py"), "fit", "--config"]
    call += [
        str(ROOT / "training/configs/digits_generator.yaml"),
        "--model.encoder",
        str(checkpoint),
        "--trainer.default_root_dir",
        str(tmp_path),
    ]
    call += ["--model.cache_features", "bfloat16", "--trainer.enable_progress_bar", "false", "--trainer.limit_val_batches", "0"]
    call += ["--trainer.max_epochs", "-1", "--trainer.accelerator", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    written = []
    for more in (["--trainer.max_steps", "4"], ["--trainer.max_steps", "8", "--ckpt_path", "last"]):
        done = subprocess.run([*call, *more], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        written.append((tmp_path / "features.safetensors").stat().st_ino)
    assert read_checkpoint(tmp_path / "checkpoints" / "last.ckpt")["updates"] == 4
    assert written[0] == written[1]
