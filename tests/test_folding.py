"""BatchNorms in the weights of convolutions: gone, and their function is not."""

import logging
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from ppgn.acceleration import FOLDED, folded, to_channels_last
from ppgn.probe import Probe


def normed(convolution: nn.Module, channels: int) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert tensor is not None
            tensor.uniform_(0.5, 2.0)
    return nn.Sequential(nn.Sequential(convolution, norm, nn.ReLU()), nn.AvgPool2d(2)).eval()


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 6, 3, bias=False),
        nn.ConvTranspose2d(4, 6, 4, 2, 1),
        nn.ConvTranspose2d(4, 6, 3, bias=False),
    ],
)
def test_a_folded_batch_norm_is_gone_and_its_function_is_not(convolution: nn.Module) -> None:
    network, image = normed(convolution, 6).double(), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    before = network(image)
    quick = to_channels_last(folded(network))
    assert not [module for module in quick.modules() if isinstance(module, nn.BatchNorm2d) or module.training]
    torch.testing.assert_close(quick(image), before)


def test_what_is_in_training_mode_or_stands_elsewhere_is_not_folded() -> None:
    with pytest.raises(ValueError, match="training mode"):
        folded(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)))
    alone = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)).eval()
    assert isinstance(folded(alone)[0], nn.BatchNorm2d)  # type: ignore[index]
    assert not hasattr(alone, FOLDED)


def test_an_activation_that_stands_twice_in_a_network_is_not_folded_across() -> None:
    activation = nn.ReLU()
    norm = normed(nn.Conv2d(3, 3, 1), 3)[0][1]  # type: ignore[index]
    network = nn.Sequential(nn.Conv2d(3, 3, 1), activation, nn.Conv2d(3, 3, 1), activation, norm).eval()
    image = torch.randn(2, 3, 4, 4)
    before = network(image)
    torch.testing.assert_close(folded(network)(image), before)


def with_statistics(network: nn.Module) -> nn.Module:
    """BatchNorms as after a training, not those of a network just built, which change nothing."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var, module.bias, module.running_mean):
                    assert tensor is not None
                    tensor.uniform_(0.5, 1.5)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("build", [models.resnet18, models.mobilenet_v3_small, models.shufflenet_v2_x0_5, models.googlenet])
def test_a_network_of_torchvision_is_folded_as_its_passes_run(build: Any) -> None:
    options = {"init_weights": False, "aux_logits": False} if build is models.googlenet else {}
    network, image = with_statistics(build(weights=None, **options)).double(), torch.rand(2, 3, 64, 64, dtype=torch.float64)
    before = network(image)
    names = [name for name, _ in network.named_modules()]
    folded(network, traced=True)
    torch.testing.assert_close(network(image), before)
    assert not [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert [name for name, _ in network.named_modules()] == names


def test_layers_that_are_looked_at_keep_their_values() -> None:
    layers = ("layer1.0.conv1", "layer1.0.bn1", "layer2.0.downsample.0", "layer3.1.bn2", "layer4")
    plain = with_statistics(models.resnet18(weights=None)).double()
    quick = with_statistics(models.resnet18(weights=None)).double()
    quick.load_state_dict(plain.state_dict())
    folded(quick, traced=True, layers=layers)
    image = torch.rand(1, 3, 48, 48, dtype=torch.float64)
    found, expected = Probe(quick, layers)(image), Probe(plain, layers)(image)
    for layer in layers:
        torch.testing.assert_close(found[layer], expected[layer])
    left = [name for name, module in quick.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert left == ["layer1.0.bn1", "layer2.0.downsample.1"]


class Odd(nn.Module):
    """A convolution whose output goes two ways, one that is used twice, one whose weights are used elsewhere, one to fold."""

    def __init__(self, follows: bool = True) -> None:
        super().__init__()
        self.follows = follows
        for name in ("two_ways", "twice", "elsewhere", "folds"):
            self.add_module(name, nn.Conv2d(3, 3, 1))
            self.add_module(f"{name}_norm", nn.BatchNorm2d(3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if not self.follows and float(image.sum()) > 0:  # a tracer has no number here
            image = image * 2
        one = self.two_ways(image)
        value = one + self.two_ways_norm(one)
        value = self.twice_norm(self.twice(value)) + self.twice(image)
        value = self.elsewhere_norm(self.elsewhere(value)) + self.elsewhere.weight.sum()
        return self.folds_norm(self.folds(value))


@pytest.mark.parametrize("follows", [True, False])
def test_what_is_used_in_another_way_too_is_left_as_it_is(follows: bool, caplog: pytest.LogCaptureFixture) -> None:
    network, image = with_statistics(Odd(follows)).double(), torch.rand(2, 3, 4, 4, dtype=torch.float64)
    before = network(image)
    with caplog.at_level(logging.INFO, "ppgn"):
        folded(network, traced=True)
    torch.testing.assert_close(network(image), before)
    gone = [name for name, module in network.named_children() if isinstance(module, nn.Identity)]
    assert gone == (["folds_norm"] if follows else [])
    assert ("torch.fx cannot follow it" in caplog.text) is not follows


class Stem(nn.Module):
    """A convolution at the end of a block, and its BatchNorm outside, as in timm's deep stems; what a mask would change."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
        self.norm = nn.BatchNorm2d(4)
        self.last, self.last_norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.kept: torch.Tensor | None = None

    def forward(self, image: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        value = self.last(self.norm(self.stem(image)))
        self.kept = value
        return self.last_norm(value.relu() if mask is None else value * mask)


@pytest.mark.parametrize(("layers", "gone"), [((), ["norm"]), (("stem",), []), (("stem.2",), []), (("stem.0", "last"), ["norm"])])
def test_a_block_that_is_looked_at_keeps_the_convolution_at_its_end(layers: tuple[str, ...], gone: list[str]) -> None:
    network, image = with_statistics(Stem()).double(), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    before, seen = network(image), [Probe(network, layer)(image)[layer] for layer in layers]
    folded(network, traced=True, layers=layers)
    torch.testing.assert_close(network(image), before)
    torch.testing.assert_close([Probe(network, layer)(image)[layer] for layer in layers], seen)
    assert [name for name, module in network.named_children() if isinstance(module, nn.Identity)] == gone


def test_tracing_leaves_nothing_in_a_network_and_folding_under_inference_mode_leaves_one_that_can_be_differentiated() -> None:
    network = with_statistics(Stem())
    with torch.inference_mode():
        folded(network, traced=True)
    assert network.kept is None
    leaf = torch.rand(1, 3, 8, 8, requires_grad=True)
    assert float(torch.autograd.grad(network(leaf).sum(), leaf)[0].abs().sum()) > 0
