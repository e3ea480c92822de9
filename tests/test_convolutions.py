"""Convolutions with another way back: results and gradients are those of nn.Conv2d and nn.ConvTranspose2d."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training import (
    Convolution,
    DiscriminatorConfig,
    UpConvolution,
    build_discriminator,
    is_faster_as_matrices,
    weight_gradient,
    with_quick_gradients,
)


def networks(dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = nn.Sequential(
        nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.Tanh(), nn.ConvTranspose2d(4, 3, (2, 3), (1, 2), 0, bias=False),
        nn.Conv2d(3, 5, (3, 2), (2, 1), (1, 0)), nn.Tanh(), nn.Conv2d(5, 4, 1, bias=False),
    )  # fmt: skip
    plain = plain.to(dtype).to(memory_format=torch.channels_last)
    return plain, with_quick_gradients(copy.deepcopy(plain))


@pytest.mark.parametrize(
    ("dtype", "autocast"), [(torch.float64, False), (torch.float32, False), (torch.bfloat16, False), (torch.float32, True)]
)
def test_results_and_gradients_are_those_of_torch(dtype: torch.dtype, autocast: bool) -> None:
    found = []
    given = torch.randn(2, 6, 5, 5, dtype=dtype)
    for network in networks(dtype):
        leaf = given.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            made = network(leaf)
        gradients = torch.autograd.grad(made.float().square().sum(), [leaf, *network.parameters()])
        found.append([made, *gradients])
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other)


def test_a_picture_without_a_batch_and_float64_under_autocast_are_as_with_torch() -> None:
    (plain, quick), given = networks(torch.float64), torch.randn(6, 5, 5, dtype=torch.float64)
    for one in (given, given[None]):
        with torch.autocast("cpu", torch.bfloat16):
            made = [network(one.clone()) for network in (plain, quick)]
        assert made[0].dtype == made[1].dtype == torch.float64
        torch.testing.assert_close(*made)
    quick(given).sum().backward()


@pytest.mark.parametrize("layer", [0, 3])
def test_the_gradient_is_that_of_finite_differences(layer: int) -> None:
    module: Any = networks(torch.float64)[1][layer]  # type: ignore[index]
    given = torch.randn(2, module.in_channels, 4, 4, dtype=torch.float64)
    leaves = [given, *(one.detach().clone() for one in module.parameters())]

    def function(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, {"weight": weight, "bias": bias}, (given,))

    assert torch.autograd.gradcheck(function, [leaf.requires_grad_() for leaf in leaves])


@pytest.mark.parametrize("layer", [0, 3])
def test_only_what_needs_a_gradient_gets_one(layer: int) -> None:
    module: Any = networks(torch.float32)[1][layer]  # type: ignore[index]
    module.weight.requires_grad_(False)
    module(torch.randn(1, module.in_channels, 3, 3)).sum().backward()
    assert module.weight.grad is None and module.bias.grad is not None


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), [(8, (3, 3), (1, 1), (1, 1)), (9, (4, 2), (2, 1), (1, 0))])
def test_small_maps_of_many_channels_are_multiplied_as_matrices(
    size: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], memory: torch.memory_format
) -> None:
    seen = torch.randn(3, 64, size, size).bfloat16().contiguous(memory_format=memory)
    weight = torch.randn(7, 64, *kernel).bfloat16()
    made = nn.functional.conv2d(seen, weight, None, stride, padding)
    gradient = torch.randn_like(made).contiguous(memory_format=memory)
    exact = torch.nn.grad.conv2d_weight(seen.double(), weight.shape, gradient.double(), stride, padding)
    assert is_faster_as_matrices(seen, gradient)
    assert not is_faster_as_matrices(seen[:, 1:], gradient) and not is_faster_as_matrices(seen, gradient.float())
    found = weight_gradient(seen, weight, gradient, stride, padding)
    assert (found.dtype, found.shape) == (torch.bfloat16, weight.shape)
    torch.testing.assert_close(found.double(), exact, rtol=0.01, atol=0.01 * float(exact.abs().max()))


def test_layers_of_many_channels_have_the_gradients_of_torch_in_bfloat16() -> None:
    torch.manual_seed(0)
    for plain in (nn.Conv2d(64, 70, 4, 2, 1), nn.ConvTranspose2d(80, 64, 4, 2, 1)):
        given, found = torch.randn(3, plain.in_channels, 8 if isinstance(plain, nn.Conv2d) else 4, 4), []
        for network in (plain, with_quick_gradients(copy.deepcopy(plain))):
            leaf = given.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16):
                made = network(leaf)
            found.append([made, *torch.autograd.grad(made.float().square().mean(), [leaf, *network.parameters()])])
        for one, other in zip(*found, strict=True):
            assert one.dtype == other.dtype
            torch.testing.assert_close(one.float(), other.float(), rtol=0.02, atol=0.01 * float(other.detach().abs().max()))


def test_all_convolutions_of_generator_and_discriminator_are_taken_and_the_weights_keep_their_names() -> None:
    config = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),), code_size=5)
    plain, quick = ImageGenerator(config), with_quick_gradients(ImageGenerator(config))
    quick.load_state_dict(plain.state_dict(), strict=True)
    code = torch.rand(2, 5)
    torch.testing.assert_close(quick.eval()(code), plain.eval()(code))
    for kind in ("projection", "published"):
        adversary = build_discriminator(DiscriminatorConfig(kind=kind, feature_width=8), 3, [4, 6], 12)  # type: ignore[arg-type]
        for network in (quick, adversary):
            layers = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.ConvTranspose2d)]
            assert layers and all(isinstance(one, Convolution | UpConvolution) for one in layers)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 4, 3, 2, output_padding=1), nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
    ],
)  # fmt: skip
def test_others_run_as_they_are(layer: nn.Module) -> None:
    quick, given = with_quick_gradients(copy.deepcopy(layer)), torch.randn(2, 4, 7, 7)
    assert isinstance(quick, Convolution | UpConvolution)
    made = quick(given)
    torch.testing.assert_close(made, layer(given))
    assert "Convolve" not in type(made.grad_fn).__name__


def test_spectral_norms_and_copies_keep_the_way_back() -> None:
    torch.manual_seed(0)
    layer = spectral_norm(Convolution(4, 4, 3)).eval()
    for one in (layer, copy.deepcopy(layer)):
        made = one(torch.randn(2, 4, 7, 7))
        assert type(made.grad_fn).__name__ == "_ConvolveBackward"
