"""Networks of other people's making: what they return, how many images they take, and how they were packed."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import tiny_bundle
from torch import Tensor

from ppgn import loaders, requests
from ppgn.bundle import Bundle
from ppgn.requests import Plugged, Request

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:.*quantize.*:UserWarning")
MODULE = """
from collections import namedtuple
from dataclasses import dataclass
import torch
from torch import Tensor, nn
from ppgn.probe import Preprocessed

@dataclass
class Result:
    features: Tensor
    logits: Tensor

Named = namedtuple("Named", ["loss", "scores"])

def network(*behind, channels=1):
    torch.manual_seed(3)
    layers = [nn.Conv2d(channels, 5, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)]
    return nn.Sequential(*layers, *behind)

def seen(module, mean=0.5):
    return Preprocessed(module, 8, mean, 0.25)

class Returns(nn.Module):
    def __init__(self, wrap, channels=1):
        super().__init__()
        self.wrap, self.body = wrap, network(channels=channels)

    def forward(self, image):
        features = self.body[:4](image)
        return self.wrap(features, self.body[4](features))

class Reshapes(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = network()

    def forward(self, image):
        return self.body[4](self.body[:3](image).reshape(1, 5))

class Grey(nn.Module):
    def __init__(self, grey):
        super().__init__()
        self.grey, self.body = grey, network()

    def forward(self, image):
        return self.body(self.grey(image))

def plain(): return seen(network())
def dictionary(): return seen(Returns(lambda features, logits: {"features": features, "logits": logits}))
def one_entry(): return seen(Returns(lambda features, logits: {"classes": logits}))
def nested(): return seen(Returns(lambda features, logits: {"aux": [features], "out": {"logits": logits}}))
def pair(): return seen(Returns(lambda features, logits: (logits, features)))
def listed(): return seen(Returns(lambda features, logits: [logits]))
def named(): return seen(Returns(lambda features, logits: Named(None, logits)))
def dataclass_(): return seen(Returns(Result))
def unclear(): return seen(Returns(lambda features, logits: {"one": features, "two": logits}))
def text(): return seen(Returns(lambda features, logits: "tench"))

def model_output():
    from transformers.modeling_outputs import ImageClassifierOutput
    return seen(Returns(lambda features, logits: ImageClassifierOutput(logits=logits, hidden_states=(features,))))

def of_one(): return seen(Reshapes())
def scripted(): return seen(torch.jit.script(network()))
def traced(): return seen(torch.jit.trace(network(), torch.zeros(1, 1, 8, 8)))
def traced_for_one(): return seen(torch.jit.trace(Reshapes(), torch.zeros(1, 1, 8, 8), check_trace=False))
def frozen(): return seen(torch.jit.freeze(torch.jit.script(network().eval())))
def exported(): return seen(torch.export.export(network().eval(), (torch.zeros(2, 1, 8, 8),)).module())
def quantised(): return seen(torch.ao.quantization.quantize_dynamic(network().eval(), {nn.Linear}))
def of_size(): return seen(nn.Sequential(nn.Flatten(), nn.Linear(81, 7)))
def mean_of_colours(): return seen(Grey(lambda image: image.mean(1, keepdim=True)))
def luma(): return seen(Grey(lambda image: 0.3 * image[:, :1] + 0.6 * image[:, 1:2] + 0.1 * image[:, 2:]), (0.5, 0.5, 0.5))
def coloured(): return seen(network(channels=3))
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "plugged_outputs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("plugged_outputs", None)


def network(name: str, precision: str = "float32") -> Plugged:
    return Plugged(f"plugged_outputs:{name}", precision=precision)


def values(bundle: Bundle, request: Request) -> Tensor:
    from ppgn import recipes

    images = loaders.two_images(bundle)
    passes = recipes.prepare(bundle, recipes.recipe_for(bundle), request).passes()
    return request.condition(passes)(images)


def in_colour() -> Bundle:
    """A bundle of images in colour."""
    return Bundle.of(lambda code: code[:, :3, None, None].expand(-1, 3, 8, 8).sigmoid(), [4])


@pytest.mark.parametrize("precision", ["float32", "auto"])
@pytest.mark.parametrize(
    "name",
    ["dictionary", "one_entry", "nested", "pair", "listed", "named", "dataclass_", "model_output", "of_one", "scripted",
     "traced", "traced_for_one", "frozen"],
)  # fmt: skip
def test_classes_are_found_in_whatever_a_network_returns_and_however_it_is_fed(name: str, precision: str) -> None:
    bundle = tiny_bundle()
    expected = values(bundle, requests.parse(bundle, class_=["2", "5"], network=network("plain")))
    found = values(bundle, requests.parse(bundle, class_=["2", "5"], network=network(name, precision)))
    torch.testing.assert_close(found, expected, rtol=0.02 if precision == "auto" else 1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["dictionary", "pair", "model_output", "of_one"])
def test_units_are_too(name: str) -> None:
    bundle = tiny_bundle()
    expected = values(bundle, requests.parse(bundle, unit="0:2,4", network=network("plain")))
    found = values(bundle, requests.parse(bundle, unit="body.0:2,4", network=network(name)))
    torch.testing.assert_close(found, expected)


def test_the_first_of_two_tensors_is_taken_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ppgn"):
        requests.parse(tiny_bundle(), class_="2", network=network("pair"))
    assert "plugged_outputs:pair returned 2 tensors [chain, class]: the first is taken" in caplog.text


@pytest.mark.parametrize(
    ("name", "asked", "said"),
    [
        ("unclear", {"class_": "2"}, r"returned one \[2, 5\], two \[2, 7\], expected \[chain, class\], alone or called logits"),
        ("text", {"class_": "2"}, r"returned str, expected \[chain, class\]"),
        ("exported", {"class_": "2"}, "program of torch.export.*give the one that was exported"),
        ("quantised", {"class_": "2"}, "a quantised network has no gradient, use the one that it was made from"),
        ("scripted", {"unit": "0:1"}, "the layer '0' is in a network that was scripted or traced.*give the one from before"),
        ("traced", {"unit": "0:1"}, "the layer '0' is in a network that was scripted or traced"),
        ("of_size", {"class_": "2"}, r"of_size failed on an image \(RuntimeError: .*check the size"),
    ],
)
def test_what_cannot_run_is_one_sentence_with_the_remedy(name: str, asked: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        requests.parse(tiny_bundle(), network=network(name), **asked)
    assert "\n" not in str(raised.value)


def test_a_network_that_makes_grey_itself_takes_images_in_colour_and_grey_ones() -> None:
    import plugged_outputs  # pyright: ignore[reportMissingImports]

    for bundle in (in_colour(), tiny_bundle()):
        for name in ("mean_of_colours", "luma"):
            image = loaders.two_images(bundle)
            image = image if name == "mean_of_colours" else image.expand(-1, 3, -1, -1)
            expected = getattr(plugged_outputs, name)()(image).log_softmax(1)[[0, 1], [2, 5]]
            found = values(bundle, requests.parse(bundle, class_=["2", "5"], network=network(name)))
            torch.testing.assert_close(found, expected)


def test_layers_are_listed_of_a_network_that_makes_grey_itself() -> None:
    assert "body.0" in {layer.name for layer in loaders.layers("plugged_outputs:luma", 8)}


def test_grey_images_are_repeated_for_a_network_in_colour_and_colours_are_not_taken_by_a_grey_one() -> None:
    assert requests.parse(tiny_bundle(), class_="2", network=network("coloured")).names == ("2",)
    with pytest.raises(ValueError, match="the network takes 1 channels, generator makes images of 3, expected as many"):
        requests.parse(in_colour(), class_="2", network=network("plain"))
