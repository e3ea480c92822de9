"""Addresses of transformers: tokens by name, patches of their grid, MLP neurons and attention heads; channels that come last."""

import pytest
import torch
from torch import nn
from torchvision import models

import ppgn
from ppgn.conditions import Latent, Unit, UnitAddress, Units
from ppgn.probe import Layer, Preprocessed, Probe, Tokens, heads_of, list_layers, tokens_of

TINY = {"img_size": 32, "patch_size": 8, "depth": 2, "embed_dim": 16, "num_heads": 2, "num_classes": 5}


def make_image(chains: int = 2, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(chains, 3, height, width, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


@pytest.fixture(scope="module")
def vit():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", **TINY).double().eval()  # class token and 4 x 4 patches


@pytest.fixture(scope="module")
def registers():
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    return timm.create_model("vit_small_patch14_reg4_dinov2", **TINY).double().eval()


def torchvision_vit() -> nn.Module:
    torch.manual_seed(2)
    return models.VisionTransformer(32, 8, 2, 2, 12, 24).double().eval()


def value_of(network: nn.Module, layer: str, image: torch.Tensor) -> torch.Tensor:
    return Layer(network, layer)(image).detach()


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("cls", lambda value: value[:, 0]),
        ("mean", lambda value: value[:, 1:].mean(1)),
        ("centre", lambda value: value[:, 1 + 2 * 4 + 2]),
        ("1,3", lambda value: value[:, 1 + 1 * 4 + 3]),
        ("6", lambda value: value[:, 6]),
    ],
)
def test_an_mlp_neuron_is_read_at_a_token_by_name_by_number_and_by_the_place_of_its_patch(vit, position, expected):
    image = make_image()
    value = value_of(vit, "blocks.1.mlp.fc1", image)
    read = Unit(vit, f"blocks.1.mlp.fc1:20@{position}")(image)
    assert torch.allclose(read, expected(value)[:, 20], rtol=0, atol=1e-12)


def test_registers_are_neither_class_nor_patches(registers):
    image = make_image()
    value = value_of(registers, "blocks.0.mlp.fc1", image)  # class, 4 registers, 16 patches
    assert torch.allclose(Unit(registers, "blocks.0.mlp.fc1:3@mean")(image), value[:, 5:, 3].mean(1), rtol=0, atol=1e-12)
    assert torch.allclose(Unit(registers, "blocks.0.mlp.fc1:3@0,1")(image), value[:, 6, 3], rtol=0, atol=1e-12)
    assert torch.allclose(Unit(registers, "blocks.0.mlp.fc1:3@4")(image), value[:, 4, 3], rtol=0, atol=1e-12)
    assert torch.allclose(Unit(registers, "blocks.0.mlp.fc1:3")(image), value[:, :, 3].mean(1), rtol=0, atol=1e-12)


def test_the_grid_of_patches_has_the_shape_of_the_networks_input():
    assert Tokens(1, True, (32, 64)).patches(33) == (1, (4, 8))
    assert Tokens(1, True, (32, 64)).patches(32) == (0, (4, 8))  # before the class token joins
    assert Tokens(1, True, (224, 224)).patches(50) == (1, (7, 7))
    assert Tokens(0, False, (224, 224)).patches(200) is None
    network = torchvision_vit()
    assert tokens_of(network, (32, 32)) == Tokens(1, True, (32, 32))
    tall = Probe(Preprocessed(network, (64, 32), 0.0, 1.0), "encoder.dropout").tokens(make_image())
    assert tall.patches(33) == (1, (8, 4))


def ablated(network: nn.Module, attention: str, projection: str, head: int, image: torch.Tensor) -> torch.Tensor:
    """The norm `[chain, token]` of what the output of attention loses when a head's columns of the projection are 0."""
    before = value_of(network, attention, image)
    weight = network.get_submodule(f"{attention}.{projection}").weight
    kept, width = weight.detach().clone(), weight.shape[1] // 2
    with torch.no_grad():
        weight[:, head * width : (head + 1) * width] = 0
        after = value_of(network, attention, image)
        weight.copy_(kept)
    return (before - after).norm(dim=2)


@pytest.mark.parametrize("fused", [True, False])
def test_a_head_of_timm_is_the_norm_of_what_attention_loses_without_it(vit, fused):
    image = make_image()
    for block in vit.blocks:
        block.attn.fused_attn = fused
    lost = ablated(vit, "blocks.1.attn", "proj", 1, image)
    assert lost.min() > 1e-4
    assert torch.allclose(Unit(vit, "blocks.1.attn:1@cls")(image), lost[:, 0], rtol=1e-9, atol=0)
    assert torch.allclose(Unit(vit, "blocks.1.attn:1@mean")(image), lost[:, 1:].mean(1), rtol=1e-9, atol=0)
    assert torch.allclose(Unit(vit, "blocks.1.attn:1@0,2")(image), lost[:, 3], rtol=1e-9, atol=0)


class TokensFirst(nn.Module):
    """torch's attention with tokens before chains, as open_clip's older models have it, in the place of one with chains first."""

    def __init__(self, own: nn.MultiheadAttention) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(own.embed_dim, own.num_heads).double()
        self.inner.load_state_dict(own.state_dict())

    def forward(self, query, key, value, need_weights):
        output, weights = self.inner(*(part.transpose(0, 1) for part in (query, key, value)), need_weights=need_weights)
        return output.transpose(0, 1), weights


@pytest.mark.parametrize("inner", ["", ".inner"])
def test_a_head_of_torchs_own_attention_is_the_same(inner):
    network = torchvision_vit()
    image = make_image()
    attention = "encoder.layers.encoder_layer_1.self_attention"
    if inner:
        network.encoder.layers[1].self_attention = TokensFirst(network.encoder.layers[1].self_attention).eval()
    lost = ablated(network, attention, f"{inner[1:]}.out_proj".lstrip("."), 0, image)
    assert torch.allclose(Unit(network, f"{attention}{inner}:0@cls")(image), lost[:, 0], rtol=1e-9, atol=0)


def test_heads_keep_their_gradient_in_one_pass_with_other_units(vit):
    image = make_image().requires_grad_()
    both = Units(vit, ["blocks.0.attn:0@cls", "blocks.1.mlp.fc1:3@mean"], weights=[2.0, -1.0])
    alone = 2 * Unit(vit, "blocks.0.attn:0@cls")(image) - Unit(vit, "blocks.1.mlp.fc1:3@mean")(image)
    assert torch.allclose(both(image), alone, rtol=0, atol=1e-12)
    gradient = torch.autograd.grad(both(image).sum(), image)[0]
    assert gradient.abs().sum() > 0 and gradient.isfinite().all()


def test_a_request_names_its_heads_and_tokens(vit):
    request = ppgn.unit(vit, "blocks.1.attn:0-1@cls")
    assert request.names == ("blocks.1.attn:0@cls", "blocks.1.attn:1@cls")
    assert ppgn.unit(vit, UnitAddress("blocks.1.mlp.fc1", 3, (1, 2))).names == ("blocks.1.mlp.fc1:3@1,2",)


def test_layers_are_listed_with_their_heads_and_features_of_attention_are_units_of_its_projection(vit):
    found = {layer.name: layer for layer in list_layers(vit, 32)}
    assert (found["blocks.0.attn"].heads, found["blocks.0.attn"].addressable) == (2, 2)
    assert (found["blocks.0.attn"].channels, found["blocks.0.attn.proj"].addressable) == (16, 16)
    assert found["blocks.0.mlp"].heads is None
    direction = Latent(vit, "blocks.0.attn", torch.eye(16)[:1].double(), torch.zeros(1), 0, position="cls")
    image = make_image()
    assert torch.allclose(direction(image), Unit(vit, "blocks.0.attn.proj:0@cls")(image), rtol=0, atol=1e-12)


class Last(nn.Module):
    """ConvNeXt's order: convolution, then norm and MLP with channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(4)
        self.mlp = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4))

    def forward(self, image):
        return self.mlp(self.norm(self.conv(image).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


def test_maps_of_linear_layers_and_what_follows_them_have_channels_last():
    torch.manual_seed(0)
    network = nn.Sequential(Last(), nn.ReLU(), nn.Conv2d(4, 4, 1)).double().eval()
    image = make_image(2, 8, 8)
    found = {layer.name: layer.channels for layer in list_layers(network, 8)}
    assert found == {
        "0.conv": 4, "0.norm": 4, "0.mlp.0": 6, "0.mlp.1": 6, "0.mlp.2": 4, "0.mlp": 4, "0": 4, "1": 4, "2": 4,
    }  # fmt: skip
    value = value_of(network, "0.mlp.1", image)
    assert value.shape == (2, 6, 6, 6)
    assert torch.allclose(Unit(network, "0.mlp.1:5@2,3")(image), value[:, 2, 3, 5], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("blocks.1.attn:2@cls", "heads of the layer 'blocks.1.attn' got the target 2, expected 0 to 1: choose one of the 2"),
        ("blocks.1.mlp.fc1:64", "units of the layer 'blocks.1.mlp.fc1' got the target 64, expected 0 to 63"),
        ("blocks.1.mlp.fc3:6", r"has no layer 'blocks.1.mlp.fc3', expected a name such as blocks.1.mlp.fc[12]"),
        ("blocks.1.mlp.fc1:6@4,0", r"position 4,0, expected one inside its map of \(4, 4\)"),
        ("blocks.1.mlp.fc1:6@17", "position 17, expected one of its 17 tokens, 4 x 4 of them patches, and a class token"),
        (
            "patch_embed:6@cls",
            "position cls, expected one of its 16 tokens, 4 x 4 of them patches, and no class token: write",
        ),
        ("head:0@cls", "position cls, expected .* the layer is no map"),
        ("patch_embed.proj:0@cls", r"position cls, expected one inside its map of \(4, 4\)"),
    ],
)
def test_wrong_layers_units_heads_and_positions_say_what_there_is(vit, address, message):
    with pytest.raises(ValueError, match=message):
        Unit(vit, address)(make_image())


def test_a_probe_without_heads_and_attention_with_a_mask_are_refused():
    network = torchvision_vit()
    attention = "encoder.layers.encoder_layer_0.self_attention"
    with pytest.raises(ValueError, match="whose heads the probe does not take, expected them: make the probe with heads=True"):
        Unit(Probe(network, attention), f"{attention}:0")
    with pytest.raises(ValueError, match="whose output the probe does not take, expected them: make the probe with heads=False"):
        Layer(Probe(network, attention, heads=True), attention)
    masked = nn.MultiheadAttention(4, 2, batch_first=True)
    found = heads_of(masked)
    assert found is not None and heads_of(nn.Linear(2, 2)) is None
    tokens = torch.rand(1, 3, 4)
    with pytest.raises(ValueError, match="with attn_mask were asked for"):
        found.read((tokens, tokens, tokens), {"attn_mask": torch.zeros(3, 3)})


def test_attention_in_windows_is_refused_by_name():
    timm = pytest.importorskip("timm")
    network = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=32, window_size=4, embed_dim=8, depths=(1,), num_heads=(2,), num_classes=3
    ).eval()
    with pytest.raises(ValueError, match="has 8 values for 2 chains, expected one each"):
        Unit(network, "layers.0.blocks.0.attn:0")(make_image().float())
    value = value_of(network, "layers.0.blocks.0", make_image().float())  # [chain, row, column, channel]
    assert torch.allclose(Unit(network, "layers.0.blocks.0:3@1,2")(make_image().float()), value[:, 1, 2, 3])
