"""Losses against independent formulas; augmentation treats real and made alike."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from training import (
    DiscriminatorConfig,
    adversarial_loss,
    augment_alike,
    build_discriminator,
    check_depth,
    discriminator_loss,
    distance,
    judge_both,
    unit_channels,
)

A = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
B = torch.randn(3, 5, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_half_square_sum_is_caffes_euclidean_loss() -> None:
    expected = ((A.numpy() - B.numpy()) ** 2).sum() / (2 * 3)
    assert float(distance("half_square_sum", A, B)) == pytest.approx(expected)


def test_l1_mean_is_torchs_l1_loss() -> None:
    assert float(distance("l1_mean", A, B)) == pytest.approx(float(nn.L1Loss()(A, B)))


def test_unit_channel_square_ignores_the_scale_of_each_place_and_is_two_minus_two_cosines() -> None:
    a, b = A.float(), B.float()
    expected = (2 - 2 * torch.cosine_similarity(a, b, dim=1)).mean()
    assert float(distance("unit_channel_square", a, b)) == pytest.approx(float(expected), rel=1e-5)
    scaled = a * torch.rand(3, 1, 4, 4).add(0.1)
    assert float(distance("unit_channel_square", a, scaled)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_the_gradient_of_unit_channel_square_is_that_of_the_formula(dtype: torch.dtype) -> None:
    a, b = A.clone(), B.clone()
    a[0, :, 0, 0], b[1, :, 2, 1] = 0, 0
    if dtype == torch.float64:
        a[1, :, 0, 1], b[2, :, 3, 3] = 1e-8 * a[1, :, 0, 1], 1e-7 * b[2, :, 3, 3]  # shorter than what is divided by
    leaves = [one.to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_() for one in (a, b)]
    lengths = [functional.normalize(one.double(), dim=1, eps=1e-6) for one in leaves]
    expected = (lengths[0] - lengths[1]).square().sum(1).mean()
    found = distance("unit_channel_square", *leaves)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    pairs = zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True)
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype == torch.float64 else {"rtol": 0.02, "atol": 1e-3}
    for one, other in pairs:
        assert one.dtype == dtype
        finite = other.abs() < torch.finfo(dtype).max  # where a vector of channels is 0 it is 1e5
        torch.testing.assert_close(one[finite], other[finite], **tolerance)
    (alone,) = torch.autograd.grad(distance("unit_channel_square", leaves[0].detach(), leaves[1]), leaves[1])
    torch.testing.assert_close(alone, torch.autograd.grad(distance("unit_channel_square", *leaves), leaves[1])[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_unit_channel_square_is_as_exact_under_autocast(dtype: torch.dtype) -> None:
    near = 60 * A + torch.randn(A.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    a, b = (one.to(dtype).requires_grad_() for one in (60 * A, near))
    expected = (functional.normalize(a.double(), dim=1) - functional.normalize(b.double(), dim=1)).square().sum(1).mean()
    with torch.autocast("cpu", dtype):
        found, same = distance("unit_channel_square", a, b), distance("unit_channel_square", a, a.detach())
    assert found.item() == pytest.approx(expected.item(), rel=1e-2, abs=1e-6)
    assert abs(same.item()) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_unit_channels_of_a_place_without_any_is_zero(dtype: torch.dtype) -> None:
    given = torch.relu(A.to(dtype))
    given[0, :, 1, 1] = 0
    found = unit_channels(given)
    assert found.dtype == dtype and bool(found.isfinite().all())
    assert float(found[0, :, 1, 1].abs().sum()) == 0
    torch.testing.assert_close(found.double(), functional.normalize(given.double(), dim=1), atol=0.01, rtol=0)


def test_unit_channels_keeps_type_and_layout_and_has_the_gradient_of_normalising() -> None:
    leaf = A.clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    found, expected = unit_channels(leaf, 3.0), 3 * functional.normalize(leaf, dim=1)
    torch.testing.assert_close(found, expected)
    pushed = torch.randn_like(leaf)
    torch.testing.assert_close(*(torch.autograd.grad((one * pushed).sum(), leaf)[0] for one in (found, expected)))
    half = unit_channels(leaf.bfloat16())
    assert half.dtype == torch.bfloat16 and half.is_contiguous(memory_format=torch.channels_last)


def test_cross_entropy_is_the_two_way_softmax_of_the_published_discriminator() -> None:
    real, made = torch.randn(6), torch.randn(6)
    as_two_logits = torch.stack([torch.zeros(12), torch.cat([real, made])], 1)
    wanted = torch.tensor([1] * 6 + [0] * 6)
    expected = 2 * nn.CrossEntropyLoss()(as_two_logits, wanted)
    assert float(discriminator_loss("cross_entropy", real, made)) == pytest.approx(float(expected), rel=1e-5)
    fooled = nn.CrossEntropyLoss()(as_two_logits[6:], torch.ones(6, dtype=torch.long))
    assert float(adversarial_loss("cross_entropy", made)) == pytest.approx(float(fooled), rel=1e-5)


def test_the_hinge_stops_at_a_margin_of_one() -> None:
    real, made = np.array([2.0, 0.5]), np.array([-3.0, 0.5])
    expected = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + made).mean()
    assert float(discriminator_loss("hinge", torch.tensor(real), torch.tensor(made))) == pytest.approx(expected)
    assert float(adversarial_loss("hinge", torch.tensor(made))) == pytest.approx(-made.mean())


def test_augmentation_does_the_same_to_both_batches_and_differs_between_pictures() -> None:
    pictures = torch.rand(4, 3, 16, 16)[:1].repeat(4, 1, 1, 1)
    first, second = augment_alike(pictures, pictures.clone())
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_augmentation_of_pictures_that_are_not_square_cuts_half_of_each_side_out_and_moves_by_an_eighth_at_most() -> None:
    torch.manual_seed(0)
    pictures = torch.rand(200, 3, 16, 48)
    varied, _ = augment_alike(pictures, pictures)
    assert varied.shape == pictures.shape
    grey = (varied == 0.5).all(1)  # the cut-out, and what a moved picture leaves behind
    filled = grey.all(2).sum(1), grey.all(1).sum(1)  # whole rows and columns
    assert 0 < int(filled[0].max()) <= 2 and 0 < int(filled[1].max()) <= 6
    inner = grey[:, 2:-2, 6:-6]
    assert int(inner.any(2).sum(1).max()) == 8 and int(inner.any(1).sum(1).max()) == 24


@pytest.mark.parametrize(("size", "widths", "deepest"), [((8, 8), 4, 3), ((48, 80), 6, 5), ((80, 7), 3, 2)])
def test_a_discriminator_that_halves_the_shorter_side_to_nothing_is_refused(
    size: tuple[int, int], widths: int, deepest: int
) -> None:
    check_depth(DiscriminatorConfig(widths=(8,) * deepest), size)
    check_depth(DiscriminatorConfig(kind="published", widths=(8,) * widths), size)
    message = f"{widths} discriminator widths halve {size[0]}x{size[1]} pictures to nothing, expected at most {deepest}"
    with pytest.raises(ValueError, match=message):
        check_depth(DiscriminatorConfig(widths=(8,) * widths), size)


def test_augmentation_lets_the_gradient_through() -> None:
    made = torch.rand(2, 3, 16, 16, requires_grad=True)
    _, seen = augment_alike(torch.rand(2, 3, 16, 16), made)
    (gradient,) = torch.autograd.grad(seen.sum(), made)
    assert float(gradient.abs().sum()) > 0


@pytest.mark.parametrize("config", [DiscriminatorConfig(widths=(8, 8), feature_width=8), DiscriminatorConfig(kind="published")])
def test_a_discriminator_sees_image_and_code(config: DiscriminatorConfig) -> None:
    torch.manual_seed(0)
    network = build_discriminator(config, 3, [4, 6], 12).eval()
    image, maps, code = torch.rand(2, 3, 32, 32), [torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4)], torch.rand(2, 12)
    scores = network(image, maps, code)
    assert scores.shape[0] == 2
    assert not torch.equal(scores, network(image, maps, code.flip(0)))
    assert not torch.equal(scores, network(image.flip(0), maps, code))


@pytest.mark.parametrize("kind", ["projection", "published"])
@pytest.mark.parametrize("feature_width", [0, 8])
def test_real_and_made_are_judged_in_one_pass_as_in_two(kind: Any, feature_width: int) -> None:
    torch.manual_seed(0)
    config = DiscriminatorConfig(kind=kind, widths=(8, 8), feature_width=feature_width, feature_maps=1)
    network = build_discriminator(config, 3, [4, 6], 12).eval()
    code = torch.rand(2, 12)
    real, made = ((torch.rand(2, 3, 32, 32), [torch.rand(2, 4, 8, 8), torch.rand(2, 6, 4, 4)]) for _ in range(2))
    for tensor in (made[0], *made[1]):
        tensor.requires_grad_()
    found = judge_both(network, real, made, code)
    for scores, seen in zip(found, (real, made), strict=True):
        torch.testing.assert_close(scores, network(*seen, code))
    found[1].sum().backward()
    assert made[0].grad is None and made[1][1].grad is None
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_published_discriminator_has_the_published_layers() -> None:
    network = build_discriminator(DiscriminatorConfig(kind="published"), 3, [], 4096)
    shapes = [tuple(weights.shape) for name, weights in network.named_parameters() if name.endswith("weight")]
    assert shapes[:5] == [(32, 3, 7, 7), (64, 32, 5, 5), (128, 64, 3, 3), (256, 128, 3, 3), (256, 256, 3, 3)]
    assert shapes[5:] == [(1024, 4096), (512, 1024), (512, 768), (1, 512)]
