"""The probe: what it sees, and what it leaves behind (on whole networks: test_probe_networks.py)."""

import gc
import threading
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ppgn.probe import Layer, Preprocessed, Probe, list_layers

NETWORKS = {
    "resnet18": (models.resnet18, ["conv1", "layer1.0.bn1", "layer1.0.bn2", "layer2.0", "layer4.1.conv2", "fc"]),
    "vgg11": (models.vgg11, ["features.0", "features.1", "features.8", "features.20", "classifier.0"]),
    "squeezenet1_1": (models.squeezenet1_1, ["features.0", "features.3.squeeze", "features.12", "classifier.1"]),
    "mobilenet_v3_small": (models.mobilenet_v3_small, ["features.0.0", "features.0", "features.5", "classifier.0"]),
    "densenet121": (models.densenet121, ["features.conv0", "features.denseblock1", "features.norm5", "classifier"]),
    "vit_b_16": (lambda: models.VisionTransformer(32, 16, 2, 2, 12, 24), ["conv_proj", "encoder.layers.encoder_layer_1.mlp.0"]),
}


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name][0]().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained: neither 0 nor 1
            module.running_mean.normal_(0, 0.1)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return network


def picture(chains: int = 2, size: int = 32) -> Tensor:
    return torch.rand(chains, 3, size, size, generator=torch.Generator().manual_seed(1))


def out_of_place(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return network


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


@pytest.mark.parametrize("name", ["resnet18", "vgg11"])
def test_activations_in_place_change_neither_values_nor_gradients(name):
    layers, image = NETWORKS[name][1], picture()
    found = []
    for network in (build(name), out_of_place(build(name))):
        leaf = image.clone().requires_grad_()
        values = Probe(network, layers)(leaf)
        total = sum((value**2).mean() for value in values.values())
        found.append((values, torch.autograd.grad(total, leaf)[0]))
    (got, got_gradient), (expected, expected_gradient) = found
    assert all(torch.equal(got[layer], expected[layer]) for layer in layers)
    assert torch.allclose(got_gradient, expected_gradient, rtol=1e-5, atol=1e-9)
    assert bool(got_gradient.any())


def test_the_raw_value_before_an_activation_in_place_is_negative_somewhere():
    values = Probe(build("vgg11"), ["features.0", "features.3"])(picture())
    assert bool((values["features.0"] < 0).any())


class Functional(nn.Module):
    """Activations as functions, in place, with a module used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.relu = nn.ReLU(inplace=True)
        self.calls: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.first(x), inplace=True)
        self.calls.append("second")
        hidden = self.relu(self.second(hidden))
        return self.relu(hidden - 1).tanh_()


def test_before_and_after_are_the_two_sides_of_functions_and_modules():
    torch.manual_seed(0)
    network, x = Functional().eval(), torch.randn(5, 4)
    raw = network.first(x)
    raw_second = network.second(raw.relu())
    cases = [("first", None, raw), ("first", "before", raw), ("first", "after", raw.relu()), ("relu", None, raw_second.relu())]
    cases += [("relu", "before", raw_second), ("relu", "after", raw_second.relu()), ("second", "after", raw_second.relu())]
    for layer, side, expected in cases:
        assert torch.equal(Layer(network, layer, activation=side)(x), expected), (layer, side)
    both = Probe(network, ["first", "second"], activation="after")(x)
    assert torch.equal(both["first"], raw.relu()) and torch.equal(both["second"], raw_second.relu())


def test_before_and_after_on_a_real_network_differ_by_the_activation():
    network, image = build("resnet18"), picture()
    with torch.no_grad():
        for layer in ("bn1", "layer1.0.bn1"):
            before, after = (Layer(network, layer, activation=side)(image) for side in ("before", "after"))
            assert torch.equal(after, before.relu()) and not torch.equal(after, before)
        block_before, block = (Layer(network, "layer2.0", activation=side)(image) for side in ("before", None))
        assert torch.equal(block, block_before.relu()) and not torch.equal(block, block_before)


KINDS = [nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Sigmoid, nn.Tanh]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_activation_is_recognised(kind):
    network, x = nn.Sequential(nn.Linear(3, 3), kind()).eval(), torch.randn(2, 3)
    assert torch.equal(Layer(network, "0", activation="after")(x), network(x))
    assert torch.equal(Layer(network, "1", activation="before")(x), network[0](x))


def test_the_pass_stops_at_the_deepest_layer_asked_for():
    network, x = Functional().eval(), torch.randn(2, 4)
    Probe(network, "first")(x)
    Probe(network, "first", activation="after")(x)
    assert network.calls == []
    Probe(network, ["second", "first"])(x)
    assert network.calls == ["second"]


class Breaks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("out of order")


@pytest.mark.parametrize("side", [None, "before", "after"])
def test_hooks_are_gone_after_an_error_inside_the_network(side):
    network = nn.Sequential(nn.Linear(3, 3), Breaks(), nn.ReLU()).eval()
    with pytest.raises(RuntimeError, match="out of order"):
        Probe(network, ["0", "2"], activation=side)(torch.zeros(1, 3))
    assert hooks(network) == 0
    assert not torch.overrides._get_current_function_mode_stack()


def test_a_probe_inside_a_probed_network_does_not_catch_the_outer_ones_end():
    inner = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)).eval()

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = inner, nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(Layer(self.inner, "1")(x))

    outer, x = Outer().eval(), torch.randn(1, 3)
    assert torch.equal(Layer(outer, "inner.0")(x), inner[0](x))
    assert torch.equal(Layer(outer, "head")(x), outer.head(inner(x)))


def test_another_threads_pass_through_the_same_network_is_left_alone():
    network = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)).eval()
    found: list[Tensor] = []

    class Between(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if threading.current_thread() is threading.main_thread():
                thread = threading.Thread(target=lambda: found.append(network(torch.ones(1, 3))))
                thread.start()
                thread.join()
            return x

    network.insert(0, Between().eval())
    mine = Layer(network, "3")(torch.zeros(1, 3))
    assert torch.equal(found[0], network[1:](torch.ones(1, 3)))
    assert torch.equal(mine, network[1:](torch.zeros(1, 3)))


def test_an_unknown_layer_is_refused_with_the_three_nearest_names():
    with pytest.raises(ValueError, match=r"no layer 'layer4.1.conv3', expected a name such as layer4.1.conv2, layer4.1.conv1"):
        Probe(build("resnet18"), "layer4.1.conv3")


def test_what_cannot_be_probed_is_refused_with_its_reason():
    network, x = Functional().eval(), torch.zeros(1, 4)
    network.add_module("idle", nn.Linear(4, 4).eval())
    with pytest.raises(ValueError, match="'idle' was not used"):
        Probe(network, ["first", "idle"])(x)
    with pytest.raises(ValueError, match="no activation got the output of the layer '1'"):
        Probe(nn.Sequential(nn.ReLU(), nn.Linear(4, 4)).eval(), "1", activation="after")(x)
    with pytest.raises(ValueError, match="expected at least one"):
        Probe(network, [])
    with pytest.raises(ValueError, match="expected 'before', 'after' or None"):
        Probe(network, "first", activation="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'second' is not among the probe's"):
        Layer(Probe(network, "first"), "second")
    with pytest.raises(ValueError, match="expected the probe's own None"):
        Layer(Probe(network, "first"), "first", activation="after")
    with pytest.raises(ValueError, match="modules in train mode"):
        Probe(network.train(), "first")(x)


class Dictionary(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": x}


class Words(nn.Module):
    def forward(self, x: Tensor) -> list[str]:
        return ["logits"]


def test_a_layer_that_returns_a_tuple_or_dict_gives_its_first_tensor_and_one_without_a_tensor_is_refused():
    network, x = nn.Sequential(nn.LSTM(4, 3, batch_first=True)).eval(), torch.randn(2, 5, 4)
    assert torch.equal(Layer(network, "0")(x), network(x)[0])
    assert torch.equal(Layer(nn.Sequential(Dictionary()).eval(), "0")(x), x)
    broken = nn.Sequential(Words()).eval()
    with pytest.raises(ValueError, match="'0' returned list, expected a tensor"):
        Probe(broken, "0")(x)
    assert hooks(broken) == 0


def test_a_shared_probe_runs_once_per_image_tensor_and_again_when_it_changes():
    network, x = Functional().eval(), torch.randn(2, 4)
    probe = Probe(network, ["first", "second"], shared=True)
    first, second = Layer(probe, "first"), Layer(probe, "second")
    with torch.no_grad():
        first(x), second(x)
        assert len(network.calls) == 1
        x.add_(1)
        assert torch.equal(second(x), Layer(network, "second")(x)) and torch.equal(first(x), network.first(x))
        assert len(network.calls) == 3
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        first(leaf)
    assert torch.autograd.grad((first(leaf) + second(leaf)).sum(), leaf)[0].shape == x.shape


def test_no_value_or_hook_outlives_a_pass():
    network, image = build("vgg11"), picture().requires_grad_()
    probe = Probe(network, ["features.0", "features.5"])
    gc.collect()
    gc.disable()  # so that a cycle would show
    try:
        values = [weakref.ref(value) for value in probe(image).values()]
        assert [value() for value in values] == [None, None]
    finally:
        gc.enable()
    assert hooks(network) == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_the_layer_list_names_layers_with_the_shapes_that_a_probe_gives(name):
    network = build(name)
    layers = list_layers(network, 32)
    assert hooks(network) == 0
    assert {layer.name for layer in layers} >= set(NETWORKS[name][1])
    with torch.no_grad():
        for layer in layers[:: max(1, len(layers) // 6)]:
            value = Layer(network, layer.name)(picture(1))
            assert value.shape[1:] == layer.shape and value[0].numel() == layer.units, layer


def test_the_layer_list_of_resnet18_starts_with_its_first_convolution_and_ends_with_its_logits():
    layers = list_layers(build("resnet18"), 32)
    first, last = layers[0], layers[-1]
    assert (first.name, first.kind, first.shape, first.channels, first.units) == ("conv1", "Conv2d", (64, 16, 16), 64, 16384)
    assert (last.name, last.shape, last.channels, last.units) == ("fc", (1000,), 1000, 1000)


def test_preprocessed_resizes_reverses_and_normalises_and_keeps_the_layers_names():
    network = nn.Sequential(nn.Conv2d(3, 2, 1)).double()
    image = torch.rand(2, 3, 8, 6, dtype=torch.float64)
    mean, std = (torch.tensor(values, dtype=torch.float64).reshape(3, 1, 1) for values in ([0.4, 0.5, 0.6], [0.1, 0.2, 0.3]))
    small = functional.interpolate(image, (4, 3), mode="bilinear", antialias=True).flip(1)
    expected = network((small - mean) / std)
    preprocessed = Preprocessed(network, (4, 3), [0.4, 0.5, 0.6], [0.1, 0.2, 0.3], bgr=True)
    assert torch.allclose(preprocessed(image), expected, rtol=0, atol=1e-12)
    assert torch.equal(Layer(preprocessed, "0")(image), preprocessed(image))
    assert [(layer.name, layer.shape) for layer in list_layers(preprocessed, 16)] == [("0", (2, 4, 3))]


def test_preprocessed_puts_a_network_into_eval_mode_and_makes_no_weight_gradients():
    network = models.resnet18().train()
    preprocessed = Preprocessed(network, 32, 0.5, 0.25)
    assert not any(module.training for module in network.modules())
    leaf = picture().requires_grad_()
    preprocessed(leaf)[:, 3].sum().backward()
    assert all(weight.grad is None for weight in network.parameters())
    assert leaf.grad is not None and bool(leaf.grad.any())
    network.bn1.train()
    with pytest.raises(ValueError, match=r"1 modules in train mode \(bn1 first\)"):
        preprocessed(picture())
