"""From nothing to recognised samples, as a person would: three trainings, an export, `ppgn sample`, a stranger's opinion."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from ppgn import cli

ROOT = Path(__file__).parents[1]


def script(name: str, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    call = [sys.executable, str(ROOT / "scripts" / name), *arguments]
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def train(part: str, run: Path, *arguments: str) -> None:
    config = ROOT / "training" / "configs" / f"digits_{part}.yaml"
    where = ["--trainer.default_root_dir", str(run / part), "--trainer.enable_progress_bar", "false", "--seed_everything", "1"]
    script(f"train_{part}.py", "fit", "--config", str(config), *where, *arguments)


@pytest.mark.slow
def test_digits_from_training_to_samples_that_a_stranger_recognises(tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "digits"
    encoder = str(run / "encoder" / "checkpoints" / "last.ckpt")
    train("encoder", run)
    train("generator", run, "--model.encoder", encoder)
    train("denoiser", run, "--data.encoder", encoder)
    config = str(ROOT / "training" / "configs" / "digits_bundle.yaml")
    script("export_bundle.py", "--config", config, "--run", str(run), "--out", str(bundle))
    grid, each = tmp_path / "digits.png", tmp_path / "each"
    arguments = ["--class", "all", "--count", "10", "--out", str(grid), "--save-images", str(each)]
    assert cli.main(["sample", str(bundle), *arguments]) == 0

    digits = load_digits()
    stranger = SVC(gamma=0.001, C=10).fit(digits.data, digits.target)  # real pixels, 0 to 16; it never saw a network
    files = sorted(each.glob("*.png"))
    pixels = np.stack([np.asarray(Image.open(file), dtype=float).ravel() * (16 / 255) for file in files])
    asked = np.repeat(np.arange(10), 10)
    agreed = stranger.predict(pixels) == asked
    assert agreed.mean() >= 0.9, f"only {agreed.mean():.2f} of the samples are recognised"
    spread = [pixels[asked == digit].std(0).mean() for digit in range(10)]
    assert min(spread) > 0.1  # not one picture ten times over
