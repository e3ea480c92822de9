"""Plain keywords as requests: units, directions and latents of networks by name, words, functions, and sums of them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_text_models as tiny
import torch
from conftest import tiny_bundle
from safetensors.torch import save_file
from test_caption_condition import a_captioner
from torch import Tensor

import ppgn
from ppgn import loaders, recipes, requests
from ppgn.bundle import Bundle
from ppgn.requests import Plugged, Request

MODULE = """
import torch
from torch import nn
from ppgn.probe import Preprocessed

def seen():
    torch.manual_seed(3)
    layers = [nn.Conv2d(3, 5, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7)]
    return Preprocessed(nn.Sequential(*layers), 8, (0.5, 0.4, 0.3), 0.25)

def bright(image):
    return image.mean((1, 2, 3))

def mean(image):
    return image.mean()

def unlike(image):
    return (image - image.mean(0, keepdim=True)).square().mean((1, 2, 3))

def alike(image):
    return -unlike(image)

unlike.couples = True
"""
NETWORK = Plugged("plugged_mine:seen", precision="float32")
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory with a module of networks and functions, and files of directions and auto-encoders of layer 0."""
    (tmp_path / "plugged_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    drawn = torch.Generator().manual_seed(1)
    weight, bias, offset = (torch.randn(shape, generator=drawn) for shape in ((6, 5), (6,), (5,)))
    save_file({"direction": weight[:2].contiguous()}, "directions.safetensors")
    save_file({"direction": weight[0].contiguous()}, "direction.safetensors")
    save_file({"encoder.weight": weight, "encoder.bias": bias, "decoder.bias": offset}, "linear.safetensors")
    save_file({"W_enc": weight.T.contiguous(), "b_enc": bias, "b_dec": offset}, "transposed.safetensors")
    save_file({"encoder.weight": weight, "encoder.bias": bias}, "without_offset.safetensors")
    save_file({"one": weight, "two": bias}, "two.safetensors")
    save_file({"encoder.weight": weight, "encoder.bias": torch.full((6,), torch.nan)}, "nan.safetensors")
    save_file({"far": torch.full((6,), torch.inf)}, "inf.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors")
    yield tmp_path
    sys.modules.pop("plugged_mine", None)


def of_layer() -> np.ndarray:
    """The mean over positions of the network's layer 0, `[image, channel]`."""
    import plugged_mine  # pyright: ignore[reportMissingImports]

    seen = plugged_mine.seen()
    with torch.no_grad():
        shown = (IMAGES.expand(-1, 3, -1, -1) - torch.tensor([0.5, 0.4, 0.3])[:, None, None]) / 0.25
        return seen.network[0](shown).mean((2, 3)).numpy()


def values(bundle: Bundle, request: Request) -> Tensor:
    """What the request says of the first images, one for each of its chains."""
    passes = recipes.prepare(bundle, recipes.recipe_for(bundle), request).passes()
    return request.condition(passes)(IMAGES[: len(request)])


@pytest.mark.parametrize("file", ["linear", "transposed", "without_offset"])
def test_latents_of_a_file_are_those_that_numpy_computes(file: str) -> None:
    bundle = tiny_bundle()
    stored = loaders.read_weights(Path("linear.safetensors"))
    weight, bias, offset = (stored[name].numpy() for name in ("encoder.weight", "encoder.bias", "decoder.bias"))
    offset = 0 * offset if file == "without_offset" else offset
    expected = (of_layer() - offset) @ weight.T + bias
    request = requests.parse(bundle, sae=f"{file}.safetensors", latent=[4, 0, 5], layer="0", network=NETWORK)
    assert request.names == ("0 latent 4", "0 latent 0", "0 latent 5")
    np.testing.assert_allclose(values(bundle, request), expected[[0, 1, 2], [4, 0, 5]], rtol=1e-5, atol=1e-6)
    reordered = request.select([2, 2, 0, 1])
    np.testing.assert_allclose(values(bundle, reordered), expected[range(4), [5, 5, 4, 0]], rtol=1e-5, atol=1e-6)
    described = request.describe()
    assert described == json.loads(json.dumps(described)) == {
        "kind": "latent", "layer": "0", "network": NETWORK.name, "weights": None, "network_precision": "float32",
        "file": f"{file}.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize(("file", "count"), [("directions", 2), ("direction", 1)])
def test_directions_of_a_file_are_projected_on(file: str, count: int) -> None:
    bundle = tiny_bundle()
    request = requests.parse(bundle, direction=f"{file}.safetensors", layer="0", network=NETWORK)
    rows = loaders.read_weights(Path("directions.safetensors"))["direction"].numpy()
    np.testing.assert_allclose(values(bundle, request), (of_layer()[:count] * rows[:count]).sum(1), rtol=1e-5, atol=1e-6)
    assert request.describe()["kind"] == "direction"
    again = values(bundle, request.select([count - 1, 0]))
    np.testing.assert_allclose(again, (of_layer()[:2] * rows[[count - 1, 0]]).sum(1), rtol=1e-5, atol=1e-6)


def test_units_and_classes_are_of_the_network_or_else_of_the_bundle() -> None:
    bundle = tiny_bundle()
    units = requests.parse(bundle, unit="0:2,4", network=NETWORK)
    np.testing.assert_allclose(values(bundle, units), of_layer()[range(2), [2, 4]], rtol=1e-5)
    every = requests.parse(bundle, class_="all", network=NETWORK)
    assert every.names == ("0", "1", "2", "3", "4", "5", "6") and every.kind == "plugged"
    assert requests.parse(bundle, unit="0:*", network=NETWORK).names == tuple(f"0:{unit}" for unit in range(5))
    own = requests.parse(bundle, class_="all")
    assert (own.names, own.kind) == (bundle.classes, "class")
    logits = bundle.encoder.logits_from_code(bundle.encoder(IMAGES))
    torch.testing.assert_close(values(bundle, own), logits.log_softmax(1).diagonal())
    of_own = requests.parse(bundle, unit="fc7:3")
    assert of_own.describe()["network"] == "bundle:classifier"
    hidden = bundle.encoder.fc7(bundle.encoder(IMAGES[:1]))
    torch.testing.assert_close(values(bundle, of_own), hidden[:, 3])


def test_kinds_are_added_up_by_their_weights() -> None:
    bundle = tiny_bundle()
    parts: list[dict[str, Any]] = [
        {"class_": ["tench", "pump"]},
        {"unit": "fc7:3"},
        {"direction": "direction.safetensors", "layer": "fc6"},
        {"condition": "plugged_mine:bright"},
    ]
    save_file({"direction": torch.linspace(-1, 1, 12)}, "direction.safetensors")
    alone = [values(bundle, requests.parse(bundle, **one).select([0, 1] if "class_" in one else [0, 0])) for one in parts]
    keywords = {name: value for one in parts for name, value in one.items()}
    weights = [1.0, -0.5, 2.0, 3.0]
    plain, summed = requests.parse(bundle, **keywords), requests.parse(bundle, **keywords, weight=weights)
    torch.testing.assert_close(values(bundle, plain), torch.stack(alone).sum(0))
    expected = torch.stack([weight * value for weight, value in zip(weights, alone, strict=True)]).sum(0)
    torch.testing.assert_close(values(bundle, summed), expected)
    assert summed.names[1] == "gas pump - 0.5 fc7:3 + 2 fc6 direction 0 + 3 plugged_mine:bright"
    assert [term["kind"] for term in summed.describe()["terms"]] == ["class", "unit", "direction", "condition"]
    assert summed.kind == "plugged"


def test_with_one_kind_weights_add_up_its_targets() -> None:
    bundle = tiny_bundle()
    request = requests.parse(bundle, class_=["tench", "golf ball", "pump"], weight=[1.0, -1.0, 0.5])
    assert len(request) == 1 and request.kind == "class"
    log_probs = bundle.encoder.logits_from_code(bundle.encoder(IMAGES[:1])).log_softmax(1)[0]
    torch.testing.assert_close(values(bundle, request), (log_probs[0] - log_probs[2] + 0.5 * log_probs[3])[None])
    three = requests.parse(bundle, class_=["tench", "golf ball", "pump"], weight=-2.0)
    assert three.names == ("-2 tench", "-2 golf ball", "-2 gas pump")


def test_one_value_alone_is_a_list_of_one() -> None:
    bundle = tiny_bundle()
    bundle.parts["captioner"] = a_captioner().float()
    assert requests.parse(bundle, class_="golf ball").names == ("golf ball",)
    assert requests.parse(bundle, caption="a red handbag").names == ("a red handbag",)
    given = {"sae": "linear.safetensors", "layer": "0", "network": NETWORK}
    assert requests.parse(bundle, latent=3, **given).names == ("0 latent 3",)


def test_texts_and_captions_of_published_models_are_asked_for_and_added_up(folder: Path) -> None:
    bundle = tiny_bundle()
    for name, make in (("clip", tiny.clip), ("blip", tiny.blip)):
        model, processor = make()
        for part in (model.float(), processor, tiny.tokenizer()):
            part.save_pretrained(folder / name)
    given: dict[str, Any] = {"text": ["a red handbag", "green"], "against": ["blue"], "similarity": f"hf:{folder / 'clip'}"}
    texts = requests.parse(bundle, **given)
    assert (texts.names, texts.kind) == (("a red handbag", "green"), "plugged")
    expected = loaders.similarity(given["similarity"], given["text"], given["against"])
    torch.testing.assert_close(values(bundle, texts), expected(IMAGES[:2]))
    torch.testing.assert_close(values(bundle, texts.select([1, 0])), expected.asking([1, 0])(IMAGES[:2]))
    caption = requests.parse(bundle, caption=["a red handbag", "a blue handbag"], captioner=f"hf:{folder / 'blip'}")
    assert (caption.kind, caption.exact) == ("plugged", ())
    both = requests.parse(
        bundle, caption=["a red handbag", "a blue handbag"], captioner=f"hf:{folder / 'blip'}", **given, weight=[1.0, 0.5]
    )
    torch.testing.assert_close(values(bundle, both), values(bundle, caption) + 0.5 * values(bundle, texts))
    assert json.loads(json.dumps(both.describe())) == both.describe()


def test_a_function_that_couples_chains_says_so_and_one_that_does_not_say_so_is_refused() -> None:
    bundle = tiny_bundle()
    request = requests.parse(bundle, condition="plugged_mine:unlike", class_="tench", weight=[1.0, 5.0])
    assert request.couples
    assert len(ppgn.sample(bundle, request, count=20, steps=1)) == 20
    with pytest.raises(ValueError, match="breaks the contract of conditions"):
        requests.parse(bundle, condition="plugged_mine:alike")


LATENT = {"sae": "linear.safetensors", "latent": [0], "layer": "0", "network": NETWORK}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "got nothing to ask for, expected a class, a unit, .* tiny has the classes tench"),
        ({"class_": "tench", "measure": "released"}, "got measure without unit, expected them together"),
        ({"class_": "tench", "latent": [1]}, "got latent without sae"),
        ({"class_": "tench", "layer": "fc7"}, "got layer without direction or sae"),
        ({**LATENT, "latent": []}, "got sae without latent"),
        ({"direction": "direction.safetensors"}, "got direction without layer"),
        ({"class_": "tench", "captioner": "hf:x"}, "got captioner without caption"),
        ({"text": "green"}, "got text without similarity"),
        ({"class_": "tench", "similarity": "hf:x"}, "got similarity without text"),
        ({"class_": "tench", "against": "green"}, "got against without text"),
        ({"caption": "green", "network": NETWORK}, "got network without class or unit or direction or sae"),
        ({"weight": [1.0]}, "got nothing to ask for"),
        ({"class_": "church"}, "no class 'church'"),
        ({"class_": "7", "network": NETWORK}, "class 7 is out of range: plugged_mine:seen has 7 classes"),
        ({"class_": ["tench", "pump"], "weight": [1.0, 2.0, 3.0]}, "got 3 weights for 2 targets"),
        ({"class_": "tench", "unit": "fc7:1", "weight": [1.0, 2.0, 3.0]}, "got 3 weights for 2 requests"),
        ({"class_": ["tench", "pump"], "unit": "fc7:0-2"}, "a sum got 2 class targets and 3 unit targets"),
        ({"unit": "fc7:10"}, "the layer 'fc7' got the target 10, expected 0 to 9"),
        ({"unit": "fc9:1"}, "no layer 'fc9'"),
        ({"unit": "fc7"}, "cannot read 'fc7' as a unit"),
        ({"unit": "fc7:1", "measure": "loudness"}, "got the measure 'loudness', expected one of"),
        ({**LATENT, "latent": [6]}, "got latent 6 of linear.safetensors, expected one or more from 0 to 5"),
        ({**LATENT, "latent": [0, -1]}, "got latent -1 of"),
        ({**LATENT, "sae": "two.safetensors"}, "expected the encoder's encoder.weight and encoder.bias or W_enc and b_enc"),
        ({**LATENT, "layer": "4"}, "weights of 5 channels got the layer '4' of 7, expected as many"),
        ({**LATENT, "sae": "nowhere.safetensors"}, "cannot read a sparse auto-encoder from nowhere.safetensors"),
        ({"direction": "nan.safetensors", "layer": "fc7"}, "^nan.safetensors: encoder.bias holds NaN, expected finite numbers"),
        ({"sae": "nan.safetensors", "latent": "1", "layer": "fc7"}, "^nan.safetensors: encoder.bias holds NaN"),
        ({"direction": "inf.safetensors", "layer": "fc7"}, "^inf.safetensors: far holds infinity, expected finite numbers"),
        ({"direction": "text.safetensors", "layer": "fc7"}, "cannot read a direction from text.safetensors"),
        ({"direction": "two.safetensors", "layer": "fc7"}, r"expected one tensor \[channel\] or \[direction, channel\]"),
        ({"class_": "1", "network": Plugged("plugged_mine:nobody")}, "has no function 'nobody'"),
        ({"unit": "fc7:1", "network": Plugged(precision="bfloat16")}, "expected the bundle's own"),
        ({"condition": "plugged_mine:mean"}, "plugged_mine:mean breaks the contract"),
        ({"caption": "a red shoe"}, "has no captioner"),
    ],
)
def test_keywords_that_do_not_fit_are_one_sentence(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        requests.parse(tiny_bundle(), **given)
    assert "\n" not in str(raised.value) and "--" not in str(raised.value)


def test_images_of_other_channels_than_the_network_takes_are_refused() -> None:
    coloured = Bundle.of(lambda code: code[:, :2, None, None].expand(-1, 2, 8, 8), [4])
    with pytest.raises(ValueError, match="the network takes 3 channels, generator makes images of 2, expected as many"):
        requests.parse(coloured, unit="0:1", network=NETWORK)
