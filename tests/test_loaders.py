"""Networks and conditions by name: what comes back, and what is said of a name or file that does not work."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

import ppgn
from ppgn import loaders
from ppgn.probe import Layer, Preprocessed, list_layers

DATA = Path(__file__).parents[2] / "shared" / "data" / "weights"


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    network = models.resnet18().eval()
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), file)
    return network, file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))  # put back afterwards, with what the tests add
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path


def picture(size: int = 32, channels: int = 3) -> Tensor:
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(1))


def test_a_torchvision_network_from_a_file_is_torchvisions_own_behind_its_own_preprocessing(resnet18) -> None:
    network, file = resnet18
    seen = loaders.network("torchvision:resnet18", file)
    assert (seen.size, seen.mean, seen.std, seen.bgr) == ((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False)
    image = picture(224)
    transform = models.ResNet18_Weights.DEFAULT.transforms(crop_size=224, resize_size=224)
    with torch.no_grad():
        torch.testing.assert_close(seen(image), network(transform(image)), rtol=1e-4, atol=1e-4)


def test_safetensors_and_data_parallel_files_give_the_same_values(resnet18, tmp_path: Path) -> None:
    network, _ = resnet18
    save_file(network.state_dict(), tmp_path / "plain.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "wrapped.th")
    for name in ("plain.safetensors", "wrapped.th"):
        found = loaders.network("torchvision:resnet18", tmp_path / name).network.state_dict()
        assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


def test_the_libraries_own_weights_are_taken_from_its_cache(resnet18, here: Path) -> None:
    network, _ = resnet18
    folder = here / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(network.state_dict(), folder / "resnet18-f37072fd.pth")
    for weights in (None, "IMAGENET1K_V1"):
        found = loaders.network("torchvision:resnet18", weights).network.state_dict()
        assert torch.equal(found["conv1.weight"], network.state_dict()["conv1.weight"])


def test_published_densenet_names_are_understood(here: Path) -> None:
    network = models.densenet121()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", key): value for key, value in network.state_dict().items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, here / "old.pth")
    found = loaders.network("torchvision:densenet121", here / "old.pth").network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())


@pytest.mark.skipif(not (DATA / "squeezenet1_0_deepcompression_fp16.pth").is_file(), reason="needs shared weights")
def test_a_caffe_squeezenet_takes_explicit_input_and_runs_in_single_precision() -> None:
    mean, std = (104 / 255, 117 / 255, 123 / 255), 1 / 255
    file = DATA / "squeezenet1_0_deepcompression_fp16.pth"
    seen = loaders.network("torchvision:squeezenet1_0", file, size=227, mean=mean, std=std, bgr=True)
    image = picture(227)
    caffe = image.flip(1) * 255 - torch.tensor([104.0, 117.0, 123.0]).reshape(3, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(seen(image), seen.network(caffe), rtol=1e-3, atol=1e-3)


def test_a_users_function_gives_a_network_with_stated_input_or_states_it_itself(here: Path) -> None:
    (here / "mynets.py").write_text(
        "from torch import nn\nfrom ppgn.probe import Preprocessed\n"
        "def build():\n    return nn.Conv2d(1, 2, 3)\n"
        "def seen():\n    return Preprocessed(build(), 8, 0.5, 0.25, True)\n"
        "def three():\n    return 3\n"
        "def broken():\n    return nn.Conv2d(0.5, 2, 3)\n"
    )
    stated = loaders.network("mynets:build", size=8, mean=0.1, std=0.2)
    assert (stated.size, stated.mean, stated.std, stated.network.training) == (8, 0.1, 0.2, False)
    own = loaders.network("mynets:seen")
    assert (own.size, own.mean, own.std, own.bgr) == (8, 0.5, 0.25, True)
    for name, said in (
        ("mynets:build", "give size=(HEIGHT, WIDTH), mean=(RED, GREEN, BLUE), std=(RED, GREEN, BLUE)"),
        ("mynets:three", "returned int"),
        ("mynets:broken", "failed"),
        ("mynets:biuld", "build"),
        ("nosuchmodule:build", "nosuchmodule.py"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            loaders.network(name)


def test_the_bundles_classifier_is_its_encoder_and_head_with_the_encoders_layer_names() -> None:
    bundle = tiny_bundle()
    seen, image = loaders.network("bundle:classifier", bundle=bundle), picture(8, 1)
    with torch.no_grad():
        assert torch.equal(seen(image), bundle.encoder.logits_from_code(bundle.encoder(image)))
        assert torch.equal(Layer(seen, "fc6")(image).relu(), bundle.encoder(image))
    names = {layer.name for layer in list_layers(seen, 8, 1)}
    assert {"trunk.block0.0", "fc6", "fc7", "fc8"} <= names <= {name for name, _ in bundle.encoder.named_modules()}
    assert loaders.class_names("bundle:classifier", bundle) == bundle.classes


def test_class_names_are_torchvisions() -> None:
    assert loaders.class_names("torchvision:resnet18")[0] == "tench"
    assert len(loaders.class_names("torchvision:resnet18")) == 1000
    assert loaders.class_names("mymodule:build") == ()


@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("resnet18", None, "torchvision:NAME"),
        ("torchvision:resnet81", None, "resnet18"),
        ("torchvision:resnet18", None, "give weights=FILE, or download https://"),
        ("torchvision:resnet18", "nosuch.pth", "no weights file nosuch.pth"),
        ("bundle:classifier", None, "without a bundle"),
    ],
)
def test_a_name_that_cannot_be_used_says_what_to_do(here: Path, name: str, weights: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        loaders.network(name, weights)


class Pickled(nn.Module):
    """What a file should not hold."""


def test_a_file_that_is_no_state_dict_of_the_network_says_why(here: Path) -> None:
    (here / "text.pth").write_text("hello")
    (here / "text.safetensors").write_text("hello")
    torch.save(Pickled(), here / "module.pth")
    torch.save([1, 2], here / "list.pth")
    torch.save(models.resnet34().state_dict(), here / "resnet34.pth")
    own = models.resnet18().state_dict()
    torch.save({**own, "fc.weight": own["fc.weight"][:, :256]}, here / "narrow.pth")
    for file, said in (
        ("text.pth", "text.pth"),
        ("text.safetensors", "cannot be read"),
        ("module.pth", "can run code"),
        ("list.pth", "expected a state dict"),
        ("resnet34.pth", "has unknown"),
        ("narrow.pth", "fc.weight [1000, 256] for [1000, 512]"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            loaders.network("torchvision:resnet18", here / file)


def test_a_pickled_file_is_read_only_when_trusted(resnet18, here: Path) -> None:
    network, _ = resnet18
    torch.save({"state_dict": network.state_dict(), "arguments": Path("x")}, here / "more.pth")
    with pytest.raises(ValueError, match=r"can run code: save the network's state_dict\(\) alone$"):
        loaders.network("torchvision:resnet18", here / "more.pth")
    found = loaders.network("torchvision:resnet18", here / "more.pth", trust=True).network.state_dict()
    assert torch.equal(found["fc.weight"], network.state_dict()["fc.weight"])


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is here")
def test_timm_that_is_not_installed_is_named_with_the_command() -> None:
    with pytest.raises(ValueError, match="pip install timm"):
        loaders.network("timm:resnet18")


def test_timm_networks_take_their_input_from_the_pretrained_cfg(here: Path) -> None:
    timm = pytest.importorskip("timm")
    network = timm.create_model("resnet10t")
    torch.save(network.state_dict(), here / "timm.pth")
    seen = loaders.network("timm:resnet10t", here / "timm.pth")
    assert seen.size == network.pretrained_cfg["input_size"][1:]
    assert torch.equal(seen.network.state_dict()["fc.weight"], network.state_dict()["fc.weight"])
    for name, said in (("timm:resnet10t", "give weights=FILE"), ("timm:resnet10tt", "resnet10t")):
        with pytest.raises(ValueError, match=said):
            loaders.network(name)


def test_a_function_of_three_lines_in_the_working_directory_is_a_condition(here: Path) -> None:
    (here / "mybright.py").write_text(
        "def bright(image):\n    return image.mean((1, 2, 3))\n"
        "def mean(image):\n    return image.mean()\n"
        "def crash(image):\n    return image @ [1]\n"
        "number = 3\n"
    )
    (here / "mysyntax.py").write_text("def (")
    bundle = tiny_bundle()
    image = loaders.two_images(bundle)
    assert image.shape == (2, 1, 8, 8)
    assert torch.equal(loaders.condition("mybright:bright", bundle)(image), image.mean((1, 2, 3)))
    for spec, said in (
        ("mybright:mean", "mybright:mean breaks the contract of conditions: the condition returned shape ()"),
        ("mybright:crash", "mybright:crash failed on two images of tiny (TypeError"),
        ("mybright:brigt", "name one of those it has (bright"),
        ("mybright:number", "has no function 'number'"),
        ("mybright", "expected my_module:function"),
        ("mysyntax:f", "SyntaxError"),
        ("mynosuch:f", "write mynosuch.py there"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            loaders.condition(spec, bundle)


def wide(code: Tensor) -> Tensor:
    """Images of 4 x 6 pixels from codes of two units."""
    return code[:, :1, None, None].expand(-1, 3, 4, 6)


def test_two_images_are_of_the_model_of_codes_and_without_one_of_codes_inside_the_bounds() -> None:
    bundle = ppgn.Bundle.of(wide, (2,), low=-0.1, high=0.2)
    codes = loaders.two_codes(bundle)
    assert codes.shape == (2, 2)
    assert -0.100001 <= float(codes.min()) < 0 < float(codes.max()) <= 0.200001
    assert float(loaders.two_codes(ppgn.Bundle.of(wide, (2,), relu=True)).min()) == 0.0
    assert torch.equal(loaders.two_images(bundle), wide(codes).clamp(0, 1))
    bundle = ppgn.Bundle.of(wide, (2,), parts={"start": lambda noise: noise.sigmoid() + 3})
    assert float(loaders.two_codes(bundle).min()) > 3
    assert torch.equal(loaders.two_images(bundle), torch.ones(2, 3, 4, 6))


def test_the_classifier_of_a_bundle_without_one_is_refused_and_that_of_wide_images_takes_them() -> None:
    with pytest.raises(ValueError, match="bundle generator has no encoder for bundle:classifier"):
        loaders.network("bundle:classifier", bundle=ppgn.Bundle.of(wide, (2,), classes=["one"]))
    with pytest.raises(ValueError, match="has no classes"):
        loaders.network("bundle:classifier", bundle=ppgn.Bundle.of(wide, (2,), encoder=nn.Flatten()))

    class Scores(nn.Flatten):
        def logits_from_code(self, code: Tensor) -> Tensor:
            return code[:, :2]

    bundle = ppgn.Bundle.of(wide, (2,), encoder=Scores(), classes=["one", "other"])
    seen = loaders.network("bundle:classifier", bundle=bundle)
    assert seen.size == (4, 6)
    image = torch.rand(2, 3, 4, 6)
    assert torch.equal(seen(image), image.flatten(1)[:, :2])


def test_a_bundle_of_somebodys_generator_is_made_by_a_function_in_the_working_directory(here: Path) -> None:
    (here / "mymaker.py").write_text(
        "import ppgn\n"
        "def make():\n    return ppgn.Bundle.of(lambda code: code[:, :, None, None].expand(-1, 3, 4, 6), (3,), name='mine')\n"
        "def three():\n    return 3\n"
        "def broken():\n    return 1 / 0\n"
    )
    made = loaders.bundle("mymaker:make")
    assert (made.name, made.image.size, made.code.shape) == ("mine", (4, 6), (3,))
    for spec, said in (
        ("mymaker:three", "mymaker:three() returned int, expected a ppgn.Bundle"),
        ("mymaker:broken", "mymaker:broken() failed (ZeroDivisionError"),
        ("mymaker:maek", "name one of those it has (make"),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            loaders.bundle(spec)


def test_the_name_of_a_file_stands_before_what_is_wrong_with_it_once() -> None:
    for message in ("it is empty", "net.pth: it is empty"):
        with pytest.raises(ValueError, match="^net.pth: it is empty$"), loaders.of_file("net.pth"):
            raise ValueError(message)


def test_input_channels_are_those_of_the_first_convolution() -> None:
    assert loaders.input_channels(nn.Sequential(nn.Conv2d(5, 3, 1), nn.Conv2d(3, 2, 1))) == 5
    assert loaders.input_channels(nn.Linear(2, 2), default=1) == 1
    assert isinstance(loaders.build("torchvision:resnet18").module, nn.Module)
    assert isinstance(loaders.network("bundle:classifier", bundle=tiny_bundle()), Preprocessed)


def test_a_caffe_definition_with_a_comma_needs_weights_after_it() -> None:
    with pytest.raises(ValueError, match="got no weights after net.prototxt, expected NET.prototxt,NET.caffemodel"):
        loaders.network("caffe:net.prototxt,")
