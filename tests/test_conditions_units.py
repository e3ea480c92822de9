"""Conditions on hidden units against closed forms, finite differences and plain forward passes."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from ppgn.checks import check_condition
from ppgn.conditions import ClassLogit, Direction, Unit, UnitAddress, Units
from ppgn.probe import Preprocessed, Probe

CENTRE = (2, 2)  # of the 4x4 maps below


def make_network() -> nn.Sequential:
    """Conv, in-place ReLU, conv, in-place ReLU, linear; smooth, known weights."""
    layers = [nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(5, 4, 3, padding=1), nn.ReLU(inplace=True)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64, 6)).double().eval()
    for index, weight in enumerate(network.parameters()):
        weight.data = 0.4 * torch.sin(torch.arange(weight.numel(), dtype=torch.float64) * 1.7 + index).reshape(weight.shape)
    return network


def make_image(chains: int = 3) -> Tensor:
    return (0.5 + 0.5 * torch.cos(torch.arange(chains * 48, dtype=torch.float64) ** 1.5)).reshape(chains, 3, 4, 4)


def gradient_of(condition, image: Tensor) -> Tensor:
    leaf = image.clone().requires_grad_()
    return torch.autograd.grad(condition(leaf).sum(), leaf)[0]


def agrees_with_finite_differences(condition, image: Tensor) -> bool:
    return torch.autograd.gradcheck(condition, image.clone().requires_grad_(), eps=1e-6, atol=1e-7, rtol=1e-5)


NETWORK = make_network()
CONCEPT = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)
WHOLE = torch.linspace(-1, 1, 64, dtype=torch.float64).reshape(4, 4, 4)
TRUE_GRADIENTS = {
    "logit": ClassLogit(NETWORK, 2),
    "unit": Unit(NETWORK, "5:3"),
    "unit log softmax": Unit(NETWORK, "5:3", measure="log_softmax"),
    "position": Unit(NETWORK, "2:1@3,0"),
    "position log softmax": Unit(NETWORK, "2:1@centre", measure="log_softmax"),
    "channel mean": Unit(NETWORK, "2:2"),
    "channel mean log softmax": Unit(NETWORK, "2:2", measure="log_softmax"),
    "after": Unit(NETWORK, "0:0", activation="after"),
    "before": Unit(NETWORK, "3:2@1,1", activation="before"),
    "several": Units(NETWORK, ["0:1", "2:3@centre", "5:0"], weights=[1.0, -0.5, 2.0]),
    "several log softmax": Units(NETWORK, ["2:3@centre", "5:0"], measure="log_softmax"),
    "direction": Direction(NETWORK, "2", CONCEPT),
    "direction at": Direction(NETWORK, "2", CONCEPT, position="centre"),
    "direction cosine": Direction(NETWORK, "2", CONCEPT, cosine=True),
    "direction whole": Direction(NETWORK, "2", WHOLE),
}
RELEASED = {
    "unit released": Unit(NETWORK, "5:3", measure="released"),
    "centre released": Unit(NETWORK, "2:1@centre", measure="released", activation="before"),
    "several released": Units(NETWORK, ["2:3@centre", "5:0"], measure="released"),
}


@pytest.mark.parametrize("name", TRUE_GRADIENTS)
def test_the_gradient_agrees_with_finite_differences(name):
    assert agrees_with_finite_differences(TRUE_GRADIENTS[name], make_image(2))


@pytest.mark.parametrize("name", [*TRUE_GRADIENTS, *RELEASED])
def test_unit_conditions_keep_the_contract(name):
    check_condition({**TRUE_GRADIENTS, **RELEASED}[name], make_image(), tolerance=1e-10)


def test_each_address_reads_the_activation_that_a_plain_pass_gives():
    image = make_image()
    first, second, logits = NETWORK[:1](image), NETWORK[:3](image), NETWORK(image)
    cases = [("0:4@1,2", first[:, 4, 1, 2]), ("2:1@centre", second[:, 1, 2, 2]), ("2:3", second[:, 3].mean((1, 2)))]
    cases += [("3:3", second[:, 3].relu().mean((1, 2))), ("5:0", logits[:, 0]), ("0:1,4,0@0,3", first[range(3), [1, 4, 0], 0, 3])]
    cases += [("0:2-4", torch.stack([first[chain, 2 + chain].mean() for chain in range(3)]))]
    for address, expected in cases:
        assert torch.allclose(Unit(NETWORK, address)(image), expected, rtol=0, atol=1e-14), address
    assert torch.equal(ClassLogit(NETWORK, [1, 0, 5])(image), logits[range(3), [1, 0, 5]])


def test_the_softmax_is_over_channels_at_the_position_or_of_the_means():
    image = make_image()
    maps = NETWORK[:3](image)
    at = Unit(NETWORK, "2:1@centre", measure="log_softmax")(image)
    mean = Unit(NETWORK, "2:1", measure="log_softmax")(image)
    assert torch.allclose(at, maps[:, :, *CENTRE].softmax(1)[:, 1].log(), rtol=0, atol=1e-14)
    assert torch.allclose(mean, maps.mean((2, 3)).softmax(1)[:, 1].log(), rtol=0, atol=1e-14)


def test_the_released_unit_has_the_value_of_log_softmax_and_one_minus_p_times_the_activations_gradient():
    image = make_image()
    released, true = Unit(NETWORK, "2:1@centre", measure="released"), Unit(NETWORK, "2:1@centre", measure="log_softmax")
    assert torch.allclose(released(image), true(image), rtol=0, atol=1e-14)
    p = NETWORK[:3](image)[:, :, *CENTRE].softmax(1)[:, 1]
    expected = (1 - p)[:, None, None, None] * gradient_of(Unit(NETWORK, "2:1@centre"), image)
    assert torch.allclose(gradient_of(released, image), expected, rtol=0, atol=1e-13)
    assert not torch.allclose(expected, gradient_of(true, image), atol=1e-3)


def test_a_whole_layer_gives_each_chain_its_own_unit():
    image = make_image(1).expand(4, -1, -1, -1)
    whole = Unit(NETWORK, "2:*")(image)
    single = torch.cat([Unit(NETWORK, f"2:{unit}")(image[:1]) for unit in range(4)])
    assert torch.equal(whole, NETWORK[:3](image)[0].mean((1, 2)))
    assert torch.allclose(whole, single, rtol=0, atol=1e-14)
    released = Unit(NETWORK, "2:*@centre", measure="released")
    apart = torch.cat([gradient_of(Unit(NETWORK, f"2:{unit}@centre", measure="released"), image[:1]) for unit in range(4)])
    assert torch.allclose(gradient_of(released, image), apart, rtol=0, atol=1e-13)


def test_several_units_are_the_weighted_sum_of_each_in_one_pass():
    image, addresses, weights = make_image(), ["0:1", "2:3@centre", "2:0", "5:0"], [1.0, -0.5, 3.0, 2.0]
    passes = []
    NETWORK[0].register_forward_pre_hook(lambda *_: passes.append(1))
    together = Units(NETWORK, addresses, weights=weights)(image)
    NETWORK[0]._forward_pre_hooks.clear()
    assert len(passes) == 1
    expected = sum(weight * Unit(NETWORK, address)(image) for weight, address in zip(weights, addresses, strict=True))
    assert torch.allclose(together, expected, rtol=0, atol=1e-14)


def test_conditions_on_a_shared_probe_cost_one_pass():
    probe, image, passes = Probe(NETWORK, ["0", "2"], shared=True), make_image(), []
    NETWORK[0].register_forward_pre_hook(lambda *_: passes.append(1))
    values = [Unit(probe, "0:1")(image), Units(probe, ["2:1", "0:2"])(image), Direction(probe, "2", CONCEPT)(image)]
    NETWORK[0]._forward_pre_hooks.clear()
    assert len(passes) == 1
    plain = [Unit(NETWORK, "0:1")(image), Units(NETWORK, ["2:1", "0:2"])(image), Direction(NETWORK, "2", CONCEPT)(image)]
    assert all(torch.allclose(got, expected, rtol=0, atol=1e-14) for got, expected in zip(values, plain, strict=True))


def test_a_direction_is_the_dot_product_with_the_vector_or_with_the_whole_layer():
    image = make_image()
    maps = NETWORK[:3](image)
    assert torch.allclose(Direction(NETWORK, "2", CONCEPT)(image), maps.mean((2, 3)) @ CONCEPT, rtol=0, atol=1e-14)
    at = Direction(NETWORK, "2", CONCEPT, position=(0, 3))(image)
    assert torch.allclose(at, maps[:, :, 0, 3] @ CONCEPT, rtol=0, atol=1e-14)
    assert torch.allclose(Direction(NETWORK, "2", WHOLE)(image), (maps * WHOLE).sum((1, 2, 3)), rtol=0, atol=1e-13)
    mean = maps.mean((2, 3))
    cosine = (mean @ CONCEPT) / (mean.norm(dim=1) * CONCEPT.norm())
    assert torch.allclose(Direction(NETWORK, "2", CONCEPT, cosine=True)(image), cosine, rtol=0, atol=1e-13)


def test_a_direction_along_one_channel_is_that_unit_and_its_tensor_is_copied():
    image, one_hot = make_image(), torch.eye(4, dtype=torch.float64)[1]
    condition = Direction(NETWORK, "2", one_hot)
    one_hot.zero_()
    assert torch.allclose(condition(image), Unit(NETWORK, "2:1")(image), rtol=0, atol=1e-14)


def test_tokens_have_their_channels_last_and_other_orders_are_named_by_axis():
    torch.manual_seed(0)
    network = models.VisionTransformer(32, 16, 1, 2, 12, 24).double().eval()
    image = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    tokens = network.encoder.dropout(network.conv_proj(image).flatten(2).transpose(1, 2))
    tokens = torch.cat([network.class_token.expand(2, -1, -1), tokens], 1) + network.encoder.pos_embedding
    assert torch.allclose(Unit(network, "encoder.dropout:7@2")(image), tokens[:, 2, 7], rtol=0, atol=1e-12)
    assert torch.allclose(Unit(network, "encoder.dropout:7")(image), tokens[:, :, 7].mean(1), rtol=0, atol=1e-12)
    other = Unit(network, "encoder.dropout:2@7", channel_axis=1)
    assert torch.allclose(other(image), tokens[:, 2, 7], rtol=0, atol=1e-12)


REAL = {
    "resnet18": (models.resnet18, "layer2.0.conv2:5@centre"),
    "vgg11": (models.vgg11, "features.3:7@1,2"),
    "squeezenet1_1": (models.squeezenet1_1, "features.6:11"),
}


@pytest.mark.parametrize("measure", ["activation", "log_softmax"])
@pytest.mark.parametrize("name", REAL)
def test_a_unit_of_a_real_network_has_the_gradient_of_finite_differences_and_makes_no_weight_gradient(name, measure):
    torch.manual_seed(0)
    build, address = REAL[name]
    seen = Preprocessed(build().double(), 32, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    condition, image, shift = (
        Unit(seen, address, measure=measure),
        torch.rand(2, 3, 24, 24).double(),
        torch.randn(2, 3, 24, 24).double(),
    )
    width = 1e-6
    numeric = (condition(image + width * shift) - condition(image - width * shift)) / (2 * width)
    analytic = (gradient_of(condition, image) * shift).sum((1, 2, 3))
    assert torch.allclose(analytic, numeric, rtol=1e-4, atol=1e-8)
    assert float(analytic.abs().min()) > 1e-6
    assert all(weight.grad is None and not weight.requires_grad for weight in seen.network.parameters())
    check_condition(condition, image, tolerance=1e-8)


def test_addresses_are_read_from_text():
    cases = {
        "fc:17": UnitAddress("fc", 17),
        "layer4.1.conv2:17@3,5": UnitAddress("layer4.1.conv2", 17, (3, 5)),
        "blocks.3:8@4": UnitAddress("blocks.3", 8, (4,)),
        "conv5:17@centre": UnitAddress("conv5", 17, "centre"),
        "conv5:3,8,9": UnitAddress("conv5", (3, 8, 9)),
        "conv5:2-4@0,0": UnitAddress("conv5", (2, 3, 4), (0, 0)),
        "conv5:*": UnitAddress("conv5", None),
    }
    assert {text: UnitAddress.parse(text) for text in cases} == cases


@pytest.mark.parametrize("text", ["fc", "fc:", ":3", "fc:-1", "fc:a", "fc:1@", "fc:1@middle", "fc:1,", "fc:1-", "fc:1.5"])
def test_other_text_is_refused_as_an_address(text):
    with pytest.raises(ValueError, match="as a unit, expected layer:unit"):
        Unit(NETWORK, text)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (lambda: Unit(NETWORK, "2:4"), "layer '2' got the target 4, expected 0 to 3"),
        (lambda: Unit(NETWORK, "5:6"), "layer '5' got the target 6, expected 0 to 5"),
        (lambda: Unit(NETWORK, "2:*"), "layer '2' got 4 targets for 3 chains"),
        (lambda: Unit(NETWORK, "2:0@4,0"), r"position 4,0, expected one inside its map of \(4, 4\)"),
        (lambda: Unit(NETWORK, "2:0@1"), r"position 1, expected one inside its map of \(4, 4\)"),
        (lambda: Unit(NETWORK, "5:0@centre"), "leave it out, the layer is no map"),
        (lambda: Unit(NETWORK, "2:0", channel_axis=4), "expected a channel axis 4"),
        (lambda: Unit(NETWORK, "2:0", channel_axis=0), "expected a channel axis 0"),
        (lambda: Unit(NETWORK, "2:0", measure="softmax"), "got the measure 'softmax', expected one of"),  # type: ignore[arg-type]
        (lambda: Unit(NETWORK, "7:0"), "no layer '7', expected a name such as"),
        (lambda: Unit(NETWORK, "2:4-3"), "counts from 4 to 3"),
        (lambda: Units(NETWORK, "2:0"), "expected a list of at least one address"),
        (lambda: Units(NETWORK, []), "expected a list of at least one address"),
        (lambda: Units(NETWORK, ["2:0"], weights=[1, 2]), "and 2 weights"),
        (lambda: Units(Probe(NETWORK, "2"), ["2:0", "5:0"]), "'5' is not among the probe's"),
        (lambda: Direction(NETWORK, "2", torch.ones(5)), r"got shape \(5,\), expected \(4,\)"),
    ],
)
def test_what_does_not_fit_the_layer_is_refused(condition, message):
    with pytest.raises(ValueError, match=message):
        condition()(make_image())
