"""The toy world of the samplers' tests, and a bundle that samples in milliseconds: random weights, 8x8 grey pictures."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ppgn import acceleration
from ppgn.bundle import Bundle, load_bundle, save_bundle
from ppgn.networks import CodeDenoiser, CodeDenoiserConfig, Fc6Encoder, Fc6EncoderConfig, ImageGenerator, ImageGeneratorConfig
from ppgn.toy import LinearWorld
from ppgn.types import CodeSpace, ImageSpec


def pytest_configure(config: pytest.Config) -> None:
    """A thread for each of several workers (`-n`), and for what they start."""
    if hasattr(config, "workerinput"):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        torch.set_num_threads(1)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small gain nothing from threads, and on a busy machine threads wait for one another."""
    with acceleration.one_thread():
        yield


def make_world() -> LinearWorld:
    matrix = torch.tensor([[1.0, 0.5, -0.2], [0.3, -1.0, 0.8], [0.0, 0.4, 1.1], [-0.7, 0.2, 0.1]], dtype=torch.float64)
    target = torch.tensor([0.4, -0.1, 0.9, 0.2], dtype=torch.float64)
    return LinearWorld(matrix, target, noise_std=0.5, prior_std=0.8)


def make_code(chains: int = 3) -> torch.Tensor:
    return torch.sin(torch.arange(chains * 3, dtype=torch.float64)).reshape(chains, 3)


class Letters:
    """A captioner that likes pictures as bright as its word is long."""

    def words_of(self, text: str) -> list[int]:
        return [len(text)]

    def image_vector(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((1, 2, 3))

    def word_inputs(self, words: torch.Tensor) -> None:
        return None

    def word_log_probs(self, image_vector: torch.Tensor, words: torch.Tensor, **manner: object) -> torch.Tensor:
        return -((image_vector[:, None] - words / 10) ** 2)


CLASS_NAMES = ["tench", "English springer", "golf ball", "gas pump"]
SCALES = {"prior_scale": 1e-5, "condition_scale": 1.0, "noise_scale": 0.0}
RECIPE: dict[str, Any] = {
    "sampler": {"name": "released", **SCALES, "step_size": {"name": "linear", "start": 0.5, "end": 1.0}, "reset_every": 0},
    "prior": {"name": "reconstruction"},
    "start": {"name": "normal", "mean": 0.0, "std": 1.0},
    "measure": {"name": "released", "temperature": 1.0},
    "generator": "generator",
    "bounds": {"name": "fixed", "low": 0.0, "high": 30.0},
    "choice": {"draws": 1, "draw_power": 1.0},
    "retries": {"tries": 1, "accept": -0.7},
    "steps": 5,
    "precision": "float32",
}
PAPERS: dict[str, Any] = {**RECIPE, "sampler": {"name": "langevin", **SCALES, "condition_limit": 0.0}}


def tiny_parts() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    encoder = Fc6EncoderConfig(
        classes=4,
        widths=(8, 8),
        channels=1,
        input_size=8,
        pool5_channels=8,
        pool5_size=2,
        reduce=0,
        code_size=12,
        hidden=10,
    )
    generator = ImageGeneratorConfig(
        code_size=12, channels=1, hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),), code_scale=2.0
    )
    return {
        "encoder": Fc6Encoder(encoder),
        "generator": ImageGenerator(generator),
        "denoiser": CodeDenoiser(CodeDenoiserConfig(code_size=12)),
    }


def save_tiny_bundle(folder: Path, alternatives: bool = False) -> Path:
    save_bundle(
        folder,
        name=folder.name,
        parts=tiny_parts(),
        code=CodeSpace((12,), mean=0.5, std=1.0, low=0.0, high=30.0, relu=True),
        facts={"active": 0.5},
        image=ImageSpec(8, 8, channels=1),
        classes=CLASS_NAMES,
        recipes={"class": RECIPE},
        alternatives=alternatives,
        papers={"class": PAPERS},
        training={},
        data={"name": "none"},
        licence="MIT",
        source="random weights",
        scores={},
    )
    return folder


def tiny_bundle() -> Bundle:
    import tempfile

    with tempfile.TemporaryDirectory() as room:
        return load_bundle(save_tiny_bundle(Path(room) / "tiny"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty but for a bundle called "tiny" that commands find by name."""
    save_tiny_bundle(tmp_path / "bundles" / "tiny")
    monkeypatch.setenv("PPGN_CHECKPOINTS", str(tmp_path / "bundles"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
