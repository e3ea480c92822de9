"""A transposed convolution with another way back: results and gradients are those of nn.ConvTranspose2d."""

import copy

import pytest
import torch
from torch import nn

from ppgn.networks import ImageGenerator, ImageGeneratorConfig
from training.upconvolution import UpConvolution, with_quick_gradients


def networks(dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.ConvTranspose2d(6, 4, 4, 2, 1), nn.Tanh(), nn.ConvTranspose2d(4, 3, (2, 3), (1, 2), 0, bias=False))
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


def test_the_gradient_is_that_of_finite_differences() -> None:
    layer = networks(torch.float64)[1][0]  # type: ignore[index]
    leaves = [torch.randn(2, 6, 3, 3, dtype=torch.float64), *(one.detach().clone() for one in layer.parameters())]

    def function(given: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (given,))

    assert torch.autograd.gradcheck(function, [leaf.requires_grad_() for leaf in leaves])


def test_only_what_needs_a_gradient_gets_one() -> None:
    layer = networks(torch.float32)[1][0]  # type: ignore[index]
    layer.weight.requires_grad_(False)
    layer(torch.randn(1, 6, 3, 3)).sum().backward()
    assert layer.weight.grad is None and layer.bias.grad is not None


def test_only_plain_ones_are_taken_and_the_weights_keep_their_names() -> None:
    layers = [
        nn.ConvTranspose2d(4, 4, 3), nn.ConvTranspose2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3, dilation=2),
        nn.ConvTranspose2d(4, 4, 3, 2, output_padding=1), nn.Conv2d(4, 4, 3),
    ]  # fmt: skip
    network = with_quick_gradients(nn.Sequential(*layers))
    assert [isinstance(layer, UpConvolution) for layer in network] == [True, False, False, False, False]  # type: ignore[union-attr]
    config = ImageGeneratorConfig(hidden=(16,), base_channels=8, base_size=4, stages=((8, 8),), code_size=5)
    plain, quick = ImageGenerator(config), with_quick_gradients(ImageGenerator(config))
    quick.load_state_dict(plain.state_dict(), strict=True)
    code = torch.rand(2, 5)
    torch.testing.assert_close(quick.eval()(code), plain.eval()(code))
