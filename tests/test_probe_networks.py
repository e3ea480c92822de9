"""The probe on whole networks of torchvision and timm, with random weights, against plain forward hooks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from ppgn.probe import Probe

IMAGE = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def of_timm(name: str, **changes: int) -> Callable[[], nn.Module]:
    return lambda: pytest.importorskip("timm").create_model(name, **changes)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], list[str]]] = {
    "resnet18": (
        models.resnet18,
        ["conv1", "layer1.0.bn1", "layer1.0.bn2", "layer2.0.downsample.0", "layer4.0.conv2", "layer4.1", "avgpool", "fc"],
    ),
    "mobilenet_v3_small": (
        models.mobilenet_v3_small,
        [
            "features.0.0",
            "features.1.block.1.fc1",
            "features.4.block.1.1",
            "features.8",
            "avgpool",
            "classifier.0",
            "classifier.3",
        ],
    ),
    "densenet121": (
        models.densenet121,
        ["features.conv0", "features.denseblock1.denselayer2.conv1", "features.transition2", "features.norm5", "classifier"],
    ),
    "vit_b_16": (
        lambda: models.vit_b_16(image_size=32),
        ["conv_proj", "encoder.layers.encoder_layer_0.ln_1", "encoder.layers.encoder_layer_0.self_attention"]
        + ["encoder.layers.encoder_layer_5.mlp.0", "encoder.layers.encoder_layer_11", "encoder.ln", "heads.head"],
    ),
    "vgg11": (models.vgg11, ["features.0", "features.1", "features.8", "features.20", "classifier.0", "classifier.6"]),
    "squeezenet1_1": (models.squeezenet1_1, ["features.0", "features.3.squeeze", "features.12", "classifier.1"]),
    "timm resnet10t": (of_timm("resnet10t"), ["conv1.0", "layer1.0.bn1", "layer3.0.act2", "layer4.0", "global_pool", "fc"]),
    "timm vit_tiny_patch16_224": (
        of_timm("vit_tiny_patch16_224", img_size=32),
        ["patch_embed.proj", "blocks.0.attn.qkv", "blocks.5.mlp.fc1", "blocks.11", "norm", "head"],
    ),
}


@dataclass
class Known:
    """A network, some of its layers in the order in which a pass reaches them, none inside another, and what they give."""

    network: nn.Module
    layers: list[str]
    values: dict[str, Tensor]

    def counted(self) -> dict[str, int]:
        """How often each layer starts, counted from now on in calls of its own forward; no hook is used."""
        calls = dict.fromkeys(self.layers, 0)
        for layer in self.layers:
            module = self.network.get_submodule(layer)

            def forward(*inputs: Tensor, layer: str = layer, whole: Callable[..., Tensor] = type(module).forward, **more: bool):
                calls[layer] += 1
                return whole(self.network.get_submodule(layer), *inputs, **more)

            module.forward = forward
        return calls


def hooks(network: nn.Module) -> int:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


def plainly(network: nn.Module, layers: list[str]) -> dict[str, Tensor]:
    """The first output of each layer, copied in a plain forward hook of a whole pass."""
    values: dict[str, Tensor] = {}

    def note(layer: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            values.setdefault(layer, (output[0] if isinstance(output, tuple) else output).clone())

        return hook

    handles = [network.get_submodule(layer).register_forward_hook(note(layer)) for layer in layers]
    network(IMAGE)
    for handle in handles:
        handle.remove()
    return values


@pytest.fixture(scope="module", params=NETWORKS)
def known(request: pytest.FixtureRequest) -> Known:
    torch.manual_seed(0)
    build, layers = NETWORKS[request.param]
    network = build().eval().requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained: neither 0 nor 1
            assert module.running_mean is not None
            module.running_mean.normal_(0, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    last = network.get_submodule(layers[-1])
    nn.init.normal_(last.weight, 0, 0.1)  # type: ignore[arg-type]  # transformers begin with a head of zeros
    return Known(network, layers, plainly(network, layers))


@pytest.fixture
def untouched(known: Known) -> Iterator[Known]:
    """The network, whose modules lose their own `forward` after the test."""
    yield known
    for module in known.network.modules():
        vars(module).pop("forward", None)


def test_layers_from_first_to_last_are_what_plain_hooks_give(known: Known) -> None:
    together = Probe(known.network, known.layers)(IMAGE)
    assert list(together) == known.layers
    for layer, expected in known.values.items():
        assert bool(expected.any()) and torch.equal(together[layer], expected), layer
        assert torch.equal(Probe(known.network, layer)(IMAGE)[layer], expected), layer
    assert hooks(known.network) == 0


def test_the_layers_may_be_asked_for_in_any_order(known: Known) -> None:
    backwards = Probe(known.network, known.layers[::-1])(IMAGE)
    assert list(backwards) == known.layers[::-1]
    assert all(torch.equal(backwards[layer], expected) for layer, expected in known.values.items())


def test_the_pass_runs_every_layer_up_to_the_deepest_and_none_after_it(untouched: Known) -> None:
    calls = untouched.counted()
    for place, layer in enumerate(untouched.layers):
        calls.update(dict.fromkeys(calls, 0))
        Probe(untouched.network, [layer, untouched.layers[0]])(IMAGE)
        assert [calls[one] > 0 for one in untouched.layers] == [True] * (place + 1) + [False] * (len(calls) - place - 1), layer


def test_an_error_inside_the_network_rises_as_it_is_and_leaves_no_hook(untouched: Known) -> None:
    network, layers = untouched.network, untouched.layers

    def broken(*inputs: Tensor) -> Tensor:
        raise RuntimeError("out of order")

    network.get_submodule(layers[-2]).forward = broken
    with pytest.raises(RuntimeError, match="out of order"):
        Probe(network, layers)(IMAGE)
    assert hooks(network) == 0
    assert torch.equal(Probe(network, layers[-3])(IMAGE)[layers[-3]], untouched.values[layers[-3]])


def test_a_layer_and_the_one_that_it_stands_in_come_from_one_pass() -> None:
    network, layers = models.mobilenet_v3_small().eval(), ["features.0.0", "features.0"]
    together, expected = Probe(network, layers)(IMAGE), plainly(network, layers)
    assert all(torch.equal(together[layer], expected[layer]) for layer in layers)
    assert not torch.equal(expected["features.0.0"], expected["features.0"])
