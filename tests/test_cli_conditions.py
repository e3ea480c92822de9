"""The command line plugged into other networks, units and functions: what a person types and what comes back."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from ppgn import cli, loaders, requests
from ppgn.bundle import load_bundle
from ppgn.conditions import Unit
from ppgn.probe import Preprocessed, Probe
from ppgn.sampling import sample

NETWORK = """
import torch
from torch import nn
from ppgn.probe import Preprocessed

def build():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))

def seen():
    return Preprocessed(build(), 12, (0.5, 0.4, 0.3), 0.25)

def bright(image):
    return image.mean((1, 2, 3))

def mean(image):
    return image.mean()
"""


@pytest.fixture
def folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "mine.py").write_text(NETWORK)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def told(folder: Path, *arguments: str) -> dict:
    """samples.json of `ppgn sample tiny ARGUMENTS`, two steps, one picture each unless asked otherwise."""
    assert cli.main(["sample", "tiny", "--steps", "2", "--count", "1", *arguments, "--save-images", "each", "--overwrite"]) == 0
    return json.loads((folder / "each" / "samples.json").read_text())


def test_a_unit_of_the_bundles_encoder_is_sampled_as_from_python(folder: Path) -> None:
    found = told(folder, "--unit", "fc7:3", "--count", "2", "--seed", "4", "--measure", "log_softmax")
    bundle = load_bundle("tiny")
    expected = sample(
        bundle, lambda image: Unit(Tail(bundle.encoder), "fc7:3", measure="log_softmax")(image), count=2, seed=4, steps=2
    )
    assert [row["log_probability"] for row in found["samples"]] == pytest.approx(expected.log_prob.tolist(), rel=1e-5)
    assert [row["unit"] for row in found["samples"]] == ["fc7:3", "fc7:3"]
    assert found["condition"] == {
        "kind": "unit", "network": "bundle:classifier", "weights": None, "network_precision": "float32", "unit": "fc7:3",
        "measure": "log_softmax",
    }  # fmt: skip
    assert all(Image.open(folder / "each" / row["file"]).size == (8, 8) for row in found["samples"])


class Tail(nn.Module):
    """The encoder up to its head, written apart from ppgn.loaders."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.fc7 = encoder.fc7
        self.__dict__["encoder"] = encoder
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc7(self.__dict__["encoder"](image))


def test_several_units_get_their_own_chains_whatever_the_batch(folder: Path) -> None:
    rows = told(folder, "--unit", "trunk.block0.0:2-4@1,1", "--count", "2", "--batch", "5")["samples"]
    assert [row["unit"] for row in rows] == [f"trunk.block0.0:{unit}@1,1" for unit in (2, 2, 3, 3, 4, 4)]
    alone = told(folder, "--unit", "trunk.block0.0:4@1,1", "--count", "2")["samples"]
    assert [row["activation"] for row in rows[4:]] == pytest.approx([row["activation"] for row in alone], rel=1e-4)
    assert len(told(folder, "--unit", "fc8:*")["samples"]) == 4


def test_a_colour_network_sees_grey_images_and_its_classes_are_numbers(folder: Path) -> None:
    found = told(folder, "--network", "mine:seen", "--class", "6", "2")
    assert [row["class"] for row in found["samples"]] == ["6", "2"]
    assert all(math.log(1e-3) < row["log_probability"] < 0 for row in found["samples"])
    assert found["condition"]["network"] == "mine:seen"
    assert (
        len(told(folder, "--network", "mine:build", "--size", "8", "--mean", "0.5", "--std", "0.5", "--class", "all")["samples"])
        == 7
    )
    assert told(folder, "--network", "bundle:classifier", "--class", "tench")["samples"][0]["class"] == "tench"


def test_a_torchvision_class_by_name_and_a_unit_of_it(folder: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    torch.save(models.resnet18().state_dict(), "resnet18.pth")
    plugged = ["--network", "torchvision:resnet18", "--weights", "resnet18.pth", "--size", "32", "--steps", "1"]
    assert told(folder, *plugged, "--class", "golf ball")["samples"][0]["class"] == "golf ball"
    found = told(folder, *plugged, "--unit", "layer4.1.conv2:17")
    assert found["samples"][0]["unit"] == "layer4.1.conv2:17"
    assert found["samples"][0]["file"] == "0000_layer4.1.conv2_17_0.png"
    assert found["condition"]["weights"] == "resnet18.pth"


def test_a_network_of_torchvision_is_folded_but_for_the_layers_that_are_looked_at(folder: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    plain = models.resnet18().eval()
    plain.bn1.running_mean.fill_(0.3)
    torch.save(plain.state_dict(), "resnet18.pth")
    image = torch.rand(1, 3, 32, 32)
    for layer, left in (("conv1", ["bn1"]), ("bn1", [])):
        seen = loaders.network("torchvision:resnet18", "resnet18.pth", 32, 0.0, 1.0, layers=(layer,))
        assert [name for name, module in seen.network.named_modules() if isinstance(module, nn.BatchNorm2d)] == left
        torch.testing.assert_close(Probe(seen, layer)(image), Probe(Preprocessed(plain, 32, 0.0, 1.0), layer)(image))
    unfolded = loaders.network("torchvision:resnet18", "resnet18.pth", 32, 0.0, 1.0)
    assert isinstance(unfolded.network.layer1[0].bn1, nn.BatchNorm2d)


def test_a_network_runs_in_the_precision_asked_for_and_in_float32_for_a_method_of_the_papers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for precision in ("float32", "bfloat16"):
        found[precision] = told(folder, "--network", "mine:seen", "--class", "6", "--network-precision", precision)
        assert found[precision]["condition"]["network_precision"] == precision
        assert found[precision]["recipe"]["precision"] == "float32"
    plain, quick = (found[precision]["samples"][0]["log_probability"] for precision in ("float32", "bfloat16"))
    assert plain != quick == pytest.approx(plain, abs=0.02)
    monkeypatch.setattr("ppgn.acceleration.precision.has_bfloat16_units", lambda device: True)
    monkeypatch.setattr("ppgn.acceleration.precision.AGREEMENT", -1.0)
    assert told(folder, "--network", "mine:seen", "--class", "6")["condition"]["network_precision"] == "bfloat16"
    named = told(folder, "--network", "mine:seen", "--class", "6", "--recipe", "dgn_am")
    assert named["condition"]["network_precision"] == "float32"
    again = told(folder, "--network", "mine:seen", "--class", "6", "--settings", "each/samples.json", "--overwrite")
    assert again["condition"]["network_precision"] == "float32"
    assert again["samples"] == named["samples"]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["sample", "tiny", "--network", "mine:seen", "--class", "6", "--network-precision", "float16"])


def test_a_function_in_the_working_directory_is_climbed(folder: Path) -> None:
    few, many = (told(folder, "--condition", "mine:bright", "--prior", "none", "--steps", steps) for steps in ("1", "20"))
    assert many["samples"][0]["log_probability"] > few["samples"][0]["log_probability"]
    assert few["condition"] == {"kind": "condition", "condition": "mine:bright"}
    assert few["samples"][0]["condition"] == "mine:bright"


def test_labels_say_the_name_and_a_probability_or_the_value(folder: Path) -> None:
    bundle = load_bundle("tiny")
    assert requests.classes(bundle, "tench").label(0, math.log(0.25)) == "tench 0.25"
    assert requests.parse(bundle, unit="fc7:3").label(0, 1234.5) == "fc7:3 1.23e+03"


def test_layers_of_a_bundle_and_of_a_network(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", "tiny"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["fc6", "Linear", "12", "12", "units"] in lines
    assert ["trunk.block0.0", "Conv2d", "8", "x", "8", "x", "8", "8", "units"] in lines
    assert cli.main(["layers", "mine:build", "--size", "10,12"]) == 0
    assert "5 x 8 x 10" in capsys.readouterr().out
    assert cli.main(["layers", "torchvision:squeezenet1_1"]) == 0
    assert "features.0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["layers", "nosuch"], "tiny"),
        (["layers", "mine:build"], "--size"),
        (["layers", "torchvision:resnet81"], "resnet18"),
        (["layers", "bundle:classifier"], "the bundle's own name"),
        (["sample", "tiny"], "--text or --condition"),
        (["sample", "tiny", "--class", "0", "1", "--unit", "fc6:1-3"], "a sum got 2 class targets and 3 unit targets"),
        (
            ["sample", "tiny", "--class", "0", "--unit", "fc6:1", "--weight", "1", "2", "3"],
            "--weight for --class and --unit",
        ),
        (["sample", "tiny", "--class", "0", "1", "--weight", "1", "2", "3"], "got 3 weights for 2 targets"),
        (["sample", "tiny", "--weight", "1", "2"], "got --weight without a request"),
        (["sample", "tiny", "--direction", "d.safetensors"], "got --direction without --layer"),
        (["sample", "tiny", "--layer", "fc7"], "got --layer without --direction or --sae"),
        (["sample", "tiny", "--latent", "3"], "got --latent without --sae"),
        (["sample", "tiny", "--sae", "s.safetensors", "--layer", "fc7"], "got --sae without --latent"),
        (["sample", "tiny", "--network", "mine:seen"], "which class or unit of mine:seen"),
        (["sample", "tiny", "--network", "mine:seen", "--condition", "mine:bright"], "inside the function"),
        (["sample", "tiny", "--class", "0", "--weights", "x.pth", "--bgr"], "got --weights, --bgr without --network"),
        (["sample", "tiny", "--condition", "mine:bright", "--measure", "released"], "got --measure without --class, --unit"),
        (["sample", "tiny", "--unit", "fc7:1", "--temperature", "2"], "got --temperature without --class or --caption"),
        (["sample", "tiny", "--unit", "fc9:1"], "fc6"),
        (["sample", "tiny", "--unit", "fc7:10"], "expected 0 to 9"),
        (["sample", "tiny", "--unit", "fc7"], "layer:unit"),
        (["sample", "tiny", "--unit", "trunk.block0.0:1@8,0"], "inside its map"),
        (["sample", "tiny", "--class", "0", "--network-precision", "bfloat16"], "got --network-precision without --network"),
        (
            ["sample", "tiny", "--network", "bundle:classifier", "--class", "0", "--network-precision", "bfloat16"],
            "expected another network",
        ),
        (["sample", "tiny", "--network", "mine:seen", "--class", "7"], "out of range: mine:seen has 7 classes, numbered from 0"),
        (["sample", "tiny", "--network", "mine:build", "--class", "0"], "give --size HEIGHT,WIDTH, --mean"),
        (["sample", "tiny", "--network", "torchvision:resnet18", "--class", "0"], "give --weights FILE"),
        (["sample", "tiny", "--network", "timm:", "--class", "0"], "torchvision:NAME"),
        (["sample", "tiny", "--condition", "mine:mean"], "one log-probability per chain"),
        (["sample", "tiny", "--condition", "mine:nosuch"], "no function 'nosuch'"),
        (["sample", "tiny", "--condition", "mine"], "my_module:function"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence_and_leaves_no_file(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(arguments) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1
    assert printed[0].startswith("ppgn: error: ")
    assert said in printed[0]
    assert not list(folder.glob("*.png"))


@pytest.mark.parametrize("option", [["--size", "0"], ["--size", "a"], ["--mean", "a,b"]])
def test_an_option_that_is_no_number_is_told_by_its_name(
    folder: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["sample", "tiny", "--network", "mine:seen", "--class", "0", *option])
    assert ended.value.code == 2
    assert f"{option[0]}: cannot read {option[1]!r}" in capsys.readouterr().err


def test_python_m_runs_a_users_condition_from_their_own_folder(folder: Path) -> None:
    (folder / "alone.py").write_text("def bright(image):\n    return image.mean((1, 2, 3))\n")
    command = ["sample", "tiny", "--condition", "alone:bright", "--count", "1", "--steps", "1", "--out", "one.png"]
    done = subprocess.run([sys.executable, "-m", "ppgn.cli", *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "wrote one.png: 1 pictures" in done.stdout
    assert (folder / "one.png").is_file()
