"""What is worth asking of networks of known families: every preset runs at a small size, in every library."""

import functools
import json

import pytest
import torch
from torch import nn
from torchvision import models

import ppgn
from ppgn import loaders
from ppgn.cli import main
from ppgn.probe import Preprocessed

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
VIT = {"img_size": 32, "patch_size": 8, "depth": 4, "embed_dim": 16, "num_heads": 2, "num_classes": 5}
TOWER = {
    "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
MLP = ("blocks.1.mlp.fc1", "blocks.2.mlp.fc1")
LAYER = ("encoder.layer.1.mlp.fc1", "encoder.layer.2.mlp.fc1")
LAYERS = ("encoder.layers.1.mlp.fc1", "encoder.layers.2.mlp.fc1")


def timm(name, **options):
    return pytest.importorskip("timm").create_model(name, **options)


def transformers(name, **options):
    library = pytest.importorskip("transformers")
    return getattr(library, f"{name}Model")(getattr(library, f"{name}Config")(**options))


def efficientnet():
    return models.EfficientNet([models.efficientnet.MBConvConfig(1, 3, s, 8, 8, 1) for s in (1, 2, 2)], 0.0, num_classes=5)


def convnext():
    return models.ConvNeXt([models.convnext.CNBlockConfig(8, 8 if place < 3 else None, 1) for place in range(4)], num_classes=5)


FAMILIES = {
    "torchvision resnet18": (models.resnet18, "ResNet", ("layer2", "layer3", "layer4"), IMAGENET),
    "torchvision convnext": (convnext, "ConvNeXt", ("features.3", "features.5", "features.7"), IMAGENET),
    "torchvision efficientnet": (efficientnet, "EfficientNet", ("features.1", "features.2", "features.4"), IMAGENET),
    "torchvision vit": (
        lambda: models.VisionTransformer(32, 8, 4, 2, 12, 24), "ViT",
        ("encoder.layers.encoder_layer_1.mlp.0", "encoder.layers.encoder_layer_2.mlp.0"), IMAGENET,
    ),
    "timm resnet18": (lambda: timm("resnet18", zero_init_last=False), "ResNet", ("layer2", "layer3", "layer4"), IMAGENET),
    "timm convnext_tiny": (
        lambda: timm("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), "ConvNeXt", ("stages.1", "stages.2", "stages.3"),
        IMAGENET,
    ),
    "timm efficientnet_lite0": (
        lambda: timm("efficientnet_lite0"), "EfficientNet", ("blocks.1", "blocks.3", "blocks.6"), IMAGENET,
    ),
    "timm vit": (lambda: timm("vit_tiny_patch16_224", **VIT), "ViT", MLP, HALVES),
    "timm dinov2": (lambda: timm("vit_small_patch14_reg4_dinov2", **VIT), "ViT", MLP, IMAGENET),
    "timm dinov2 giant": (
        lambda: timm("vit_giant_patch14_dinov2", **VIT | {"embed_dim": 24}), "ViT",
        ("blocks.1.mlp.norm", "blocks.2.mlp.norm"), IMAGENET,
    ),
    "timm dinov3": (lambda: timm("vit_small_patch16_dinov3", **VIT), "ViT", MLP, IMAGENET),
    "timm siglip": (lambda: timm("vit_base_patch16_siglip_224", **VIT), "ViT", MLP, HALVES),
    "timm clip": (lambda: timm("vit_base_patch16_clip_224", **VIT), "ViT", MLP, CLIP),
    "transformers resnet": (
        lambda: transformers("ResNet", embedding_size=8, **STAGES), "ResNet",
        ("encoder.stages.1", "encoder.stages.2", "encoder.stages.3"), IMAGENET,
    ),
    "transformers convnext": (
        lambda: transformers("ConvNext", **STAGES), "ConvNeXt",
        ("encoder.stages.1", "encoder.stages.2", "encoder.stages.3"), IMAGENET,
    ),
    "transformers dinov3 convnext": (
        lambda: transformers("DINOv3ConvNext", **STAGES), "ConvNeXt",
        ("model.stages.1", "model.stages.2", "model.stages.3"), IMAGENET,
    ),
    "transformers efficientnet": (
        lambda: transformers("EfficientNet", width_coefficient=0.1, depth_coefficient=0.1, depth_divisor=4, hidden_dim=128),
        "EfficientNet", ("encoder.blocks.1", "encoder.blocks.3", "encoder.blocks.6"), IMAGENET,
    ),
    "transformers vit": (
        lambda: transformers("ViT", **TOWER), "ViT", ("layers.1.mlp.fc1", "layers.2.mlp.fc1"), HALVES,
    ),
    "transformers dinov2": (lambda: transformers("Dinov2", **TOWER), "DINO", LAYER, IMAGENET),
    "transformers dinov2 with registers": (lambda: transformers("Dinov2WithRegisters", **TOWER), "DINO", LAYER, IMAGENET),
    "transformers dinov3": (
        lambda: transformers("DINOv3ViT", num_register_tokens=4, **TOWER), "DINO",
        ("model.layer.1.mlp.up_proj", "model.layer.2.mlp.up_proj"), IMAGENET,
    ),
    "transformers siglip": (lambda: transformers("SiglipVision", **TOWER), "SigLIP", LAYERS, HALVES),
    "transformers clip": (lambda: transformers("CLIPVision", **TOWER), "CLIP", LAYERS, CLIP),
}  # fmt: skip


@functools.cache
def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = FAMILIES[name][0]().double().eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    norms = [layer.train() for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of two pictures, as gradients of deep networks underflow without any
    with torch.no_grad():
        network(torch.rand(2, 3, 32, 32, dtype=torch.float64))
    return network.eval()


def moved(network: Preprocessed, address: str, activation) -> float:
    """How much a small step along the gradient of a unit raises it, relative to what the gradient promises."""
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    asked = ppgn.unit(network, address, activation=activation).condition(ppgn.probe.Passes({}))
    value = asked(image)
    gradient = torch.autograd.grad(value.sum(), image)[0]
    assert gradient.isfinite().all() and float(gradient.norm()) > 0, address
    step = 1e-6 / float(gradient.norm())
    return float(asked((image + step * gradient).detach()) - value.detach()) / (step * float(gradient.square().sum()))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_preset_names_layers_whose_units_climb_by_their_gradient(name) -> None:
    _, family, layers, (mean, std) = FAMILIES[name]
    network = made(name)
    found = loaders.preset(network)
    assert found is not None
    assert (found.family, found.layers, found.mean, found.std) == (family, layers, mean, std)
    transformer = "mlp" in layers[0]
    assert (found.position, found.channel_axis) == (("mean", 2) if transformer else (None, 1))
    assert len(found.attention) == (2 if transformer else 0)
    seen = Preprocessed(network, 32, found.mean, found.std)
    for address in (*found.addresses(1), *(f"{layer}:1@mean" for layer in found.attention[:1])):
        assert 0.5 < moved(seen, address, found.activation) < 1.5, address


def test_layers_behind_a_relu_are_asked_for_before_it() -> None:
    assert loaders.preset(made("timm resnet18")).activation == "before"
    assert loaders.preset(made("timm convnext_tiny")).activation is None


def test_a_preset_is_found_inside_a_classifier_and_keeps_the_input_of_preprocessed() -> None:
    wrapped = nn.Sequential(made("torchvision vit"))
    found = loaders.preset(Preprocessed(wrapped, (16, 24), 0.25, 0.5))
    assert found is not None
    assert found.layers == tuple(f"0.{layer}" for layer in FAMILIES["torchvision vit"][2])
    assert (found.size, found.mean, found.std) == ((16, 24), 0.25, 0.5)
    assert found.addresses(3)[0] == "0.encoder.layers.encoder_layer_1.mlp.0:3@mean"
    assert loaders.preset(nn.Sequential(nn.Conv2d(3, 2, 1))) is None


@pytest.fixture
def folder(tmp_path):
    """A CLIP of texts and pictures, as `save_pretrained` leaves it, with its image processor."""
    library = pytest.importorskip("transformers")
    torch.manual_seed(0)
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    config = library.CLIPConfig(text_config=text, vision_config=TOWER, projection_dim=6)
    model = library.CLIPModel(config)
    model.save_pretrained(tmp_path)
    library.CLIPImageProcessor(crop_size={"height": 24, "width": 32}, image_mean=[0.1, 0.2, 0.3]).save_pretrained(tmp_path)
    return tmp_path, model


def test_the_vision_tower_of_a_folder_of_transformers_has_its_weights_and_its_input(folder) -> None:
    path, model = folder
    seen = loaders.network(f"hf:{path}")
    assert (seen.size, seen.mean, seen.std) == ((24, 32), (0.1, 0.2, 0.3), CLIP[1])
    name = "encoder.layers.1.mlp.fc1"
    assert torch.equal(seen.network.get_submodule(name).weight, model.vision_model.get_submodule(name).weight)
    found = {layer.name: layer for layer in loaders.layers(f"hf:{path}", 32)}
    assert found["encoder.layers.2.self_attn"].heads == 2
    assert (found[name].depth, found[name].example) == ("middle", f"{name}:0@mean")


def test_a_folder_without_weights_is_enough_to_list_layers_and_no_more(folder, capsys) -> None:
    path, _ = folder
    (path / "model.safetensors").unlink()
    assert main(["layers", f"hf:{path}", "--size", "32"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any("64" not in line and "late: --unit encoder.layers.2.mlp.fc1:0@mean" in line for line in listed)
    assert any(line.startswith("encoder.layers.0.self_attn ") and line.endswith("2 heads") for line in listed)
    with pytest.raises(ValueError, match="cannot be loaded on this machine"):
        loaders.network(f"hf:{path}")


def test_a_classifier_of_transformers_names_its_classes(tmp_path) -> None:
    library = pytest.importorskip("transformers")
    model = library.ViTForImageClassification(library.ViTConfig(**TOWER, id2label={0: "cat", 1: "dog", 2: "owl"}))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["ViTForImageClassification"]
    seen = loaders.network(f"hf:{tmp_path}")
    assert seen(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    assert (seen.size, seen.mean, loaders.class_names(f"hf:{tmp_path}")) == ((32, 32), HALVES[0], ("cat", "dog", "owl"))


def test_models_of_texts_alone_and_missing_folders_are_refused(tmp_path) -> None:
    library = pytest.importorskip("transformers")
    with pytest.raises(ValueError, match="cannot be loaded on this machine"):
        loaders.network(f"hf:{tmp_path / 'nothing'}")
    library.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a BertModel, which takes input_ids, expected a network of pictures"):
        loaders.layers(f"hf:{tmp_path}")
