"""The prior of patches, against scikit-learn, finite differences and noise on real pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import ppgn
from ppgn import images, recipes
from ppgn.priors import Mixture, Patches, mixture

NOISE = 0.1


def exact() -> Mixture:
    return mixture(torch.float64)


def patches(count: int = 40) -> Tensor:
    """Patches `[patch, 192]` of smooth waves and of noise."""
    random = torch.Generator().manual_seed(0)
    waves = torch.sin(torch.linspace(0, 9, count * 192, dtype=torch.float64)).reshape(count, 192)
    return 0.5 + 0.2 * waves + 0.1 * torch.randn(count, 192, generator=random, dtype=torch.float64)


def test_the_density_of_patches_is_that_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.mixture")
    ours = exact()
    eye = torch.eye(192, dtype=torch.float64)
    spread = ours.basis * ours.values[:, None] @ ours.basis.mT + (ours.rest.square()[:, None, None] + NOISE**2) * eye
    theirs = sklearn.GaussianMixture(len(ours.weight))
    theirs.weights_, theirs.means_ = ours.weight.numpy(), np.zeros((len(ours.weight), 192))
    # Not torch.linalg.inv: of a batch on several threads it never ends in torch 2.14 (MKL's dgetrf inside a parallel loop).
    theirs.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(spread.numpy()))
    centred = patches() - patches().mean(1, keepdim=True)
    np.testing.assert_allclose(ours.log_prob(patches(), NOISE).numpy(), theirs.score_samples(centred.numpy()), rtol=1e-9)


def test_the_score_is_the_gradient_of_the_density() -> None:
    leaf = patches(6).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda values: exact().log_prob(values, NOISE), (leaf,))
    gradient = torch.autograd.grad(exact().log_prob(leaf, NOISE).sum(), leaf)[0]
    torch.testing.assert_close(exact().score(leaf.detach(), NOISE), gradient)


@pytest.mark.parametrize("stride", [2, 4])
def test_the_direction_is_the_mean_over_patches_of_their_scores(stride: int) -> None:
    picture = (0.5 + 0.3 * torch.sin(torch.arange(2 * 3 * 16 * 24, dtype=torch.float64) * 0.37)).reshape(2, 3, 16, 24)
    leaf = picture.clone().requires_grad_(True)
    cut = functional.unfold(leaf, 8, stride=stride)
    density = exact().log_prob(cut.mT.flatten(0, 1), NOISE).sum()
    count = functional.fold(torch.ones_like(cut), (16, 24), 8, stride=stride)
    wanted = NOISE**2 * torch.autograd.grad(density, leaf)[0] / count
    prior = Patches(patch_noise=NOISE, patch_stride=stride)
    torch.testing.assert_close(prior(picture, picture), wanted.detach())
    torch.testing.assert_close(prior(picture[1:], picture[1:]), wanted[1:].detach())


def test_pictures_of_any_size_and_grey_ones_have_a_direction() -> None:
    grey = torch.rand(2, 1, 13, 18, generator=torch.Generator().manual_seed(0))
    direction = Patches()(grey, grey)
    assert direction.shape == grey.shape and bool(direction.isfinite().all())
    coloured = Patches()(grey.expand(-1, 3, -1, -1), grey)
    torch.testing.assert_close(direction, coloured.mean(1, keepdim=True))


def natural() -> Tensor:
    """Pictures of scikit-learn, which no patch came from."""
    load = pytest.importorskip("sklearn.datasets").load_sample_image
    found = [torch.from_numpy(load(name).copy()).permute(2, 0, 1)[None] / 255 for name in ("china.jpg", "flower.jpg")]
    return torch.cat([images.resize(one, (106, 160)) for one in found]).clamp(0, 1)


@pytest.mark.parametrize(("noise", "least"), [(0.05, 4.5), (0.1, 7.5), (0.2, 10.0)])
def test_a_step_takes_noise_off_natural_pictures(noise: float, least: float) -> None:
    """By so many decibels."""
    clean = natural()
    noisy = clean + noise * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    better = noisy + Patches(patch_noise=noise, patch_stride=2)(noisy, noisy)
    errors = [(one - clean).square().mean((1, 2, 3)) for one in (noisy, better)]
    assert float((10 * (errors[0] / errors[1]).log10()).min()) > least


def test_a_recipe_for_pixels_takes_the_prior() -> None:
    bundle = ppgn.load("pixels:16")
    recipe = recipes.recipe_for(bundle, "plugged", "erhan_2009", prior="patches", patch_noise=0.2, prior_scale=0.5)
    assert recipe.prior == Patches(patch_noise=0.2)
    samples = ppgn.sample(bundle, lambda image: image.mean((1, 2, 3)), count=2, recipe=recipe, steps=3)
    assert bool(samples.images.isfinite().all())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Patches(patch_noise=0.0), "patch_noise 0.0, expected more than 0"),
        (lambda: Patches(patch_stride=9), "patch_stride 9, expected at most 8"),
        (lambda: Patches(patch_stride=0), "patch_stride"),
        (lambda: Patches()(torch.zeros(1, 3, 7, 9), torch.zeros(1)), r"shape \(1, 3, 7, 9\), expected"),
        (lambda: Patches()(torch.zeros(1, 2, 9, 9), torch.zeros(1)), "1 or 3"),
    ],
)
def test_numbers_and_pictures_that_cannot_be_are_refused(make, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
