"""Pixel methods against torch.optim, SciPy, NumPy forms of the published loops, Lucid, and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgn import chain
from ppgn.generators import (
    FourierGenerator,
    FourierGeneratorConfig,
    PhaseGenerator,
    PhaseGeneratorConfig,
    correlated,
    decorrelated,
)
from ppgn.objective import Objective, Term
from ppgn.priors import HandMade, NoPrior, total_variation
from ppgn.samplers import Adam, Regularised, blurred
from ppgn.types import CodeSpace

ndimage = pytest.importorskip("scipy.ndimage")
SEEDS = (0, 1)


def pictures(height: int = 9, width: int = 7) -> Tensor:
    return 0.5 + 0.3 * torch.sin(torch.arange(2 * 3 * height * width, dtype=torch.float64) * 1.7).reshape(2, 3, height, width)


def response(image: Tensor) -> Tensor:
    flat = image.flatten(1)
    return (flat * torch.cos(torch.arange(flat.shape[1], dtype=flat.dtype))).sum(1) - flat.pow(4).sum(1)


def reached(rule, code: Tensor, steps: int, prior=None, space: CodeSpace | None = None) -> Tensor:
    objective = Objective(lambda code: code, prior or NoPrior(), (Term("y", response),), space)
    return list(chain.run(rule, objective, rule.init(code, SEEDS), steps))[-1][0].code


@pytest.mark.parametrize("nesterov", [False, True])
def test_adam_is_that_of_torch(nesterov: bool) -> None:
    weight = pictures().requires_grad_(True)
    kind = torch.optim.NAdam if nesterov else torch.optim.Adam
    optimiser = kind([weight], lr=0.03, maximize=True)
    for _ in range(25):
        optimiser.zero_grad()
        response(weight).sum().backward()
        optimiser.step()
    torch.testing.assert_close(reached(Adam(step_size=0.03, nesterov=nesterov), pictures(), 25), weight.detach())


def gradient_of(picture: np.ndarray) -> np.ndarray:
    leaf = torch.from_numpy(picture).requires_grad_(True)
    return torch.autograd.grad(response(leaf).sum(), leaf)[0].numpy()


@pytest.mark.parametrize(
    "settings",
    [
        {"pixel_decay": 0.01, "blur_width": 0.7, "blur_every": 4},
        {"pixel_decay": 0.3, "norm_percentile": 20.0},
        {"blur_width": 0.5, "blur_every": 4, "contribution_percentile": 90.0},
        {"norm_percentile": 50.0, "blur_width": 1.0, "blur_every": 2, "gradient_rule": "progress"},
    ],
)
def test_the_regularised_ascent_is_the_loop_of_the_deep_visualization_toolbox(settings: dict) -> None:
    """optimize/gradient_optimizer.py, steps 0, 4, 5 and 6, in NumPy and SciPy, with the mean picture 0.5."""
    found = reached(
        Regularised(step_size=0.02, **{"gradient_rule": "gradient", **settings}),
        pictures(),
        10,
        space=CodeSpace(low=0.0, high=1.0),
    )
    for row in range(2):
        x = pictures().numpy()[row : row + 1] - 0.5
        for step in range(10):
            gradient = gradient_of(x + 0.5)
            rate = 0.02 / np.linalg.norm(gradient) ** 2 if settings.get("gradient_rule") == "progress" else 0.02
            x = (x + rate * gradient) * (1 - settings.get("pixel_decay", 0.0))
            if settings.get("blur_every") and step % settings["blur_every"] == 0:
                x[0] = np.stack([ndimage.gaussian_filter(one, settings["blur_width"]) for one in x[0]])
            if percentile := settings.get("norm_percentile"):
                size = np.linalg.norm(x, axis=1)
                x = x * (size >= np.percentile(size, percentile))[:, None]
            if percentile := settings.get("contribution_percentile"):
                size = np.abs((gradient * -x).sum(1))
                x = x * (size >= np.percentile(size, percentile))[:, None]
            x = np.clip(x + 0.5, 0, 1) - 0.5
        np.testing.assert_allclose(found[row].numpy(), x[0] + 0.5, atol=1e-9)


@pytest.mark.parametrize("width", [0.4, 1.0, 3.0])
def test_the_blur_is_that_of_scipy(width: float) -> None:
    image = pictures(11, 6)
    wanted = np.stack([[ndimage.gaussian_filter(one.numpy(), width) for one in row] for row in image])
    np.testing.assert_allclose(blurred(image, width).numpy(), wanted, atol=1e-12)


def test_erhan_s_constraint_keeps_the_contrast_and_the_unit_mean_rule_the_step() -> None:
    found = reached(Regularised(step_size=0.1, contrast=0.2), pictures(), 5)
    torch.testing.assert_close((found - 0.5).square().mean((1, 2, 3)).sqrt(), torch.full((2,), 0.2, dtype=torch.float64))
    step = reached(Regularised(step_size=0.1), pictures(), 1) - pictures()
    torch.testing.assert_close(step.abs().mean((1, 2, 3)), torch.full((2,), 0.1, dtype=torch.float64))
    pushed = reached(Regularised(step_size=0.1, velocity_decay=0.5, gradient_rule="gradient"), pictures(), 2)
    first = 0.1 * torch.from_numpy(gradient_of(pictures().numpy()))
    second = 0.5 * first + 0.1 * torch.from_numpy(gradient_of((pictures() + first).numpy()))
    torch.testing.assert_close(pushed, pictures() + first + second)


def test_a_centre_window_leaves_the_edge_alone() -> None:
    moved = (
        reached(Regularised(step_size=0.1, centre_width=0.1, gradient_rule="gradient"), pictures(9, 9), 1) - pictures(9, 9)
    ).abs()
    assert float(moved[:, :, 4, 4].min()) > 1000 * float(moved[:, :, 0, 0].max())


def test_total_variation_has_the_gradient_of_the_released_code() -> None:
    """tv(x, beta) of aravindhm/deep-goggle, core/invert_nn.m, in NumPy."""
    x = pictures()[0].numpy() - 0.5
    for beta in (1.0, 2.0, 3.0):
        right = np.concatenate([x[:, :, 1:], x[:, :, -1:]], 2) - x
        down = np.concatenate([x[:, 1:], x[:, -1:]], 1) - x
        value = np.sqrt(right**2 + down**2) ** beta
        power = 2 * (beta / 2 - 1) / beta
        weighted = [np.maximum(value, 1e-5) ** power * one for one in (right, down)]
        before = [
            np.concatenate([weighted[0][:, :, :1], weighted[0][:, :, :-1]], 2),
            np.concatenate([weighted[1][:, :1], weighted[1][:, :-1]], 1),
        ]
        before[0][:, :, 0], before[1][:, 0] = 0, 0
        wanted = beta * (before[0] - weighted[0] + before[1] - weighted[1])
        assert float(total_variation(pictures(), beta)[0]) == pytest.approx(value.sum())
        got = -HandMade(variation_weight=1.0, variation_power=beta, norm_weight=0.0)(pictures(), pictures())[0].numpy()
        inner = (slice(None), slice(0, -1), slice(0, -1)) if beta < 2 else (slice(None),)  # theirs is wrong where it is 0
        np.testing.assert_allclose(got[inner], wanted[inner], atol=1e-3)


def test_the_direction_of_a_hand_made_prior_is_the_gradient_of_its_energy() -> None:
    prior = HandMade(variation_weight=0.3, variation_power=1.5, norm_weight=0.2, norm_power=6.0, mean_weight=0.7)
    code = pictures().requires_grad_(True)
    assert torch.autograd.gradcheck(prior.energy, (code,))
    wanted = -torch.autograd.grad(prior.energy(code).sum(), code)[0]
    torch.testing.assert_close(prior(code.detach(), code.detach()), wanted)
    simonyan = HandMade(variation_weight=0.0, norm_weight=0.5, norm_power=2.0)(code.detach(), code.detach())
    torch.testing.assert_close(simonyan, 0.5 - code.detach())


@pytest.mark.parametrize("size", [(16, 24), (15, 9)])
def test_fourier_pictures_are_those_of_lucid(size: tuple[int, int]) -> None:
    """rfft2d_freqs, fft_image and to_valid_rgb of tensorflow/lucid and torch-lucent, in NumPy."""
    height, width = size
    generator = FourierGenerator(FourierGeneratorConfig(3, height, width)).double()
    code = torch.sin(torch.arange(2 * math.prod(generator.code_shape), dtype=torch.float64)).reshape(2, *generator.code_shape)
    frequency = np.sqrt(np.fft.fftfreq(height)[:, None] ** 2 + np.abs(np.fft.fftfreq(width)[: width // 2 + 1]) ** 2)
    scale = 1 / np.maximum(frequency, 1 / max(height, width))
    image = np.fft.irfft2(scale * (code[..., 0] + 1j * code[..., 1]).numpy(), s=size, norm="ortho") / 4
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    coloured = np.einsum("chw,dc->dhw", image[0], root / np.linalg.norm(root, axis=0).max())
    np.testing.assert_allclose(generator(code)[0].numpy(), 1 / (1 + np.exp(-coloured)), atol=1e-6)


def test_colours_are_decorrelated_and_back() -> None:
    image = pictures()
    torch.testing.assert_close(correlated(decorrelated(image)), image)
    torch.testing.assert_close(correlated(image[:, :1]), image[:, :1])


@pytest.mark.parametrize("channels", [1, 3])
def test_phase_pictures_keep_the_magnitudes_of_natural_ones(channels: int) -> None:
    generator = PhaseGenerator(PhaseGeneratorConfig(channels, 64, 48)).double()
    code = torch.randn(2, *generator.code_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    image = generator(code)
    assert image.shape == (2, channels, 64, 48) and 0 < float(image.min()) < float(image.max()) < 1
    spectrum = torch.fft.rfft2(decorrelated(image.logit()))[:, 0, 1:20, 1:20].abs()
    ratio = spectrum / generator.magnitude[0, 1:20, 1:20]
    torch.testing.assert_close(ratio / ratio.mean((1, 2), keepdim=True), torch.ones_like(ratio), atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="the phase generator got a code"):
        generator(code[:, :, :5])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Regularised(gradient_rule="steep"), "expected one of gradient"),
        (lambda: Regularised(norm_percentile=100.0), "norm_percentile 100.0, expected at least 0 and below 100"),
        (lambda: Regularised().init(torch.zeros(2, 5), SEEDS), "expected .chain, channel, height, width."),
        (lambda: Adam(first_decay=1.0), "first_decay 1.0, expected it in"),
        (lambda: Adam(epsilon=0.0), "epsilon"),
        (lambda: HandMade(variation_weight=-1.0), "variation_weight -1.0"),
        (lambda: HandMade(norm_power=0.5), "norm_power 0.5"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
