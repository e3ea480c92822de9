"""benchmarks/unseen_class.py on a tiny GAN of random weights: what it looks at, what it draws, and its mistakes."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from ppgn import loaders, seeds
from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training import one_hot

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
LATENTS, COUNT = 6, 3


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import unseen_class

    return unseen_class


@pytest.fixture
def network() -> ImageGenerator:
    torch.manual_seed(0)
    return ImageGenerator(ImageGeneratorConfig(code_size=LATENTS + 2, hidden=(12,), base_channels=8, stages=((8, 8),))).eval()


def bright(image: Tensor) -> Tensor:
    return torch.log(image.mean((1, 2, 3)))


def red(image: Tensor) -> Tensor:
    return torch.log(image[:, 0].mean((1, 2)))


def test_embeddings_are_looked_at_with_latents_of_their_own_and_found_ones_are_wanted_more(
    benchmark: Any, network: ImageGenerator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = loaders.class_conditional(network, one_hot(torch.arange(2), 2))
    look = benchmark.Look(bundle, COUNT, bright, red)

    def wanted(image: Tensor) -> Tensor:
        return 20 * bright(image)

    rows = benchmark.look_at_all(look, ("one", "other"), COUNT, wanted, {"steps": 30, "latents": 3})
    random, known, found = rows
    assert random.name == "random" and known.name in ("one", "other") and found.name.startswith("without decay")
    assert found.pictures.shape == (COUNT, benchmark.TEN, 3, 8, 8)
    zs = seeds.normal(range(COUNT), benchmark.UNSEEN_DRAW, (benchmark.TEN, LATENTS))
    one = bundle.generator.embeddings[("one", "other").index(known.name)].expand(benchmark.TEN, -1)
    expected = bundle.generator(torch.cat([zs[1], one], 1))
    torch.testing.assert_close(known.pictures[1], expected)
    torch.testing.assert_close(known.judged[1], expected[:, 0].mean((1, 2)))
    assert float(found.pictures.mean()) > float(max(known.pictures.mean(), random.pictures.mean()))
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(printed) == 1 + 2 + 4 and all(line.count("|") == 6 for line in printed)
    benchmark.draw(rows, tmp_path / "unseen_class.jpg")
    width, height = Image.open(tmp_path / "unseen_class.jpg").size
    assert width > 3 * 16 and height > 5 * 16  # a random one, a known one and three found ones, of at least three pictures


def test_a_class_that_a_network_does_not_know_is_refused(benchmark: Any) -> None:
    with pytest.raises(ValueError, match="imagenette64 does not know the class 'abbey', expected one of its 10"):
        benchmark.classifier("imagenette64", "abbey")


def test_a_missing_checkpoint_is_a_sentence_and_status_two(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unseen_class.py", "--gan", "nowhere"])
    with pytest.raises(SystemExit) as stop:
        benchmark.main()
    assert stop.value.code == 2
    assert "no checkpoint at nowhere" in capsys.readouterr().err
