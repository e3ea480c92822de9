"""DeepDream, style transfer, inversion and multifaceted pictures: against NumPy forms of what was published, and closed forms."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_bundle
from torch import Tensor, nn

from ppgn import images, methods, requests
from ppgn.cli import main
from ppgn.conditions import Amplified, FeatureMatch, Tiled
from ppgn.images import denoised
from ppgn.probe import Layer, Preprocessed
from ppgn.views import RandomCrop


def network(width: int = 6) -> Preprocessed:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU())
    return Preprocessed(layers, None, 0.5, 0.5)


def picture(height: int = 40, width: int = 56) -> Tensor:
    down, right = torch.linspace(0, 3, height)[:, None], torch.linspace(0, 4, width)[None]
    return torch.stack([0.5 + 0.4 * torch.sin((2 + number) * down + right) for number in range(3)])


def gradient(condition, image: Tensor) -> Tensor:
    leaf = image.clone().requires_grad_(True)
    return torch.autograd.grad(condition(leaf).sum(), leaf)[0]


def test_denoising_a_step_moves_both_sides_by_one_over_weight_times_width() -> None:
    step = torch.full((1, 1, 5, 8), 0.2, dtype=torch.float64)
    step[..., 4:] = 0.9
    found = denoised(step, weight=10.0, iterations=300)
    torch.testing.assert_close(found[..., :4], torch.full_like(found[..., :4], 0.2 + 1 / 40), atol=1e-6, rtol=0)
    torch.testing.assert_close(found[..., 4:], torch.full_like(found[..., 4:], 0.9 - 1 / 40), atol=1e-6, rtol=0)


def test_no_neighbour_of_a_denoised_picture_has_a_lower_energy() -> None:
    noisy = picture(12, 9)[None].double() + 0.1 * torch.sin(torch.arange(324, dtype=torch.float64) * 1.7).reshape(1, 3, 12, 9)

    def energy(image: Tensor) -> float:
        down, right = torch.diff(image, dim=-2, append=image[..., -1:, :]), torch.diff(image, dim=-1, append=image[..., -1:])
        return float((down.square() + right.square()).sqrt().sum() + 10 * (image - noisy).square().sum())

    found, generator = denoised(noisy, weight=20.0, iterations=500), torch.Generator().manual_seed(0)
    assert energy(found) < energy(noisy)
    for _ in range(200):
        other = found + 1e-3 * torch.randn(found.shape, generator=generator, dtype=found.dtype)
        assert energy(found) < energy(other)


def test_amplifying_a_layer_puts_its_own_value_at_the_layer() -> None:
    seen, image = network(), picture()[None]
    leaf = image.clone().requires_grad_(True)
    value = Layer(seen, "2")(leaf)
    wanted = torch.autograd.grad(value, leaf, grad_outputs=value.detach())[0]  # dst.diff[:] = dst.data, of dream.ipynb
    torch.testing.assert_close(gradient(Amplified(seen, "2"), image), wanted)
    torch.testing.assert_close(
        gradient(Amplified(seen, "2:4"), image), gradient(lambda x: Layer(seen, "2")(x)[:, 4].sum((1, 2)), image)
    )


def test_a_guide_is_matched_as_in_the_published_notebook() -> None:
    seen, image, guide = network(), picture()[None], picture(24, 20).flip(0)
    leaf = image.clone().requires_grad_(True)
    value = Layer(seen, "2")(leaf)
    x, y = value[0].detach().numpy().reshape(6, -1), Layer(seen, "2")(guide[None])[0].detach().numpy().reshape(6, -1)
    best = y[:, x.T.dot(y).argmax(1)]  # objective_guide, of dream.ipynb
    wanted = torch.autograd.grad(value, leaf, grad_outputs=torch.from_numpy(best).reshape(value.shape))[0]
    torch.testing.assert_close(gradient(Amplified(seen, "2", guide), image), wanted)


def test_a_guide_of_many_positions_is_matched_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, image, guide = network(), torch.stack([picture(), picture().flip(1)]), picture(24, 20).flip(0)
    whole = gradient(Amplified(seen, "2", guide), image)
    monkeypatch.setattr("ppgn.conditions.amplified.MOST_PRODUCTS", 480 * 100)  # a hundred positions at a time
    assert torch.equal(gradient(Amplified(seen, "2", guide), image), whole)


def test_a_guided_layer_without_positions_is_refused() -> None:
    torch.manual_seed(0)
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
    assert Amplified(flat, "2")(picture()[None]).shape == (1,)
    with pytest.raises(ValueError, match="without positions"):
        Amplified(flat, "2", picture())(picture()[None])


@pytest.mark.parametrize("address", ["2:9", "2:1@0,0"])
def test_channels_that_a_layer_does_not_have_and_positions_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Amplified(network(), address)(picture()[None])


def test_tiles_give_the_gradient_of_the_whole_picture_away_from_their_borders() -> None:
    seen, image = network(), torch.stack([picture(), picture().flip(1)])
    whole, tiled = Amplified(seen, "2"), Tiled(Amplified(seen, "2"), side=24, overlap=8)
    assert len(list(tiled.tiles(40, 56))) == 6
    total = torch.zeros(40, 56)
    middle = torch.zeros(40, 56, dtype=torch.bool)
    for down, right, weight in tiled.tiles(40, 56):
        total[down, right] += weight
        alone = torch.zeros(40, 56)
        alone[down, right] = weight
        middle |= alone > 1 - 1e-6
    torch.testing.assert_close(total, torch.ones(40, 56))
    assert 0.2 < float(middle.float().mean()) < 0.9
    ours, theirs = gradient(tiled, image), gradient(whole, image)
    torch.testing.assert_close(ours[..., middle], theirs[..., middle])
    assert float((ours - theirs).abs().mean()) < 0.1 * float(theirs.abs().mean())
    torch.testing.assert_close(gradient(lambda x: 3 * tiled(x), image), 3 * ours)
    torch.testing.assert_close(gradient(tiled, image[1:]), ours[1:])
    torch.testing.assert_close(Tiled(whole, side=56)(image), whole(image))


def test_a_crop_is_a_function_of_seed_and_step_and_its_margin_gets_no_gradient() -> None:
    view, image = RandomCrop(side=20, spread=0.3, margin=4), picture()[None].expand(2, -1, -1, -1)
    places = set()
    for step in range(12):
        seen = view(image, (1, 2), step)[0]
        assert seen.shape == (2, 3, 20, 20)
        found = [
            (down, right) for down in range(21) for right in range(37)
            if torch.equal(image[0][:, down : down + 20, right : right + 20], seen[0])
        ]  # fmt: skip
        assert len(found) == 1
        places |= set(found)
        torch.testing.assert_close(view(image[:1], (1,), step)[0], seen[:1])
    assert len(places) > 6
    grown = gradient(lambda x: view(x, (1, 2), 3)[0].sum((1, 2, 3)), image)
    assert grown.flatten(1).sum(1).tolist() == [3 * 12 * 12] * 2
    assert torch.equal(RandomCrop(side=64)(image, (1, 2), 0)[0], image)


def test_a_dream_is_the_loop_of_the_published_notebook() -> None:
    seen, start = network(), picture(48, 64)
    sizes = methods.octave_sizes((48, 64), 2, 1.4)
    assert sizes == ((34, 46), (48, 64))
    detail = torch.zeros(1, 3, *sizes[0])
    for size in sizes:
        base = images.resize(start[None], size)
        image = (base + images.resize(detail, size)).clamp(0, 1)
        for _ in range(3):
            grown = gradient(Amplified(seen, "2"), image)
            image = (image + 0.02 / grown.abs().mean() * grown).clamp(0, 1)  # make_step, of dream.ipynb
        detail = image - base
    dreamt = methods.dream(seen, "2", start, octaves=2, steps=4, step_size=0.02, view="whole")
    torch.testing.assert_close(dreamt.picture, image[0])


def test_a_dream_reproduces_by_its_seed_and_begins_at_noise_without_a_picture() -> None:
    one, again, other = (methods.dream(network(), "2", size=(40, 48), octaves=1, steps=3, seed=seed) for seed in (1, 1, 2))
    assert one.picture.shape == (3, 40, 48) and torch.equal(one.picture, again.picture)
    assert not torch.equal(one.picture, other.picture)


@pytest.mark.parametrize(("octaves", "scale"), [(0, 1.4), (2, 1.0), (2, float("nan"))])
def test_octaves_that_cannot_be_are_refused(octaves: int, scale: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        methods.octave_sizes((48, 64), octaves, scale)


def test_octaves_below_the_smallest_are_left_out_however_many_are_asked_for() -> None:
    assert methods.octave_sizes((48, 64), 100_000, 1.4) == ((34, 46), (48, 64))
    assert methods.octave_sizes((1, 48), 4, 1.4) == ((1, 48),)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": 2**64 - 1}, "a seed got"),
        ({"size": (40, 48, 3)}, "expected .height, width."),
        ({"guide": picture() * 255}, "a guide with values outside"),
        ({"guide": picture(), "tile": "512"}, "got tile"),
    ],
)
def test_a_dream_that_cannot_be_is_refused_before_its_first_step(settings: dict, said: str) -> None:
    steps = []
    with pytest.raises(ValueError, match=said):
        methods.dream(network(), "2", **{"size": 48, "octaves": 2, "steps": 2, **settings}, watch=lambda *one: steps.append(one))
    assert not steps


def test_style_and_content_are_shares_of_what_they_match() -> None:
    seen, content, style = network(), picture(), picture(32, 32).flip(2)
    samples = methods.transfer_style(seen, content, style, content_layer="2", style_layers=["0", "2"], style_weight=5.0, steps=1)

    def layer(name: str, image: Tensor) -> np.ndarray:
        return Layer(seen, name)(image[None])[0].detach().numpy()

    def gram(values: np.ndarray) -> np.ndarray:
        flat = values.reshape(len(values), -1)
        return flat @ flat.T / flat.shape[1]

    shares = [((gram(layer(name, content)) - gram(layer(name, style))) ** 2).sum() / (gram(layer(name, style)) ** 2).sum()
              for name in ("0", "2")]  # fmt: skip
    assert float(samples.log_prob[0]) == pytest.approx(-5 * np.mean(shares), rel=1e-4)  # the content itself is matched
    later = methods.transfer_style(seen, content, style, content_layer="2", style_layers=["0", "2"], style_weight=5.0, steps=40)
    assert float(later.log_prob[0]) > 0.5 * float(samples.log_prob[0])
    assert later.images.shape == (1, *content.shape)


def test_an_inversion_of_the_code_by_the_generator_is_one_pass() -> None:
    bundle = tiny_bundle()
    shown = picture(8, 8)[:1]
    found = methods.invert(bundle, shown, ["trunk.block0", "fc6"], steps=60)
    assert found.rows == tuple((layer, method) for layer in ("trunk.block0", "fc6") for method in methods.INVERSIONS)
    with torch.no_grad():
        torch.testing.assert_close(found.images[3], bundle.generator(bundle.encoder(shown[None]))[0].clamp(0, 1))
    layer = Layer(bundle.encoder, "trunk.block0")
    target = layer(shown[None]).detach()
    for row in (0, 1):
        away = (layer(found.images[row : row + 1]) - target).square().sum() / target.square().sum()
        assert found.feature_error[row] == pytest.approx(float(away), rel=1e-3)
    grey = -methods.relative(FeatureMatch(layer, target[0]))(torch.full((1, 1, 8, 8), 0.5))
    assert found.feature_error[0] < 0.5 * float(grey)


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="facets need scikit-learn")
def test_facets_of_two_kinds_of_pictures_begin_at_their_means_and_excite_the_unit() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.stack([picture(24, 24), picture(24, 24).flip(0, 1)])
    shown = (kinds[torch.arange(40) % 2] + 0.05 * torch.randn(40, 3, 24, 24, generator=generator)).clamp(0, 1)
    seen = network()
    seen.size = 24
    found = methods.multifaceted(seen, "2:3", shown, features="2", clusters=2, steps=5)
    assert found.images.shape == (2, 3, 29, 29)  # enlarged by 1.2
    for row in range(2):
        members = found.facets.nearest[row]
        assert len({int(index) % 2 for index in members}) == 1
        torch.testing.assert_close(found.starts[row], shown[members].mean(0))
    with torch.no_grad():
        before = Layer(seen, "2")(found.starts)[:, 3].mean((1, 2))
    assert bool((found.activations > before).all())


@pytest.mark.skipif(importlib.util.find_spec("sklearn") is None, reason="facets need scikit-learn")
def test_facets_begin_at_the_size_that_the_network_sees() -> None:
    seen = network()
    seen.size = 24
    shown = torch.rand(8, 3, 60, 40, generator=torch.Generator().manual_seed(0))
    found = methods.multifaceted(seen, "2:3", shown, features="2", clusters=2, steps=1)
    assert found.starts.shape == (2, 3, 24, 24) and found.images.shape == (2, 3, 29, 29)


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"seed": 2**64 - 1}, "a seed got"), ({"clusters": 0}, "got clusters 0"), ({"clusters": "2"}, "clusters")],
)
def test_facets_that_cannot_be_are_refused_before_a_picture_is_measured(settings: dict, said: str) -> None:
    seen = network()
    seen.size = 24
    with pytest.raises(ValueError, match=said):
        methods.multifaceted(seen, "2:3", "no such folder", **{"features": "2", "clusters": 2, **settings})


def test_a_network_whose_input_is_no_square_has_no_facets() -> None:
    with pytest.raises(ValueError, match="expected a square"):
        methods.multifaceted(network(), "2:3", torch.zeros(4, 3, 8, 8), features="2")


def test_the_commands_write_pictures_of_the_size_of_what_they_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("photo", "other"):
        images.save_image(images.to_pil(picture(48, 60)), tmp_path / f"{name}.png")
    photo, other, out = str(tmp_path / "photo.png"), str(tmp_path / "other.png"), str(tmp_path / "out.png")
    assert main(["dream", photo, "--out", out, "--steps", "1", "--octaves", "2", "--guide", other]) == 0
    assert images.load_image(out).shape == (3, 48, 60)
    assert main(["style", photo, other, "--out", out, "--steps", "2"]) == 0
    assert images.load_image(out).shape == (3, 48, 60)
    assert main(["invert", photo, "--out", out, "--steps", "2", "--layers", "fc6"]) == 0
    assert "error of features" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["dream", "missing.png"],
        ["dream", "noise", "--layer", "trunk.block99"],
        ["dream", "noise", "--octaves", "0"],
        ["dream", "noise", "--tile", "0"],
        ["dream", "noise", "--tile", "8"],
        ["dream", "noise", "--steps", "0"],
        ["dream", "noise", "--weights", "resnet18.pth"],
        ["invert", "missing.png", "--mean", "0.5"],
        ["dream", "noise", "--network", "torchvision:resnet18"],
        ["style", "missing.png", "missing.png"],
        ["invert", "missing.png"],
    ],
)
def test_mistakes_end_in_one_sentence(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--out", str(tmp_path / "out.png")]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and said.startswith("ppgn: error: ")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.slow  # 12 megapixels go through a network, forwards and backwards
def test_a_dream_of_twelve_megapixels_fits_into_four_gigabytes(tmp_path: Path) -> None:
    images.save_image(images.to_pil(images.resize(picture()[None], (3000, 4000))[0]), tmp_path / "photo.png")
    words = ["dream", str(tmp_path / "photo.png"), "--out", str(tmp_path / "dream.png"), "--octaves", "1", "--steps", "1"]
    subprocess.run([sys.executable, "-m", "ppgn", *words], check=True)
    assert images.load_image(tmp_path / "dream.png").shape == (3, 3000, 4000)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20  # KiB


def test_a_unit_of_a_request_with_several_chains_has_no_facets() -> None:
    with pytest.raises(ValueError, match="expected one"):
        methods.multifaceted(network(), requests.unit(network(), "2:1,2"), torch.zeros(4, 3, 8, 8), features="2")


def test_facets_are_told_apart_on_the_command_line_by_what_is_said_wrongly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images.save_image(images.to_pil(picture(16, 16)), tmp_path / "photo.png")
    folder, out = str(tmp_path), str(tmp_path / "facets.png")
    for words in ([], ["--class", "church", "--unit", "fc6:1"], ["--class", "no such class"], ["--class", "church"]):
        assert main(["facets", folder, *words, "--clusters", "2", "--out", out]) == 2
        said = capsys.readouterr().err.strip()
        assert len(said.splitlines()) == 1 and said.startswith("ppgn: error: "), said
